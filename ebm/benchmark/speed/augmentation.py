"""Views: SimCLR's augmentation of a batch, beside lightly's of pictures and kornia's."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ebm import views
from ebm.benchmark.speed.peers import Peers
from ebm.benchmark.speed.race import Task, Work


def tasks(peers: Peers, device: torch.device, *, quick: bool = False) -> Iterator[Task]:
    """Yield the tasks."""
    for side, count in ((32, 32),) if quick else ((32, 256), (32, 1024), (96, 128)):
        x = pictures(count, side).to(device)
        recipe = views.Recipe.simclr(side)
        theirs: dict[str, Work] = {}
        if work := lightly(peers, x):
            theirs["lightly"] = work
        if work := _kornia(peers, x):
            theirs["kornia"] = work
        ours: Work = lambda recipe=recipe, x=x: recipe(x)  # noqa: E731
        size = f"{count} pictures of {side} x {side}"
        yield Task("views", "SimCLR, with blur", size, ours, theirs, time_goal=1.0, seconds=4)
        if side == 32 and "lightly" in theirs:
            pictures_first = {"lightly": theirs["lightly"]}
            yield Task(
                "views", "SimCLR, with blur, one by one", size, ours, pictures_first,
                time_goal=0.1, seconds=2,
            )  # fmt: skip


def pictures(count: int, side: int) -> Tensor:
    """Return smooth random pictures, (count, 3, side, side), in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 8, 8, generator=generator)
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")


def lightly(peers: Peers, x: Tensor) -> Work | None:
    """Return lightly's views of the pictures, one after another through PIL."""
    transforms = peers.module("lightly", "lightly.transforms.simclr_transform")
    if transforms is None:
        return None
    from PIL import Image

    transform = transforms.SimCLRViewTransform(input_size=x.shape[2], normalize=None)
    turned = (255 * x).byte().permute(0, 2, 3, 1).cpu().numpy()
    raw = [Image.fromarray(picture) for picture in turned]
    return lambda: torch.stack([transform(picture) for picture in raw]).to(x.device)


def _kornia(peers: Peers, x: Tensor) -> Work | None:
    k: Any = peers.module("kornia", "kornia.augmentation")
    if k is None:
        return None
    side = x.shape[2]
    kernel = max(3, int(0.1 * side) // 2 * 2 + 1)
    transform = torch.nn.Sequential(
        k.RandomResizedCrop((side, side), scale=(0.08, 1.0)),
        k.RandomHorizontalFlip(),
        k.ColorJitter(0.8, 0.8, 0.8, 0.2, p=0.8),
        k.RandomGrayscale(p=0.2),
        k.RandomGaussianBlur((kernel, kernel), (0.1, 2.0), p=0.5),
    )
    return lambda: transform(x)
