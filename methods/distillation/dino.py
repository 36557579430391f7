"""DINO: self-distillation with no labels.

A student matches the distribution that a slow average of itself gives to another view over K
outputs without a meaning. Centering keeps one output from winning everywhere, sharpening
keeps all of them from being equal; a loss that stays at log K is the second collapse.

    E(x, y) = -sum_k p_k(y) log softmax_k(s(x) / T),    p = softmax((t(y) - center) / T_t)
    L = mean over teacher views t and student views s != t of E
    center <- center_momentum * center + (1 - center_momentum) * mean t, after the step

with s = prototypes(projector(encoder(.))) and t its running average. The teacher sees the
first two views, the student all.

Reference: Caron et al., "Emerging properties in self-supervised vision transformers",
ICCV 2021, arXiv:2104.14294, eqs. 1 to 4 and algorithm 1.
Differs: each view is a forward pass of its own, where the authors join crops of one size, which
only batch norm could tell; gradient clipping and the schedules of weight decay and of the
teacher's temperature are the caller's.
"""

import torch
from torch import Tensor, nn

from ebm import Method, checks, distributed, frozen, networks, terms
from ebm.memory import Center, Teacher, rising
from ebm.shapes import Embeddings, Energies


class DINO(Method):
    """Match a slow teacher's centered, sharpened outputs on other views.

    Args:
        encoder: Makes the representation that is kept.
        projector: Makes the embedding that meets the prototypes.
        prototypes: The K outputs.
        temperature: Of the student's distribution.
        teacher_temperature: Of the teacher's distribution.
        momentum: Share of the teacher that stays at the first step; it rises to 1.
        center_momentum: Share of the center that stays at a step.
        frozen_steps: First steps in which the prototypes do not learn.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module,
        prototypes: networks.Prototypes,
        *,
        temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        momentum: float = 0.996,
        center_momentum: float = 0.9,
        frozen_steps: int = 0,
    ) -> None:
        super().__init__()
        self.student = nn.Sequential(encoder, projector, prototypes)
        self.momentum = checks.fraction("momentum", momentum)
        self.teacher = Teacher(self.student, momentum=momentum)
        self.center = Center(prototypes.features, momentum=center_momentum)
        self.frozen_steps = checks.count("frozen_steps", frozen_steps, least=0)
        self.objective = terms.Distillation(
            temperature=temperature, teacher_temperature=teacher_temperature
        )

    @classmethod
    def example(
        cls,
        data: Tensor | tuple[Tensor, ...],
        *,
        encoder: nn.Module | None = None,
        dim: int = 64,
        prototypes: int = 256,
        temperature: float = 0.1,
        teacher_temperature: float = 0.04,
        momentum: float = 0.98,
        center_momentum: float = 0.9,
        frozen_steps: int = 0,
    ) -> "DINO":
        """Return a small instance for points, pictures or a pair of views."""
        encoder = encoder or networks.encoder_for(data)
        return cls(
            encoder,
            networks.MLP([networks.features_of(encoder), 256, dim], activation=nn.GELU),
            networks.Prototypes(dim, prototypes),
            temperature=temperature,
            teacher_temperature=teacher_temperature,
            momentum=momentum,
            center_momentum=center_momentum,
            frozen_steps=frozen_steps,
        )

    @property
    def encoder(self) -> nn.Module:
        """What makes the representation that is kept."""
        return self.student[0]

    def encode(self, x: Tensor) -> Embeddings:
        """Return the representation."""
        return self.encoder(x)

    def energy(self, x: Tensor, y: Tensor) -> Energies:
        """Return the cross-entropy of x's distribution under the teacher's of y."""
        return self.objective(self.student(x), self.teacher(y), self.center.value)

    def terms(self, *views: Tensor) -> dict[str, Tensor]:
        """Return the cross-entropy over pairs of views, two whole ones first, then crops."""
        encoder, projector, prototypes = self.student
        head = frozen(prototypes) if self.step < self.frozen_steps else prototypes
        students = [head(projector(encoder(view))) for view in views]
        teachers = [self.teacher(view) for view in views[:2]]
        value = self.objective.over_views(students, teachers, self.center.value.clone())
        mean = torch.cat(teachers).mean(0)
        self.center.stage(distributed.total(mean) / distributed.world())
        self.teacher.stage(self.student, rising(self.momentum, self.progress))
        return {self.objective.name: value}
