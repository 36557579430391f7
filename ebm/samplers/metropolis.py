"""The Metropolis correction: accept a proposal so often that the target stays invariant."""

import math

import torch
from torch import Tensor

from ebm.samplers.sampler import State


def log_probability(log_ratio: Tensor, proposed: Tensor) -> Tensor:
    """Return log min(1, ratio), and -inf where the proposed energy is not finite.

    Args:
        log_ratio: Log of pi(x') q(x | x') / (pi(x) q(x' | x)), (batch,).
        proposed: Energies of the proposals, (batch,).
    """
    possible = proposed.isfinite() & ~log_ratio.isnan()
    return torch.where(possible, log_ratio.clamp(max=0), -math.inf)


def accept(
    state: State, proposal: State, log_accept: Tensor, generator: torch.Generator | None
) -> State:
    """Return the proposals that are accepted, and the old state for the others."""
    uniform = torch.rand(
        log_accept.shape, dtype=log_accept.dtype, device=log_accept.device, generator=generator
    )
    accepted = uniform.log() < log_accept
    wide = accepted.view(-1, *[1] * (state.x.ndim - 1))
    return State(
        x=torch.where(wide, proposal.x, state.x),
        energy=torch.where(accepted, proposal.energy, state.energy),
        score=torch.where(wide, proposal.score, state.score),
        accepted=accepted,
        proposal=proposal.x,
    )
