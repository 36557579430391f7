"""Laws of methods: what `terms` may do, what trains, and what a checkpoint has to hold."""

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ebm.energy import inputs
from ebm.memory import Memory, Replay
from ebm.method import Method
from ebm.testing.inputs import View
from ebm.testing.law import Vacuous, Violation, law
from ebm.testing.strategies import Case
from ebm.testing.subject import Uncallable
from ebm.traits import Trait

Batch = tuple[Tensor, ...]


ROUND = 8
"""Steps after which each of two players has had its turn."""


class Trainee:
    """A method under test, with a batch for it; every law works on a copy.

    Args:
        method: The method.
        batch: What `terms` takes.
        name: How reports call it.
        frozen: Starts of the names of parameters that get no gradient by design.
        plain: What `sweep` sees where that is not the batch: before crops and masks.
    """

    def __init__(
        self,
        method: Method,
        batch: Tensor | Sequence[Tensor],
        name: str | None = None,
        frozen: Sequence[str] = (),
        plain: Sequence[Tensor] | None = None,
    ) -> None:
        self.method = method
        self.batch: Batch = (batch,) if isinstance(batch, Tensor) else tuple(batch)
        self.plain: Batch = self.batch if plain is None else tuple(plain)
        self.name = name or type(method).__name__
        self.frozen = tuple(frozen)
        self.inputs = (View(2),)
        self.least = 2
        self.traits: tuple[Trait, ...] = ()
        try:
            terms(self.fresh(), self.batch)
        except Exception as error:
            shapes = ", ".join(str(tuple(part.shape)) for part in self.batch)
            raise Uncallable(
                f"{self.name}.terms could not be called with a batch of shapes {shapes}: "
                f"{type(error).__name__}: {error}. Pass batch= as terms takes it."
            ) from error

    def fresh(self) -> Method:
        """Return a copy of the method, in train mode, at step 0, swept once."""
        method = copy.deepcopy(self.method).train()
        method.step, method.progress = 0, 0.0
        if hasattr(method, "sweep"):
            torch.default_generator.manual_seed(0)
            method.sweep([self.plain])  # pyright: ignore[reportCallIssue]
        return method

    def given(self) -> Batch:
        """Return what the energy takes: the views of the batch, the first again if too few."""
        x = self.batch[0]
        views = [part for part in self.batch if part.shape == x.shape and part.dtype == x.dtype]
        wanted = inputs(self.method.energy)
        return tuple((views + [x] * wanted)[:wanted])

    def trained(self, steps: int = 2) -> tuple[Method, set[str]]:
        """Return a copy after some steps, and the names of the parameters that got a gradient."""
        method = self.fresh()
        if not any(p.requires_grad for p in method.parameters()):
            if hasattr(method, "sweep"):
                for _ in range(steps):
                    method.sweep([self.plain])  # pyright: ignore[reportCallIssue]
            return method, set()
        reached: set[str] = set()
        optimizer = torch.optim.Adam([p for p in method.parameters() if p.requires_grad], lr=1e-3)
        for step in range(steps):
            method.step, method.progress = step, step / steps
            values = terms(method, self.batch, seed=step)
            optimizer.zero_grad(set_to_none=True)
            torch.stack([value.mean() for value in values.values()]).sum().backward()
            reached |= {name for name, p in method.named_parameters() if p.grad is not None}
            optimizer.step()
            for module in method.modules():
                if isinstance(module, Memory):
                    module.commit()
            if hasattr(method, "after_step"):
                method.after_step()  # pyright: ignore[reportCallIssue]
        method.step, method.progress = steps, 1.0
        return method, reached


def terms(method: Method, batch: Batch, seed: int = 0) -> dict[str, Tensor]:
    """Return the terms of a batch, drawn from a fixed seed."""
    torch.default_generator.manual_seed(seed)
    return method(*batch)


@law(small=False, kinds=("gaussian",), share=0.04, scale="none: shapes and names are exact")
def terms_are_named_numbers(trainee: Any, case: Case, claim: Any) -> None:
    """The terms are named, finite, floating-point values, each (batch,) or ()."""
    method = trainee.fresh()
    values = terms(method, trainee.batch)
    if not isinstance(values, dict) or not values:
        raise Violation(f"terms must return a dict of named values, got {values!r:.80}.")
    for name, value in values.items():
        if not isinstance(value, Tensor) or value.ndim > 1 or not value.is_floating_point():
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise Violation(f"term {name!r} must have shape () or (batch,), got {shape}.")
        if not bool(value.isfinite().all()):
            raise Violation(f"term {name!r} is not finite on its first batch.")


@law(small=False, kinds=("gaussian",), share=0.04, scale="none: bit for bit")
def terms_write_nothing(trainee: Any, case: Case, claim: Any) -> None:
    """Terms do not depend on the calls before them: memories are written after the step."""
    method = trainee.trained(1)[0].train()
    before = [part.clone() for part in trainee.batch]
    other = tuple(p.flip(0) * 0.7 if p.is_floating_point() else p for p in trainee.batch)
    first = {name: value.detach() for name, value in terms(method, trainee.batch).items()}
    terms(method, other, seed=1)
    second = {name: value.detach() for name, value in terms(method, trainee.batch).items()}
    for name, value in first.items():
        if not torch.equal(value, second[name]):
            error = float((value - second[name]).abs().max())
            message = f"term {name!r} differs after another call: terms changed the state."
            raise Violation(message, error, 0.0)
    for i, (part, kept) in enumerate(zip(trainee.batch, before, strict=True)):
        if not torch.equal(part, kept):
            raise Violation(f"terms changed tensor {i + 1} of the batch in place.")


