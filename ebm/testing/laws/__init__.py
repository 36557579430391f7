"""One object per law: its name, its statement, its conditions, its tolerance, its check.

`UNIVERSAL` holds for everything; `of(trait)` gives the laws that a claim stands for;
`OBSERVED` are the claims that an audit tries on a stranger who claims nothing.
"""

from ebm import traits
from ebm.testing.law import Law
from ebm.testing.laws import (
    bounds,
    configurations,
    contrastive,
    gradients,
    invariance,
    latents,
    memories,
    methods,
    objectives,
    partitions,
    precision,
    processes,
    samplers,
    shards,
    universal,
)
from ebm.testing.laws.bounds import (
    bound_attained,
    collapse_value,
    lower_bound,
    undecided_value,
    upper_bound,
)
from ebm.testing.laws.bounds import prevents_collapse as prevents_collapse
from ebm.testing.laws.configurations import batch_independence as batch_independence
from ebm.testing.laws.precision import compiled as compiled
from ebm.testing.laws.universal import batch_of_one as batch_of_one
from ebm.testing.laws.universal import finite_at_zero as finite_at_zero
from ebm.traits import Trait

ALL: tuple[Law, ...] = (
    *universal.LAWS,
    *invariance.LAWS,
    *gradients.LAWS,
    *bounds.LAWS,
    *contrastive.LAWS,
    *configurations.LAWS,
    *precision.LAWS,
    compiled,
)
"""Every law of energies and losses."""

UNIVERSAL: tuple[Law, ...] = tuple(law for law in ALL if law.universal)
"""The laws that need no claim."""

FAMILIES: dict[str, tuple[Law, ...]] = {
    "energies and losses": ALL,
    "samplers": samplers.LAWS,
    "methods": methods.LAWS,
    "objectives that fit an energy": objectives.LAWS,
    "memories": memories.LAWS,
    "inference and free energies": latents.LAWS,
    "clustering": partitions.LAWS,
    "processes": (*processes.LAWS, *shards.LAWS),
}
"""Every law, by what it is about."""

_OF: dict[type[Trait], tuple[Law, ...]] = {
    traits.BatchPermutation: (universal.batch_permutation,),
    traits.ViewSwap: (invariance.view_swap, gradients.swapped_gradients),
    traits.Rotation: (invariance.rotation, gradients.torque_vanishes),
    traits.PerViewRotation: (invariance.per_view_rotation,),
    traits.SignFlip: (invariance.sign_flip,),
    traits.DimensionPermutation: (invariance.dimension_permutation,),
    traits.Translation: (invariance.translation, gradients.force_vanishes),
    traits.PerViewTranslation: (invariance.per_view_translation,),
    traits.PositiveScale: (invariance.positive_scale, gradients.gradient_orthogonal_to_row),
    traits.PerViewAffine: (invariance.per_view_affine,),
    traits.ShiftInvariance: (invariance.shift_invariance,),
    traits.Homogeneous: (invariance.homogeneous, gradients.euler),
    traits.MonotoneInNegatives: (contrastive.monotone_in_negatives,),
    traits.PushPull: (contrastive.push_pull,),
    traits.PreventsCollapse: (prevents_collapse,),
    traits.LowerBound: (lower_bound,),
    traits.UpperBound: (upper_bound,),
    traits.CollapseValue: (collapse_value,),
    traits.UndecidedValue: (undecided_value,),
    traits.Target: (gradients.target_gets_no_gradient,),
}

OBSERVED: tuple[Trait, ...] = (
    traits.ViewSwap(),
    traits.Rotation(),
    traits.PerViewRotation(),
    traits.SignFlip(),
    traits.DimensionPermutation(),
    traits.Translation(),
    traits.PerViewTranslation(),
    traits.PositiveScale(),
    traits.PerViewAffine(),
    traits.ShiftInvariance(),
    traits.MonotoneInNegatives(),
    traits.PushPull(down=None),
    traits.LowerBound(0.0),
    traits.PreventsCollapse(),
)
"""What is tried on a stranger; failing it is an observation, not a fault."""


def of(trait: Trait) -> tuple[Law, ...]:
    """Return the laws that a claim stands for; none for a plain statement such as Views."""
    laws = _OF.get(type(trait), ())
    if getattr(trait, "attained", False):
        return (*laws, bound_attained)
    return laws
