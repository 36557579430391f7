"""Draw the picture of the README: python docs/picture.py (a minute)."""

from pathlib import Path

import torch
from matplotlib.figure import Figure

import ebm
import methods
import toy_data

BOUNDS = ((-3.3, 3.3), (-2.6, 2.6))


class Ring(ebm.Energy):
    def forward(self, x):
        return (x.norm(dim=-1) - 1.5).square()


def sampled(energy, generator):
    start = torch.randn(600, 2, generator=generator)
    return ebm.samplers.HMC(0.05).move(energy, start, 200, generator)


def main() -> None:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    data = toy_data.two_moons(10_000, generator=generator)
    model = methods.ContrastiveDivergence(ebm.energies.MLP(2))
    ebm.fit(model, data, steps=2_000, seed=0)
    ring = 4 * Ring()
    both = ring + model.energy

    figure = Figure(figsize=(13.2, 3.9), layout="constrained")
    panels = [
        ("written down, and sampled: a ring", ring, {"samples": sampled(ring, generator)}),
        ("learned from data: contrastive divergence", model.energy, {"data": data[:600]}),
        ("their sum, sampled: energies add", both, {"samples": sampled(both, generator)}),
    ]
    for ax, (title, energy, points) in zip(figure.subplots(1, 3), panels, strict=True):
        (shown,) = points.values()
        ebm.landscape.draw(ebm.landscape.grid(energy, BOUNDS, data=shown), ax, **points)
        ax.set_title(title, loc="left", fontsize=11)
        ax.set_xlabel("")
    path = Path(__file__).parent / "_static" / "energies.png"
    figure.savefig(path, dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    main()
