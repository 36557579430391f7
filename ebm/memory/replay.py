"""Replay: persistent chains, drawn in turn and written back to their own slots."""

import torch
from torch import Tensor

from ebm import checks, distributed
from ebm.memory.memory import Memory, late_buffer


class Replay(Memory):
    """A buffer of persistent chains.

    Slots are taken in turn, so that none is drawn twice in a step, and the evolved chains
    go back to the slots that they came from: under frozen dynamics no lineage is lost or
    doubled. Each draw restarts a fraction of its chains from fresh starts. The buffer
    fills with the first starts that it sees and lives on their device.

    Args:
        capacity: Number of chains held, over all processes.
        restart: Probability that a drawn chain starts afresh.

    Reference: Tieleman, "Training restricted Boltzmann machines using approximations to
    the likelihood gradient", ICML 2008; Du & Mordatch, NeurIPS 2019, arXiv:1903.08689.
    """

    chains: Tensor
    cursor: Tensor
    filled: Tensor

    def __init__(self, capacity: int = 10_000, *, restart: float = 0.05) -> None:
        super().__init__()
        self.capacity = checks.count("capacity", capacity)
        self.restart = checks.fraction("restart", restart)
        late_buffer(self, "chains")
        self.register_buffer("cursor", torch.zeros((), dtype=torch.long))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    def draw(
        self, starts: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return chains to continue, shaped like the starts, and their slots, (batch,).

        A slot never used before begins at its start, and so does a restarted chain.

        Raises:
            ValueError: More starts, over all processes, than slots, or starts of another
                shape than the chains.
        """
        n, all_n = len(starts), len(starts) * distributed.world()
        if all_n > self.capacity:
            raise ValueError(
                f"capacity must be at least the batch, got capacity={self.capacity} and "
                f"{all_n} chains. Make Replay(capacity) larger or batch_size smaller."
            )
        if self.chains.numel() == 0:
            self.chains = starts.new_zeros(self.capacity, *starts.shape[1:])
        if self.chains.shape[1:] != starts.shape[1:]:
            raise ValueError(
                f"starts must be shaped like the chains, {tuple(self.chains.shape[1:])}, got "
                f"{tuple(starts.shape[1:])}. Use a new Replay for other data."
            )
        if len(self.chains) != self.capacity:
            raise ValueError(
                f"capacity must be that of the loaded chains, {len(self.chains)}, got "
                f"capacity={self.capacity}. Make Replay({len(self.chains)})."
            )
        place = torch.arange(n, device=starts.device) + distributed.rank() * n
        slots = (self.cursor + place) % self.capacity
        fresh = torch.rand(n, device=starts.device, generator=generator) < self.restart
        fresh |= slots >= self.filled
        mask = fresh.view(-1, *[1] * (starts.ndim - 1))
        return torch.where(mask, starts.detach(), self.chains[slots]), slots

    def write(self, slots: Tensor, chains: Tensor) -> None:
        """Write the evolved chains of all processes back to their slots."""
        slots, chains = distributed.gather(slots), distributed.gather(chains.detach())
        self.chains[slots] = chains.to(self.chains.dtype)
        self.cursor += len(slots)
        self.filled.clamp_(min=self.cursor.clamp(max=self.capacity))
        self.cursor %= self.capacity

    def __repr__(self) -> str:
        """Return the constructor call."""
        return f"Replay({self.capacity}, restart={self.restart:g})"
