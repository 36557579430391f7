"""Claims in words: what `--claim` and `--like` understand, as traits.

swap, rotation, scale          symmetries; a `no-` before it claims the opposite
lower-bound=0, homogeneous=2   traits with a number
target=2                       no gradient reaches the second input
collapse=log(n), undecided=log(d)   a formula of the batch size n and the dimension d
"""

import ast
import difflib
import math
import operator
from collections.abc import Callable, Iterable

from ebm import traits
from ebm.traits import Not, Number, Trait

WORDS: dict[str, Trait] = {
    "permutation": traits.BatchPermutation(),
    "swap": traits.ViewSwap(),
    "rotation": traits.Rotation(),
    "per-view-rotation": traits.PerViewRotation(),
    "sign": traits.SignFlip(),
    "dimension-permutation": traits.DimensionPermutation(),
    "translation": traits.Translation(),
    "per-view-translation": traits.PerViewTranslation(),
    "scale": traits.PositiveScale(),
    "affine": traits.PerViewAffine(),
    "shift": traits.ShiftInvariance(),
    "monotone": traits.MonotoneInNegatives(),
    "push-pull": traits.PushPull(down=None),
    "prevents-collapse": traits.PreventsCollapse(),
    "nonnegative": traits.LowerBound(0.0),
    "random": traits.Random(),
    "stop-gradient": traits.StopGradient(),
}
"""The claims that need no number."""

NUMBERS: dict[str, Callable[[Number], Trait]] = {
    "lower-bound": traits.LowerBound,
    "upper-bound": traits.UpperBound,
    "collapse": traits.CollapseValue,
    "undecided": traits.UndecidedValue,
    "target": lambda number: traits.Target(round(traits.evaluate(number, 0, 0))),
    "homogeneous": lambda number: traits.Homogeneous(traits.evaluate(number, 0, 0)),
}
"""The claims that carry a number, or a formula of n and d."""

_CONTRASTIVE = "rotation, sign, dimension-permutation, scale, prevents-collapse"
_STATISTIC = "swap, sign, dimension-permutation, per-view-translation, prevents-collapse"

LIKE: dict[str, str] = {
    "info_nce": f"{_CONTRASTIVE}, nonnegative, collapse=log(n)",
    "moco": f"{_CONTRASTIVE}, nonnegative, collapse=log(n)",
    "clip": f"swap, {_CONTRASTIVE}, nonnegative, collapse=log(n)",
    "nt_xent": f"swap, {_CONTRASTIVE}, nonnegative, collapse=log(2*n-1)",
    "simclr": f"swap, {_CONTRASTIVE}, nonnegative, collapse=log(2*n-1)",
    "dcl": f"swap, {_CONTRASTIVE}, collapse=log(2*n-2)",
    "vicreg": f"{_STATISTIC.replace('per-view-translation', 'translation')}, nonnegative",
    "barlow_twins": f"{_STATISTIC}, affine, nonnegative, collapse=d",
    "w_mse": "swap, sign, per-view-translation, affine, nonnegative",
    "byol": "rotation, sign, dimension-permutation, scale, nonnegative, collapse=0",
    "simsiam": "rotation, sign, dimension-permutation, scale, lower-bound=-1, collapse=-1",
    "triplet": "rotation, sign, dimension-permutation, translation, nonnegative",
    "alignment": "swap, rotation, scale, nonnegative, upper-bound=4, collapse=0",
    "uniformity": "rotation, scale, upper-bound=0, collapse=0, prevents-collapse",
    "mse": "swap, rotation, translation, homogeneous=2, nonnegative, collapse=0",
    "cross_entropy": "shift, nonnegative, monotone, push-pull",
}
"""What a loss that is like a known one is expected to obey."""


def claims(text: str) -> tuple[Trait, ...]:
    """Return the traits that a comma-separated list names.

    >>> from ebm.testing.claims import claims
    >>> claims("swap, lower-bound=0")
    (ViewSwap(), LowerBound(value=0.0, attained=False))

    Raises:
        ValueError: A word is unknown, or a number is missing or no formula of n and d.
    """
    return tuple(_claim(word.strip()) for word in text.split(",") if word.strip())


def like(name: str) -> tuple[Trait, ...]:
    """Return the traits of a known loss.

    Raises:
        ValueError: There is none of this name.
    """
    key = name.lower().replace("-", "_").replace(" ", "_")
    if key not in LIKE:
        raise ValueError(f"like must be one of {', '.join(LIKE)}, got {name!r}.{_meant(key, LIKE)}")
    return claims(LIKE[key])


def _claim(word: str) -> Trait:
    name, equals, number = word.partition("=")
    name = name.strip().lower().replace("_", "-")
    if name.startswith("no-") and name[3:] in WORDS:
        return Not(WORDS[name[3:]])
    if name in NUMBERS:
        if not equals:
            raise ValueError(f"claim {name} must have a number, got none. Write {name}=0.")
        return NUMBERS[name](formula(number.strip()))
    if name in WORDS and not equals:
        return WORDS[name]
    if name in WORDS:
        raise ValueError(f"claim {name} must have no number, got {word!r}. Write {name}.")
    known = ", ".join([*WORDS, *(f"{word}=..." for word in NUMBERS)])
    meant = _meant(name, [*WORDS, *NUMBERS, *(f"no-{word}" for word in WORDS)])
    raise ValueError(f"claim must be one of {known}, got {word!r}.{meant}")


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3)
    return f" Did you mean {' or '.join(close)}?" if close else ""


_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "log": math.log,
    "exp": math.exp,
    "sqrt": math.sqrt,
}
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def formula(text: str) -> Number:
    """Return the number, or the function of n and d, that an expression writes.

    Raises:
        ValueError: It is no formula of numbers, n, d, log, exp and sqrt.
    """
    try:
        tree = ast.parse(text, mode="eval").body
        value = _value(tree, 7, 3)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError) as error:
        raise ValueError(
            f"number must be a formula of n and d, got {text!r}. Write 0, d or log(2*n-1)."
        ) from error
    if not any(isinstance(node, ast.Name) and node.id in "nd" for node in ast.walk(tree)):
        return float(value)
    return lambda n, d: float(_value(tree, n, d))


def _value(node: ast.AST, n: int, d: int) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    if isinstance(node, ast.Name) and node.id in ("n", "d"):
        return n if node.id == "n" else d
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, n, d)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left, n, d), _value(node.right, n, d))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
        function = _FUNCTIONS.get(node.func.id)
        if function is not None and not node.keywords:
            return function(_value(node.args[0], n, d))
    raise ValueError(ast.dump(node))
