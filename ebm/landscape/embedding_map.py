"""Embeddings on a map: their two first principal components, with pictures or classes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ebm import checks
from ebm.landscape import canvas, palette, thumbnails
from ebm.landscape.bounds import as_examples

SPRITES = 60
"""Pictures drawn, at most."""


@dataclass(frozen=True)
class EmbeddingMap:
    """Where embeddings lie in their plane of largest variance."""

    positions: NDArray[np.float64]
    """Coordinates along the two first components, (n, 2)."""
    components: NDArray[np.float64]
    """The two components, orthonormal, (2, dim)."""
    center: NDArray[np.float64]
    """The mean of the embeddings, (dim,)."""
    explained: NDArray[np.float64]
    """Their shares of the variance, (2,)."""
    labels: NDArray[np.int64] | None
    """The class of each, (n,), or None."""
    pictures: NDArray[np.float64] | None
    """A picture of each, (n, *shape), or None."""
    size = (6.4, 5.4)

    def locate(self, x: Any) -> NDArray[np.float64]:
        """Return where other embeddings lie on the map, (n, 2)."""
        return (as_examples(x).cpu().double().numpy() - self.center) @ self.components.T

    def draw_on(self, ax: Any) -> None:
        """Draw a dot for each, colored by class, or a picture for some."""
        classes = np.zeros(len(self.positions), int) if self.labels is None else self.labels
        colors = classes % len(palette.LINES)
        for k in np.unique(classes):
            own = self.positions[classes == k]
            style = {"s": 12, "c": palette.color(int(k)), "edgecolors": palette.EDGE}
            marker = "osD^v"[int(k) // len(palette.LINES) % 5]
            label = None if self.labels is None else str(k)
            ax.scatter(*own.T, marker=marker, linewidths=0.3, zorder=2, label=label, **style)
        if self.pictures is not None:
            self._sprites(ax, colors)
        ax.set_aspect("equal", adjustable="datalim")
        canvas.bare(ax)
        canvas.legend(ax, 10)
        first, second = self.explained
        words = f"principal components: {first:.0%} of the variance to the right, {second:.0%} up"
        canvas.caption(ax, f"{words}; distances leave out the rest")

    def _sprites(self, ax: Any, colors: NDArray[np.int64]) -> None:
        from matplotlib.offsetbox import AnnotationBbox, OffsetImage

        taken = np.empty((0, 2))
        span = float(np.ptp(self.positions, axis=0).max()) or 1.0
        pictures: Any = self.pictures
        low, high = float(pictures.min()), float(pictures.max())
        for i, place in enumerate(self.positions):
            if len(taken) >= SPRITES or (np.abs(taken - place).max(1) < 0.07 * span).any():
                continue
            shown = thumbnails.picture((pictures[i] - low) / ((high - low) or 1.0))
            if shown is None:
                return
            taken = np.concatenate([taken, place[None]])
            zoom = 18 / max(shown.shape[:2])
            image = OffsetImage(shown, zoom=zoom, cmap="gray", interpolation="nearest")
            image.image.set_clim(0, 1)
            frame = {"edgecolor": palette.color(int(colors[i])), "linewidth": 1.2}
            ax.add_artist(AnnotationBbox(image, place, pad=0.06, bboxprops=frame, zorder=3))


def embedding_map(z: Any, labels: Any = None, pictures: Any = None) -> EmbeddingMap:
    """Return the principal-component map of embeddings.

    Args:
        z: Embeddings, (n, dim), n at least 2 and dim at least 2.
        labels: Their classes, (n,).
        pictures: A picture of each, (n, *shape), drawn where there is room.

    Raises:
        ValueError: The embeddings are no such matrix, or labels or pictures are not n.
    """
    x = as_examples(z, "z")
    checks.embeddings(x, least=2, user="a map")
    if x.shape[1] < 2:
        raise ValueError(f"z must have at least 2 dimensions, got {x.shape[1]}. Use a histogram.")
    classes = None if labels is None else torch.as_tensor(labels).detach().cpu().long().numpy()
    images = None if pictures is None else as_examples(pictures, "pictures").cpu().double().numpy()
    for name, values in (("labels", classes), ("pictures", images)):
        if values is not None and len(values) != len(x):
            raise ValueError(f"{name} must be as many as z, {len(x)}, got {len(values)}.")
    rows = x.cpu().double().numpy()
    center = rows.mean(0)
    _, singular, axes = np.linalg.svd(rows - center, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2, np.abs(axes[:2]).argmax(1)].diagonal())[:, None]
    explained = (singular[:2] ** 2) / max(float((singular**2).sum()), 1e-30)
    return EmbeddingMap((rows - center) @ axes.T, axes, center, explained, classes, images)