@law(small=False, kinds=("gaussian",), share=0.04, scale="none: shapes are exact")
def energy_of_every_example(trainee: Any, case: Case, claim: Any) -> None:
    """The method answers energy(x, ...) with one finite number per example."""
    method = trainee.trained(1)[0].eval()
    given = trainee.given()
    n = len(trainee.batch[0])
    with torch.no_grad():
        value = method.energy(*given)
    if not isinstance(value, Tensor) or tuple(value.shape) != (n,):
        found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise Violation(f"energy must return one value per example, ({n},), got {found}.")
    if not bool(value.isfinite().all()):
        raise Violation("energy is not finite after a step.")


def _trains(trainee: Any) -> str | None:
    free = any(p.requires_grad for p in trainee.method.parameters())
    return None if free else "it has no trainable parameters"


@law(
    applies=_trains,
    small=False,
    kinds=("gaussian",),
    share=0.04,
    scale="none: a gradient exists or does not",
    conditions="a round of eight where players move in turn; a constant in the energy needs none",
)
def every_parameter_gets_a_gradient(trainee: Any, case: Case, claim: Any) -> None:
    """Within two steps, or a round of turns, every trainable parameter gets a gradient."""
    _, reached = trainee.trained(2)
    if len(reached) < sum(p.requires_grad for p in trainee.method.parameters()):
        _, reached = trainee.trained(ROUND)
    free = [name for name, p in trainee.method.named_parameters() if p.requires_grad]
    missing = [n for n in free if n not in reached and not n.startswith(trainee.frozen or ("\0",))]
    missing = [name for name in missing if not _shifts_the_energy(trainee, name)]
    if missing:
        listed = ", ".join(missing[:4])
        message = f"no gradient reaches {listed}. Use it in terms, or requires_grad_(False)."
        raise Violation(message, len(missing), 0.0)


def _shifts_the_energy(trainee: Any, name: str) -> bool:
    """Return whether a parameter only adds a constant to the energy, which no score sees."""
    method = trainee.fresh().eval()
    given = trainee.given()
    with torch.no_grad():
        before = method.energy(*given)
        dict(method.named_parameters())[name].add_(0.5)
        change = method.energy(*given) - before
    tolerance = 1e-4 * float(change.abs().max())
    return tolerance > 0 and float(change.max() - change.min()) <= tolerance


@law(small=False, kinds=("gaussian",), share=0.04, scale="none: bit for bit")
def checkpoint_holds_everything(trainee: Any, case: Case, claim: Any) -> None:
    """A state dict, loaded into a fresh copy, gives the terms of the trained method."""
    method, _ = trainee.trained(2)
    other = trainee.fresh()
    try:
        other.load_state_dict(method.state_dict())
    except RuntimeError as error:
        message = f"its own state cannot be loaded: {str(error).splitlines()[-1].strip()[:200]}"
        raise Violation(message) from error
    other.step, other.progress = method.step, method.progress
    expected, found = terms(method, trainee.batch), terms(other, trainee.batch)
    for name, value in expected.items():
        if not torch.equal(value.detach(), found[name].detach()):
            error = float((value - found[name]).abs().max())
            message = f"term {name!r} differs after loading. Register what it depends on."
            raise Violation(message, error, 0.0)


def _chains(trainee: Any) -> str | None:
    method = trainee.method
    sampler = getattr(method, "sampler", None)
    if sampler is None or not hasattr(method, "negatives") or not hasattr(sampler, "step_size"):
        return "it makes no negatives with a sampler"
    if any(isinstance(module, Replay) for module in method.modules()):
        return "its chains persist"
    return None


@law(applies=_chains, small=False, kinds=("gaussian",), share=0.04, scale="1e-3 of the data")
def chains_start_at_the_data(trainee: Any, case: Case, claim: Any) -> None:
    """With a vanishing step the negatives are the data: the chains start there."""
    method = trainee.fresh()
    method.sampler = dataclasses.replace(method.sampler, step_size=1e-12)
    x = trainee.batch[0]
    torch.default_generator.manual_seed(4321)
    negatives = method.negatives(x)
    if negatives.requires_grad:
        raise Violation("the negatives carry a gradient. Detach them.")
    error = float((negatives - x).abs().max())
    allowed = 1e-3 * float(x.abs().max())
    if error > allowed:
        raise Violation("with a step of 1e-12 the negatives are not the data.", error, allowed)


@law(applies=_trains, small=False, kinds=("gaussian",), share=0.04, scale="float32's rounding")
def no_gradient_through_negatives(trainee: Any, case: Case, claim: Any) -> None:
    """What a sampler made carries no gradient back to the energy."""
    method = trainee.fresh()
    if not hasattr(method, "negatives"):
        raise Vacuous("it makes no negatives")
    try:
        made = method.negatives(trainee.batch[0])
    except TypeError as error:
        raise Vacuous("its negatives take other arguments") from error
    found = made if isinstance(made, tuple | list) else [made]
    if any(isinstance(part, Tensor) and part.requires_grad for part in found):
        raise Violation("the negatives carry a gradient. Detach them.")


LAWS = (
    terms_are_named_numbers,
    terms_write_nothing,
    energy_of_every_example,
    every_parameter_gets_a_gradient,
    checkpoint_holds_everything,
    chains_start_at_the_data,
    no_gradient_through_negatives,
)
