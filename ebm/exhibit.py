"""What a user has named to be looked at: a run, a checkpoint, or a Python file's energy."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

import ebm
from ebm import target as targets
from ebm.energy import Energy
from ebm.landscape import Explorer, Frames
from ebm.recipe import Recipe, first_tensor, load_data
from ebm.samplers import MALA, Chain, chain
from ebm.training import film

SHOWN = 2_000
"""Examples of the data, at most."""

CHAINS = 4
STEPS = 400
THIN = 5


@dataclass(frozen=True)
class Exhibit:
    """An energy of x alone, with its data and its film, if it has them."""

    name: str
    energy: Energy
    data: Tensor | None
    film: Frames | None
    folder: Path
    """Where its pictures go."""

    def through(self, numbers: tuple[int, int, int]) -> "Exhibit":
        """Return the exhibit with these examples first, through which its plane is drawn.

        Raises:
            ValueError: There are no such examples.
        """
        count = 0 if self.data is None else len(self.data)
        if self.data is None or not all(-count <= number < count for number in numbers):
            raise ValueError(
                f"plane must name three of the {count} examples, got {numbers}. "
                "Pass --data NAME and numbers from 0, such as --plane 0 1 2."
            )
        data = torch.cat([self.data[list(numbers)], self.data])
        return replace(self, data=data)

    def check(self) -> None:
        """Refuse an energy that takes no points, where there are no examples for a plane.

        Raises:
            ValueError: The message says which planes there are.
        """
        if self.data is not None:
            return
        try:
            ebm.landscape.grid(self.energy, resolution=2)
        except ValueError as error:
            reason = str(error).partition(" Draw a plane")[0]
            if reason == str(error):
                raise
            raise ValueError(
                f"{reason} Its planes go through three examples: name data of its shape with "
                "--data digits, --data fashion-mnist, --data FOLDER or --data FILE.npy, and "
                "choose the three with --plane 0 1 2."
            ) from error


def find(target: str, data: str | None = None) -> Exhibit:
    """Return what "run", "run/checkpoints/step-000000500.pt" or "file.py:name" names.

    Raises:
        ValueError: It is none of them, or cannot be built again.
        FileNotFoundError: There is no such file or folder.
    """
    path = Path(target)
    examples = None if data is None else first_tensor(load_data(data))
    if path.is_dir() or path.suffix == ".pt":
        return _of_run(path, examples, data)
    if ":" in target:
        energy = ebm.as_energy(targets.load(target))
        shown = None if examples is None else examples[:SHOWN]
        return Exhibit(target.rpartition(":")[2], energy, shown, None, Path())
    cure = "Train a run first: ebm train contrastive-divergence --out runs/a."
    if path.suffix == ".py":
        cure = f"Name what to draw in it: {target}:my_energy."
    raise ValueError(
        f"target must be a run's folder, a step-*.pt file or file.py:name, got {target}. {cure}"
    )


def _of_run(path: Path, data: Tensor | None, named: str | None) -> Exhibit:
    """Return the last energy of a run, or that of one of its checkpoints."""
    above = [path, *path.parents[:2]]
    folder = next((place for place in above if (place / "run.json").exists()), path)
    if path.suffix == ".pt" and not path.exists():
        raise FileNotFoundError(f"path must exist, got {path}. Look in {path.parent}.")
    recipe = Recipe.read(folder, named)
    method, raw, _ = recipe.build()
    ebm.load(path, into=method)
    own = first_tensor(raw)
    if data is not None and (data.ndim != own.ndim or data.shape[1] != own.shape[1]):
        raise ValueError(
            f"data must be shaped like the run's, {tuple(own.shape[1:])} each, got "
            f"{tuple(data.shape[1:])}. Leave --data out to see the run's own."
        )
    examples = (own if data is None else data)[:SHOWN]
    energy = film.energy_of_points(method, examples)
    name = f"{recipe.method} on {recipe.data}"
    frames = film.read(folder / film.FOLDER)
    if frames is not None and path.is_dir():
        return Exhibit(name, energy, examples, frames, folder)
    return Exhibit(name, energy, examples, None, folder)


def explore(first: Exhibit, other: Exhibit | None = None) -> Explorer:
    """Return the explorer of an exhibit, or of two side by side.

    Raises:
        ValueError: An energy takes no points and there are no data for a plane.
    """
    shown = [first] if other is None else [first, other]
    names = [each.name for each in shown]
    if len(set(names)) < len(names):
        names = [f"{each.name} ({each.folder.name})" for each in shown]
    if len(set(names)) < len(names):
        names = ["a", "b"]
    both = dict(zip(names, shown, strict=True))
    flat = first.data is None or first.data.shape[1:] == (2,)
    chains, words = None, "Click to drop particles; drag the surface to turn it."
    if not flat and first.data is not None:
        chains, words = chains_of(first.energy, first.data), "The plane through three images."
    return ebm.landscape.explorer(
        {name: each.energy for name, each in both.items()},
        first.data,
        film={name: each.film for name, each in both.items() if each.film is not None},
        chain=chains,
        title=" and ".join(names),
        subtitle=words,
        start={"scattered": 300} if flat else {},
    )


def chains_of(energy: Energy, data: Tensor) -> Chain:
    """Return chains at temperature 1, half of them from noise like the data, half from data.

    The step size is halved until most proposals are accepted.
    """
    generator = torch.Generator(data.device).manual_seed(0)
    low, high = data.amin(), data.amax()
    noise = torch.rand(CHAINS // 2, *data.shape[1:], generator=generator, dtype=data.dtype)
    x = torch.cat([low + (high - low) * noise, data[: CHAINS - len(noise)]])
    step_size = float(data.flatten(1).var(0).mean().clamp(min=1e-6))
    while step_size > 1e-12:
        trial = chain(MALA(step_size), energy, x, 20, generator=generator, progress=False)
        if trial.acceptance is None or float(trial.acceptance.mean()) > 0.6:
            break
        step_size /= 2
    sampler = MALA(step_size)
    return chain(sampler, energy, x, STEPS, thin=THIN, generator=generator, progress=False)
