"""One line in a test file: a plain failure with a minimal counterexample and the numbers."""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from ebm.method import Method
from ebm.samplers import Sampler
from ebm.testing.audit import judge, plan
from ebm.testing.inputs import Example, Input, View
from ebm.testing.law import Violation
from ebm.testing.laws import configurations, methods, samplers
from ebm.testing.laws.methods import Trainee
from ebm.testing.laws.samplers import Kernel
from ebm.testing.subject import Subject
from ebm.traits import Trait


def check_loss(
    loss: Any,
    traits: Iterable[Trait] = (),
    *,
    inputs: Sequence[Input] | None = None,
    cases: int = 50,
    seed: int | None = None,
) -> None:
    """Raise a violation unless a loss obeys the universal laws and its claims.

    >>> import ebm.testing, torch
    >>> from ebm.traits import Rotation, Translation
    >>> def loss(x, y):
    ...     return (x - y).square().sum(dim=1).mean()
    >>> ebm.testing.check_loss(loss, {Rotation(), Translation()})

    Args:
        loss: A function of tensors, a module or an energy of views.
        traits: What is claimed of it beside what it states itself.
        inputs: What it is called with; found out by calling it if None.
        cases: Batches drawn for each law.
        seed: Draws other batches; the same ones every time if None.

    Raises:
        Violation: A law fails; an AssertionError with the minimal counterexample.
        ValueError: The loss could not be called.
    """
    subject = Subject(loss, inputs, _ordered(traits))
    for law, claim, claimed in plan(subject, observe=False):
        if claimed:
            _demand(subject, law, claim, cases, seed)


def check_energy(
    energy: Any,
    *,
    dim: int | None = None,
    shape: tuple[int, ...] | None = None,
    traits: Iterable[Trait] = (),
    inputs: Sequence[Input] | None = None,
    cases: int = 50,
    seed: int | None = None,
) -> None:
    """Raise a violation unless an energy gives one sound number per example.

    Beside the universal laws and its claims: batched equals looped, the score is the
    gradient, and its curl vanishes.

    Args:
        energy: A function of configurations (n, dim) or (n, *shape), and what is given.
        dim: Numbers in a configuration; found out by calling it if None.
        shape: Shape of a configuration that is no vector, such as (1, 28, 28).
        traits: What is claimed of it beside what it states itself.
        inputs: What it is called with, where that is more than one configuration.
        cases: Batches drawn for each law.
        seed: Draws other batches; the same ones every time if None.

    Raises:
        Violation: A law fails; an AssertionError with the minimal counterexample.
        ValueError: The energy could not be called.
    """
    if inputs is None and shape is not None:
        inputs = (Example(shape),)
    elif inputs is None and dim is not None:
        inputs = (View(dim),)
    subject = Subject(energy, inputs, _ordered(traits))
    own = (
        (configurations.batch_independence, None),
        (configurations.score_is_the_gradient, None),
        (configurations.curl_vanishes, None),
    )
    tried = [(law, claim) for law, claim, claimed in plan(subject, observe=False) if claimed]
    tried += [item for item in own if item not in tried]
    for law, claim in tried:
        _demand(subject, law, claim, cases, seed)
    if not subject.each:
        raise Violation(
            "energy must return one value per example, got (). Remove .mean() or .sum() over "
            "the batch."
        )


def check_sampler(
    sampler: Sampler,
    *,
    exact: bool | None = None,
    cases: int = 25,
    seed: int | None = None,
) -> None:
    """Raise a violation unless a sampler obeys the laws of samplers.

    Equal seeds give equal chains, flags stay as they were, the state is current, constants
    and units of energy do not matter, and the target is left invariant: by exact identities
    where the sampler shows its proposal, by seeded means over chains otherwise.

    Args:
        sampler: The sampler.
        exact: Whether it leaves its target exactly invariant; true of one that rejects if
            None. One that is not may be off by its step size.
        cases: Batches drawn for each exact law.
        seed: Draws other batches; the same ones every time if None.

    Raises:
        Violation: A law fails; an AssertionError with the numbers.
    """
    kernel = Kernel(sampler, exact=exact)
    for law in samplers.LAWS:
        _demand(kernel, law, None, cases, seed)


def check_method(
    method: Method,
    batch: Tensor | Sequence[Tensor],
    *,
    plain: Sequence[Tensor] | None = None,
    frozen: Sequence[str] = (),
    seed: int | None = None,
) -> None:
    """Raise a violation unless a method obeys the laws of methods.

    Its terms are named numbers, write nothing before the step is done, and reach every
    parameter; its energy gives one number per example; its checkpoint holds everything.

    Args:
        method: The method; every law works on a copy.
        batch: What its `terms` takes: a tensor, or one for each argument.
        plain: What its `sweep` sees where that is not the batch.
        frozen: Starts of the names of parameters that get no gradient by design.
        seed: Seed of the draws; the same ones every time if None.

    Raises:
        Violation: A law fails; an AssertionError.
        ValueError: `terms` could not be called with the batch.
    """
    trainee = Trainee(method, batch, None, frozen, plain)
    for law in methods.LAWS:
        _demand(trainee, law, None, 2, seed)


def _demand(subject: Any, law: Any, claim: Any, cases: int, seed: int | None) -> None:
    verdict = judge(law, subject, claim, cases=cases, seed=seed)
    if verdict.outcome == "fails":
        raise verdict.violation or Violation(f"{verdict.law}: {verdict.reason}")


def _ordered(traits: Iterable[Trait]) -> tuple[Trait, ...]:
    return tuple(sorted(traits, key=lambda trait: type(trait).__name__))
