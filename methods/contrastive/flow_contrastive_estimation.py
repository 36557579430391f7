"""Flow contrastive estimation.

Noise contrastive estimation whose noise is a flow, trained in turn to be as hard to tell
from the data as it can. The contrast stays informative to the end; the energy is freer than
the flow, whose samples and densities are exact.

    G(x) = -E(x) - log Z - log q(x),    V = mean log sigmoid(G(x)) + mean log sigmoid(-G(x'))
    the energy and log Z maximize V, the flow q minimizes it,    x' ~ q

Reference: Gao, Nijkamp, Kingma, Xu, Dai & Wu, "Flow contrastive estimation of energy-based
models", CVPR 2020, arXiv:1912.00589, eq. 9-11.
Differs: the flow may also be trained by likelihood, `likelihood_weight`, in place of the
paper's pretraining; the players move in turn, by counted steps.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ebm import Energy, Method, as_energy, checks, energies, frozen


class FlowContrastiveEstimation(Method):
    """E + log Z becomes minus the log density of the data, by contrast with a flow.

    Args:
        energy: The energy to train, x -> (batch,).
        flow: Called without arguments it gives a distribution with `rsample` and
            `log_prob`, as the flows of the package zuko do (`pip install "ebm-framework[flow]"`).
        energy_steps: Steps of the energy for each step of the flow.
        likelihood_weight: Weight of the flow's own negative log likelihood of the data.
    """

    def __init__(
        self,
        energy: Energy | Callable[[Tensor], Tensor],
        flow: nn.Module,
        *,
        energy_steps: int = 4,
        likelihood_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.energy = as_energy(energy)
        self.flow = flow
        self.log_normalizer = nn.Parameter(torch.zeros(()))
        self.energy_steps = checks.count("energy_steps", energy_steps)
        self.likelihood_weight = checks.not_negative("likelihood_weight", likelihood_weight)

    @classmethod
    def example(
        cls, data: Tensor, *, energy_steps: int = 4, likelihood_weight: float = 1.0
    ) -> "FlowContrastiveEstimation":
        """Return a small instance for points.

        Raises:
            ImportError: zuko is missing.
            ValueError: The data are no points.
        """
        if data.ndim != 2:
            raise ValueError(
                f"data must be points, (n, dim), for a flow, got {tuple(data.shape)}. Call "
                ".flatten(1) on small pictures, or use noise contrastive estimation."
            )
        try:
            import zuko
        except ImportError as error:
            raise ImportError(
                'zuko must be installed for a flow. Run pip install "ebm-framework[flow]".'
            ) from error
        flow = zuko.flows.NSF(data.shape[1], transforms=3, hidden_features=(64, 64))
        return cls(
            energies.MLP(data.shape[1]),
            flow,
            energy_steps=energy_steps,
            likelihood_weight=likelihood_weight,
        )

    def log_model(self, x: Tensor) -> Tensor:
        """Return the model's log density as it stands, -E - log Z, (batch,)."""
        return -checks.one_per_example(self.energy(x), len(x)) - self.log_normalizer

    def terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return the contrast for the energy, or against it when it is the flow's turn."""
        if self.step % (self.energy_steps + 1) == self.energy_steps:
            return self.flow_terms(x)
        with torch.no_grad():
            q: Any = self.flow()
            negatives = q.sample((len(x),))
            noise_data, noise_negatives = q.log_prob(x), q.log_prob(negatives)
        return {
            "data": softplus(noise_data - self.log_model(x)),
            "noise": softplus(self.log_model(negatives) - noise_negatives),
        }

    def flow_terms(self, x: Tensor) -> dict[str, Tensor]:
        """Return what the flow minimizes; the energy is seen, not trained."""
        q: Any = self.flow()
        negatives, energy = q.rsample((len(x),)), frozen(self.energy)
        log_normalizer = self.log_normalizer.detach()
        likelihood = q.log_prob(x)
        data = likelihood + energy(x) + log_normalizer
        noise = -energy(negatives) - log_normalizer - q.log_prob(negatives)
        terms = {"flow_data": -softplus(data), "flow_noise": -softplus(noise)}
        if self.likelihood_weight:
            terms["likelihood"] = -self.likelihood_weight * likelihood
        return terms
