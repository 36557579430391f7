"""Views: batched augmentation on the device, every example with its own draw.

Modules of a batch, composed with `nn.Sequential`; what they draw comes from `generator`, or
from torch's default one. Pictures are (batch, channels, height, width) with values in [0, 1].
`fit(..., views=Pair(view))` makes two views of each batch; further tensors of the batch, such
as indices, pass through.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ebm import checks

View = Callable[[Tensor], Tensor]
GRAY = (0.299, 0.587, 0.114)


class Drawing(nn.Module):
    """A view that draws numbers, from its generator or torch's default one."""

    def __init__(self, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.generator = generator

    def uniform(self, x: Tensor, low: float, high: float, *shape: int) -> Tensor:
        """Return numbers between low and high, one for each example, or a shape of them."""
        place = self.generator.device if self.generator is not None else x.device
        drawn = torch.rand((len(x), *shape), device=place, generator=self.generator)
        return (low + (high - low) * drawn).to(x.device)

    def normal(self, x: Tensor) -> Tensor:
        """Return standard normal noise shaped like x."""
        place = self.generator.device if self.generator is not None else x.device
        noise = torch.randn(x.shape, device=place, dtype=x.dtype, generator=self.generator)
        return noise.to(x.device)

    def chosen(self, x: Tensor, probability: float) -> Tensor:
        """Return which examples are changed, (batch,)."""
        return self.uniform(x, 0.0, 1.0) < probability


class Sometimes(Drawing):
    """Changes an example with some probability, and leaves it alone otherwise.

    Args:
        view: The change, a module of a batch.
        probability: That an example is changed.
        generator: Source of the draws.
    """

    def __init__(
        self, view: View, probability: float, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(generator)
        self.view = view
        self.probability = checks.fraction("probability", probability)

    def forward(self, x: Tensor) -> Tensor:
        """Return the batch, some of it changed."""
        chosen = self.chosen(x, self.probability)
        if x.device.type == "cpu":  # elsewhere counting them would wait for the device
            rows = chosen.nonzero().flatten()
            return x.index_copy(0, rows, self.view(x.index_select(0, rows))) if len(rows) else x
        return torch.where(chosen.view(-1, *[1] * (x.ndim - 1)), self.view(x), x)


class Noise(Drawing):
    """x + scale * noise: the view of a point, or grain on an image."""

    def __init__(self, scale: float, *, generator: torch.Generator | None = None) -> None:
        super().__init__(generator)
        self.scale = checks.not_negative("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        """Return a noisy copy."""
        return x + self.scale * self.normal(x)


class Rotation(Drawing):
    """Turns each point of the plane around the origin, by up to `most` radians either way."""

    def __init__(self, most: float, *, generator: torch.Generator | None = None) -> None:
        super().__init__(generator)
        self.most = checks.not_negative("most", most)

    def forward(self, x: Tensor) -> Tensor:
        """Return the turned points."""
        if x.ndim != 2 or x.shape[1] != 2:
            raise ValueError(
                f"x must be points of the plane, (batch, 2), got shape {tuple(x.shape)}. "
                "Use Noise for other data."
            )
        angle = self.uniform(x, -self.most, self.most).to(x.dtype)
        cos, sin = angle.cos(), angle.sin()
        return torch.stack([cos * x[:, 0] - sin * x[:, 1], sin * x[:, 0] + cos * x[:, 1]], dim=1)


class Shift(Drawing):
    """Shifts each image by its own whole number of pixels, up to `most` in each direction."""

    def __init__(self, most: int, *, generator: torch.Generator | None = None) -> None:
        super().__init__(generator)
        self.most = checks.count("most", most)

    def forward(self, x: Tensor) -> Tensor:
        """Return the shifted images; the edge is repeated where nothing was seen."""
        n, _, height, width = x.shape
        padded = functional.pad(x, [self.most] * 4, mode="replicate")
        drawn = self.uniform(x, 0, 2 * self.most + 1, 2).long().clamp(max=2 * self.most)
        rows = (drawn[:, :1] + torch.arange(height, device=x.device))[:, None, :, None]
        columns = (drawn[:, 1:] + torch.arange(width, device=x.device))[:, None, None, :]
        examples = torch.arange(n, device=x.device)[:, None, None, None]
        channels = torch.arange(x.shape[1], device=x.device)[None, :, None, None]
        return padded[examples, channels, rows, columns]


class Flip(Drawing):
    """Mirrors an image left to right, with some probability."""

    def __init__(
        self, probability: float = 0.5, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(generator)
        self.probability = checks.fraction("probability", probability)

    def forward(self, x: Tensor) -> Tensor:
        """Return the batch, some of it mirrored."""
        return torch.where(self.chosen(x, self.probability)[:, None, None, None], x.flip(3), x)


class ResizedCrop(Drawing):
    """Cuts a random box out of each image and resizes it.

    The box has a uniform share of the area and a log-uniform aspect ratio, whole pixels and a
    uniform place; a box that does not fit is drawn again, ten times, then the largest centered
    one of an allowed ratio is taken. Resizing is bilinear and antialiased. Both are those of
    torchvision's RandomResizedCrop, by two small matrices for each image.

    Args:
        size: Height and width of the result.
        scale: Least and largest share of the area.
        ratio: Least and largest width over height.
        generator: Source of the draws.
    """

    def __init__(
        self,
        size: int,
        *,
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(generator)
        self.size = checks.count("size", size)
        for name, (low, high) in (("scale", scale), ("ratio", ratio)):
            if not 0 < low <= high:
                raise ValueError(
                    f"{name} must be two growing positive numbers, got {name}={(low, high)}."
                )
        self.scale, self.ratio = scale, ratio

    def boxes(self, x: Tensor) -> Tensor:
        """Return top, left, height and width of a box for each image, (batch, 4)."""
        height, width = x.shape[2:]
        area = height * width * self.uniform(x, *self.scale, 10)
        aspect = self.uniform(x, math.log(self.ratio[0]), math.log(self.ratio[1]), 10).exp()
        wide, high = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
        fits = (wide > 0) & (wide <= width) & (high > 0) & (high <= height)
        first = fits.float().argmax(dim=1, keepdim=True)
        wide, high = wide.gather(1, first)[:, 0], high.gather(1, first)[:, 0]
        place = self.uniform(x, 0.0, 1.0, 2)
        top = (place[:, 0] * (height - high + 1)).floor()
        left = (place[:, 1] * (width - wide + 1)).floor()
        boxes = torch.stack([top, left, high, wide], dim=1)
        return torch.where(fits.any(dim=1)[:, None], boxes, self._centered(x))

    def _centered(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        high, wide = float(height), float(width)
        if width / height < self.ratio[0]:
            high = float(round(width / self.ratio[0]))
        elif width / height > self.ratio[1]:
            wide = float(round(height * self.ratio[1]))
        corner = [float(round((height - high) / 2)), float(round((width - wide) / 2))]
        return torch.tensor([*corner, high, wide], device=x.device)

    def forward(self, x: Tensor) -> Tensor:
        """Return the crops, (batch, channels, size, size)."""
        boxes = self.boxes(x).to(x.dtype)
        rows = _resizing(boxes[:, 0], boxes[:, 2], x.shape[2], self.size)
        columns = _resizing(boxes[:, 1], boxes[:, 3], x.shape[3], self.size)
        return _both_axes(x, rows, columns)


class ColorJitter(Drawing):
    """Changes brightness, contrast, saturation and hue, by factors drawn for each image.

    The factors and the four changes are those of torchvision's ColorJitter, and so is their
    order, drawn for each image. Saturation and hue leave images of one channel alone.

    Args:
        brightness: The factor lies between 1 - brightness and 1 + brightness.
        contrast: The same for the distance from the mean gray.
        saturation: The same for the distance from each pixel's gray.
        hue: Largest turn either way, in turns.
        generator: Source of the draws.
    """

    def __init__(
        self,
        brightness: float,
        contrast: float,
        saturation: float,
        hue: float,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(generator)
        self.brightness = checks.not_negative("brightness", brightness)
        self.contrast = checks.not_negative("contrast", contrast)
        self.saturation = checks.not_negative("saturation", saturation)
        self.hue = checks.fraction("hue", hue)

    def factors(self, x: Tensor) -> list[Tensor]:
        """Return the factors of brightness, contrast and saturation and the turn of the hue."""
        sizes = (self.brightness, self.contrast, self.saturation)
        drawn = [self.uniform(x, max(0.0, 1 - size), 1 + size) for size in sizes]
        drawn.append(self.uniform(x, -self.hue, self.hue))
        return [value.to(x.dtype).view(-1, 1, 1, 1) for value in drawn]

    def forward(self, x: Tensor) -> Tensor:
        """Return the changed images."""
        factors = self.factors(x)
        changes = self._changes(x)
        order = self.uniform(x, 0.0, 1.0, len(changes)).argsort(dim=1)
        for place in range(len(changes)):
            x = self._step(x, order[:, place], changes, factors)
        return x

    def _changes(self, x: Tensor) -> list[int]:
        """Return the changes that do something, by their place among the factors."""
        sizes = (self.brightness, self.contrast, self.saturation, self.hue)
        return [i for i, size in enumerate(sizes) if size > 0 and (i < 2 or x.shape[1] == 3)]

    def _step(
        self, x: Tensor, chosen: Tensor, changes: Sequence[int], factors: Sequence[Tensor]
    ) -> Tensor:
        """Return the images after one change each, the chosen one."""
        if x.device.type != "cpu":  # there, looking for the rows would wait for the device
            for i, change in enumerate(changes):
                mine = (chosen == i).view(-1, 1, 1, 1)
                x = torch.where(mine, _CHANGES[change](x, factors[change]), x)
            return x
        done = torch.empty_like(x)
        for i, change in enumerate(changes):
            rows = (chosen == i).nonzero().flatten()
            some, factor = (z.index_select(0, rows) for z in (x, factors[change]))
            done.index_copy_(0, rows, _CHANGES[change](some, factor))
        return done


class Grayscale(nn.Module):
    """Gives every channel the gray of the pixel."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the gray images, with as many channels as before."""
        return _gray(x).expand_as(x)


class Blur(Drawing):
    """Blurs each image with a Gaussian of its own width.

    The kernel has an odd number of pixels, about a tenth of the image as in SimCLR, and mirrors
    the image at its edge. It is applied as one small matrix for each axis and image.

    Args:
        sigma: Least and largest standard deviation, in pixels.
        share: Size of the kernel in heights of the image.
        generator: Source of the draws.
    """

    def __init__(
        self,
        sigma: tuple[float, float] = (0.1, 2.0),
        *,
        share: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(generator)
        if not 0 < sigma[0] <= sigma[1]:
            raise ValueError(f"sigma must be two growing positive numbers, got sigma={sigma}.")
        self.sigma = sigma
        self.share = checks.positive("share", share)

    def forward(self, x: Tensor) -> Tensor:
        """Return the blurred images."""
        sigma = self.uniform(x, *self.sigma).to(x.dtype)
        radius = max(1, int(self.share * x.shape[2]) // 2)
        rows, columns = (_blurring(sigma, radius, side) for side in x.shape[2:])
        return _both_axes(x, rows, columns)


class Solarize(nn.Module):
    """Inverts the pixels above a threshold."""

    def __init__(self, threshold: float = 0.5) -> None:
        super().__init__()
        self.threshold = checks.fraction("threshold", threshold)

    def forward(self, x: Tensor) -> Tensor:
        """Return the solarized images."""
        return torch.where(x >= self.threshold, 1 - x, x)


class Jigsaw(Drawing):
    """Cuts each image into a grid of patches, in an order of its own.

    Args:
        grid: Patches along each side.
        jitter: Pixels by which each patch is smaller than its cell, at a random place in it.
        generator: Source of the draws.
    """

    def __init__(
        self, grid: int = 3, *, jitter: int = 0, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(generator)
        self.grid = checks.count("grid", grid)
        self.jitter = checks.count("jitter", jitter, least=0)

    def forward(self, x: Tensor) -> Tensor:
        """Return the patches, (batch, grid * grid, channels, height, width)."""
        cells = [side // self.grid for side in x.shape[2:]]
        if min(cells) <= self.jitter:
            raise ValueError(
                f"grid must leave cells above jitter={self.jitter} pixels, got grid={self.grid} "
                f"for images {tuple(x.shape[2:])}. Use a smaller grid or larger images."
            )
        n, count = len(x), self.grid**2
        patches = x[:, :, : cells[0] * self.grid, : cells[1] * self.grid]
        patches = patches.unflatten(3, (self.grid, -1)).unflatten(2, (self.grid, -1))
        patches = patches.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
        order = self.uniform(x, 0.0, 1.0, count).argsort(dim=1)
        patches = patches[torch.arange(n, device=x.device)[:, None], order]
        if self.jitter == 0:
            return patches
        flat = patches.flatten(0, 1)
        drawn = self.uniform(flat, 0, self.jitter + 1, 2).long().clamp(max=self.jitter)
        high, wide = (cell - self.jitter for cell in cells)
        rows = (drawn[:, :1] + torch.arange(high, device=x.device))[:, None, :, None]
        columns = (drawn[:, 1:] + torch.arange(wide, device=x.device))[:, None, None, :]
        examples = torch.arange(len(flat), device=x.device)[:, None, None, None]
        channels = torch.arange(x.shape[1], device=x.device)[None, :, None, None]
        return flat[examples, channels, rows, columns].unflatten(0, (n, count))


class Patch(nn.Module):
    """One patch that is a whole view: the jigsaw of data without patches, such as points."""

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view

    def forward(self, x: Tensor) -> Tensor:
        """Return the view as the only patch, (batch, 1, *shape)."""
        return self.view(x).unsqueeze(1)


class Single(nn.Module):
    """One view of each example; what follows in the batch passes through."""

    def __init__(self, view: View) -> None:
        super().__init__()
        self.view = view

    def forward(self, x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """Return the view and the rest of the batch."""
        return self.view(x), *rest


class Pair(nn.Module):
    """Two independent views of each example; what follows in the batch passes through.

    Args:
        view: Makes the first view.
        other: Makes the second view; as the first if None.
    """

    def __init__(self, view: View, other: View | None = None) -> None:
        super().__init__()
        self.view, self.other = view, view if other is None else other

    def forward(self, x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """Return two views and the rest of the batch."""
        return self.view(x), self.other(x), *rest


class MultiCrop(nn.Module):
    """Several views of each example, whole ones first; the rest of the batch passes through.

    Args:
        views: A module for each view, or a module and how often it is used.
    """

    def __init__(self, *views: View | tuple[View, int]) -> None:
        super().__init__()
        self.views: list[View] = []
        for view in views:
            several = view if isinstance(view, tuple) else (view, 1)
            self.views += [several[0]] * several[1]

    def forward(self, x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        """Return the views and the rest of the batch."""
        return *(view(x) for view in self.views), *rest


class Recipe(nn.Sequential):
    """The views of a paper: crop, flip, color, gray, blur and solarization, in this order.

    Args:
        size: Height and width of the result.
        scale: Least and largest share of the area in the crop.
        jitter: Brightness, contrast, saturation and hue.
        jitter_probability: That the colors change.
        gray: Probability of gray.
        blur: Probability of a blur.
        solarize: Probability of solarization.
        generator: Source of the draws.
    """

    def __init__(
        self,
        size: int,
        *,
        scale: tuple[float, float] = (0.08, 1.0),
        jitter: tuple[float, float, float, float] = (0.8, 0.8, 0.8, 0.2),
        jitter_probability: float = 0.8,
        gray: float = 0.2,
        blur: float = 0.5,
        solarize: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        views: list[nn.Module] = [
            ResizedCrop(size, scale=scale, generator=generator),
            Flip(generator=generator),
            Sometimes(
                ColorJitter(*jitter, generator=generator), jitter_probability, generator=generator
            ),
            Sometimes(Grayscale(), gray, generator=generator),
        ]
        if blur:
            views.append(Sometimes(Blur(generator=generator), blur, generator=generator))
        if solarize:
            views.append(Sometimes(Solarize(), solarize, generator=generator))
        super().__init__(*views)

    @classmethod
    def simclr(
        cls,
        size: int,
        *,
        strength: float = 1.0,
        blur: float = 0.5,
        generator: torch.Generator | None = None,
    ) -> "Recipe":
        """Return SimCLR's view; its CIFAR-10 runs have strength 0.5 and no blur.

        Reference: Chen et al., arXiv:2002.05709, appendix A and B.9.
        """
        s = strength
        jitter = (0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s)
        return cls(size, jitter=jitter, blur=blur, generator=generator)

    @classmethod
    def moco(cls, size: int, *, generator: torch.Generator | None = None) -> "Recipe":
        """Return the view of MoCo version 2 (arXiv:2003.04297)."""
        jitter = (0.4, 0.4, 0.4, 0.1)
        return cls(size, scale=(0.2, 1.0), jitter=jitter, generator=generator)


def byol(size: int, *, generator: torch.Generator | None = None) -> Pair:
    """Return BYOL's two unlike views, those of VICReg and Barlow Twins too.

    Reference: Grill et al., arXiv:2006.07733, table 6.
    """
    jitter = (0.4, 0.4, 0.2, 0.1)
    first = Recipe(size, jitter=jitter, blur=1.0, generator=generator)
    return Pair(first, Recipe(size, jitter=jitter, blur=0.1, solarize=0.2, generator=generator))


def multi_crop(
    size: int,
    small: int,
    *,
    crops: int = 6,
    whole: Sequence[float] = (0.14, 1.0),
    part: Sequence[float] = (0.05, 0.14),
    generator: torch.Generator | None = None,
) -> MultiCrop:
    """Return two whole views and several small ones, as in SwAV.

    Reference: Caron et al., arXiv:2006.09882, section 3.2 and appendix A.

    Args:
        size: Height and width of the whole views.
        small: Height and width of the small ones.
        crops: Number of the small ones.
        whole: Least and largest share of the area of the whole views.
        part: The same of the small ones.
        generator: Source of the draws.
    """
    full = Recipe(size, scale=(whole[0], whole[1]), generator=generator)
    cut = Recipe(small, scale=(part[0], part[1]), generator=generator)
    return MultiCrop((full, 2), (cut, crops))


def dino(
    size: int, small: int, *, crops: int = 8, generator: torch.Generator | None = None
) -> MultiCrop:
    """Return DINO's two unlike whole views and several small ones.

    The authors resize by cubic interpolation.

    Reference: Caron et al., arXiv:2104.14294, section 3.1 and the authors' main_dino.py.

    Args:
        size: Height and width of the whole views.
        small: Height and width of the small ones.
        crops: Number of the small ones.
        generator: Source of the draws.
    """

    def view(size: int, scale: tuple[float, float], blur: float, solarize: float = 0.0) -> Recipe:
        jitter = (0.4, 0.4, 0.2, 0.1)
        return Recipe(
            size, scale=scale, jitter=jitter, blur=blur, solarize=solarize, generator=generator
        )

    first, second = view(size, (0.4, 1.0), 1.0), view(size, (0.4, 1.0), 0.1, 0.2)
    return MultiCrop(first, second, (view(small, (0.05, 0.4), 0.5), crops))


def pair(data: Tensor) -> Pair:
    """Return a two-view augmentation for data of any kind.

    Points get noise of a tenth of their spread. Images are cropped to 0.3 to 1 of their
    area, change brightness and contrast by up to a half, and get noise like the points:
    what is safe for digits too, so nothing is mirrored.
    """
    checks.configurations("data", data)
    noise = Noise(0.1 * float(data.std()))
    if data.ndim != 4:
        return Pair(noise)
    crop = ResizedCrop(data.shape[-1], scale=(0.3, 1.0))
    return Pair(nn.Sequential(crop, ColorJitter(0.5, 0.5, 0.0, 0.0), noise))


def _both_axes(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return rows @ x @ columns^T for each image and channel."""
    # Columns first: all channels' rows are one matrix, where nothing has to be moved.
    turned = torch.bmm(x.flatten(1, 2), columns.mT).unflatten(1, x.shape[1:3])
    return rows.unsqueeze(1) @ turned


def _resizing(start: Tensor, length: Tensor, side: int, size: int) -> Tensor:
    """Return (batch, size, side) matrices that resize a window, bilinear and antialiased."""
    zoom = (length / size)[:, None]
    centers = start[:, None] + (torch.arange(size, device=start.device) + 0.5) * zoom
    pixels = torch.arange(side, device=start.device) + 0.5
    distance = (pixels - centers[:, :, None]).abs() / zoom.clamp(min=1)[:, :, None]
    inside = (pixels > start[:, None]) & (pixels < (start + length)[:, None])
    weights = (1 - distance).clamp(min=0) * inside[:, None, :]
    return weights / weights.sum(dim=2, keepdim=True)


def _blurring(sigma: Tensor, radius: int, side: int) -> Tensor:
    """Return (batch, side, side) matrices that blur, mirroring at the edge."""
    radius = min(radius, side - 1)
    offsets = torch.arange(-radius, radius + 1, device=sigma.device, dtype=sigma.dtype)
    kernel = (-0.5 * (offsets / sigma[:, None]).square()).exp()
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    place = torch.arange(side, device=sigma.device)[:, None] + offsets.long()
    place = (side - 1) - (side - 1 - place.abs()).abs()
    taps = functional.one_hot(place, side).to(sigma.dtype)
    return torch.einsum("nk,skt->nst", kernel, taps)


def _gray(x: Tensor) -> Tensor:
    if x.shape[1] != 3:
        return x.mean(1, keepdim=True)
    red, green, blue = x.split(1, dim=1)
    return (red * GRAY[0]).add_(green, alpha=GRAY[1]).add_(blue, alpha=GRAY[2])


def _blend(x: Tensor, other: Tensor, share: Tensor) -> Tensor:
    return torch.lerp(other, x, share).clamp_(0, 1)


def _brighten(x: Tensor, factor: Tensor) -> Tensor:
    return (x * factor).clamp_(0, 1)


def _contrast(x: Tensor, factor: Tensor) -> Tensor:
    return _blend(x, _gray(x).mean((1, 2, 3), keepdim=True), factor)


def _saturate(x: Tensor, factor: Tensor) -> Tensor:
    return _blend(x, _gray(x), factor)


def _turn_hue(x: Tensor, turn: Tensor) -> Tensor:
    """Return the pictures with hue + turn, in the HSV color space."""
    red, green, blue = x.unbind(1)
    most = torch.maximum(torch.maximum(red, green), blue)
    least = torch.minimum(torch.minimum(red, green), blue)
    chroma = most - least
    other = torch.where(most == green, blue - red + 2 * chroma, red - green + 4 * chroma)
    hue = torch.where(most == red, green - blue, other)
    hue = hue.div_(chroma.clamp(min=torch.finfo(x.dtype).tiny))
    hue = hue.add_(6 * turn.view(-1, 1, 1)).remainder_(6)
    shares = [(hue - 3).abs_().sub_(1), (hue - 2).abs_().neg_().add_(2)]
    shares.append((hue - 4).abs_().neg_().add_(2))
    colors = torch.stack(shares, dim=1).clamp_(0, 1)
    return colors.mul_(chroma[:, None]).add_(least[:, None])


_CHANGES = (_brighten, _contrast, _saturate, _turn_hue)
"""What ColorJitter does with each of its factors."""
