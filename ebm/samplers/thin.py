"""Thin products: how the compiler is told to make them, for it writes out what could be fused.

An energy's last layer has one output, so its gradient is a column of ones times a row of
weights; its first has few inputs where points lie in a plane, so the gradient by them is a
product with few columns, for which libraries are several times slower than for sixteen.
"""

from typing import Any

import torch
from torch._inductor.custom_graph_pass import CustomGraphPass
from torch.fx import Graph, Node

COLUMNS = 16
"""To how many columns thin products are filled up with zeros."""

INNER = 32
"""From what inner size on that pays."""


class ThinProducts(CustomGraphPass):
    """Makes outer products elementwise, and fills up products with few columns."""

    def __call__(self, graph: Graph) -> None:
        """Change the products of a graph."""
        for node in graph.find_nodes(op="call_function", target=torch.ops.aten.mm.default):
            inner, columns = node.args[1].meta["val"].shape
            if not (isinstance(inner, int) and isinstance(columns, int)):  # they may vary
                continue
            if inner == 1:
                node.target = torch.ops.aten.mul.Tensor
            elif columns < COLUMNS and inner >= INNER and node.meta["val"].device.type == "cpu":
                _fill_up(graph, node, COLUMNS - columns)

    def uuid(self) -> str:
        """Return what the compiler's cache knows this by."""
        return f"thin products, {COLUMNS} columns, {INNER} inner"


def _fill_up(graph: Graph, node: Node, missing: int) -> None:
    rows, columns = node.args

    def call(function: torch._ops.OpOverload, *inputs: Any) -> Node:
        made = graph.call_function(function, inputs)
        values = [x.meta["val"] if isinstance(x, Node) else x for x in inputs]
        made.meta["val"] = function(*values)
        return made

    with graph.inserting_before(node):
        filled = call(torch.ops.aten.constant_pad_nd.default, columns, [0, missing])
        product = call(torch.ops.aten.mm.default, rows, filled)
        part = call(torch.ops.aten.slice.Tensor, product, 1, 0, COLUMNS - missing)
    node.replace_all_uses_with(part)
    graph.erase_node(node)
