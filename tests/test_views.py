"""Views draw from the papers' distributions and change each example by its own draw."""

import colorsys
import itertools
import math
import random
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ebm import views


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int = 4, channels: int = 3, height: int = 12, width: int = 12) -> Tensor:
    return torch.rand(n, channels, height, width, generator=seeded(3))


PICTURE_VIEWS = {
    "noise": lambda g: views.Noise(0.1, generator=g),
    "shift": lambda g: views.Shift(2, generator=g),
    "flip": lambda g: views.Flip(generator=g),
    "crop": lambda g: views.ResizedCrop(12, generator=g),
    "jitter": lambda g: views.ColorJitter(0.8, 0.8, 0.8, 0.2, generator=g),
    "blur": lambda g: views.Blur(generator=g),
    "sometimes": lambda g: views.Sometimes(views.Solarize(), 0.5, generator=g),
    "simclr": lambda g: views.Recipe.simclr(12, generator=g),
    "moco": lambda g: views.Recipe.moco(12, generator=g),
    "jigsaw": lambda g: views.Jigsaw(2, jitter=1, generator=g),
}


@pytest.mark.parametrize("name", PICTURE_VIEWS)
def test_each_example_has_its_own_draw_and_the_seed_repeats_it(name: str) -> None:
    x = pictures(1).expand(16, -1, -1, -1)
    first, again = (PICTURE_VIEWS[name](seeded(5))(x) for _ in range(2))
    assert torch.equal(first, again)
    assert len(first.flatten(1).unique(dim=0)) > 1
    other = PICTURE_VIEWS[name](seeded(6))(x)
    assert not torch.equal(first, other)
    torch.manual_seed(1)  # without a generator, torch's default one
    default = PICTURE_VIEWS[name](None)(x)
    torch.manual_seed(1)
    assert torch.equal(default, PICTURE_VIEWS[name](None)(x))


@pytest.mark.parametrize("box", [(0, 0, 12, 12), (2, 3, 5, 7), (4, 1, 8, 2), (11, 0, 1, 12)])
@pytest.mark.parametrize("size", [6, 12, 17])
def test_resizing_is_pillows(box: tuple[int, int, int, int], size: int) -> None:
    from PIL import Image

    x = pictures(1)
    crop = views.ResizedCrop(size)
    crop.boxes = lambda x: torch.tensor([box], dtype=torch.float32)  # pyright: ignore
    ours = crop(x)[0, 0]
    top, left, high, wide = box
    part = Image.fromarray(x[0, 0, top : top + high, left : left + wide].numpy(), mode=None)
    theirs = np.asarray(part.resize((size, size), Image.Resampling.BILINEAR))
    assert torch.allclose(ours, torch.from_numpy(theirs.copy()), atol=2e-6)


def torchvisions_box(height: int, width: int, draw: random.Random) -> tuple[int, int, int, int]:
    """RandomResizedCrop.get_params, written out."""
    for _ in range(10):
        area = height * width * draw.uniform(0.08, 1.0)
        aspect = math.exp(draw.uniform(math.log(3 / 4), math.log(4 / 3)))
        wide, high = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < wide <= width and 0 < high <= height:
            return draw.randint(0, height - high), draw.randint(0, width - wide), high, wide
    return 0, 0, height, width


def test_crops_are_distributed_as_torchvisions() -> None:
    n, draw = 20_000, random.Random(0)
    theirs = torch.tensor([torchvisions_box(32, 32, draw) for _ in range(n)]).float()
    x = torch.empty(n, 1, 32, 32)
    ours = views.ResizedCrop(32, generator=seeded()).boxes(x)
    assert bool((ours == ours.round()).all())
    assert bool((ours[:, 0] + ours[:, 2] <= 32).all())
    assert bool((ours[:, 1] + ours[:, 3] <= 32).all())

    def features(boxes: Tensor) -> Tensor:
        top, left, high, wide = boxes.T
        return torch.stack([top, left, high, wide, high * wide, (wide / high).log()], dim=1)

    a, b = features(ours), features(theirs)
    for column in range(a.shape[1]):  # two-sample Kolmogorov-Smirnov at about 1e-6
        values = torch.cat([a[:, column], b[:, column]]).unique()
        cdf = [
            torch.searchsorted(s[:, column].sort().values, values, right=True) / n for s in (a, b)
        ]
        assert float((cdf[0] - cdf[1]).abs().max()) < 2.7 * math.sqrt(2 / n)


def test_hue_turns_as_in_colorsys() -> None:
    x = torch.rand(5, 3, 4, 4, generator=seeded(), dtype=torch.float64)
    x[0, :, 0, 0] = 0.5  # gray has no hue
    x[0, :, 0, 1] = torch.tensor([1.0, 0, 0])
    turn = torch.tensor([-0.2, -0.05, 0.0, 0.1, 0.5], dtype=torch.float64).view(-1, 1, 1, 1)
    ours = views._turn_hue(x, turn)
    for i in range(5):
        for row in range(4):
            for column in range(4):
                h, s, v = colorsys.rgb_to_hsv(*x[i, :, row, column].tolist())
                expected = colorsys.hsv_to_rgb((h + float(turn[i])) % 1, s, v)
                assert ours[i, :, row, column].tolist() == pytest.approx(expected, abs=1e-12)


def test_jitter_in_closed_form_and_its_range() -> None:
    x = pictures(4000, 3, 2, 2)
    jitter = views.ColorJitter(0.8, 0.4, 0.2, 0.1, generator=seeded())
    brightness, contrast, saturation, hue = (f.flatten() for f in jitter.factors(x))
    for drawn, low, high in (
        (brightness, 0.2, 1.8),
        (contrast, 0.6, 1.4),
        (saturation, 0.8, 1.2),
        (hue, -0.1, 0.1),
    ):
        assert low <= float(drawn.min()) < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < float(drawn.max()) <= high
    x = pictures(6)
    only = views.ColorJitter(0.8, 0, 0, 0, generator=seeded(2))
    factor = views.ColorJitter(0.8, 0, 0, 0, generator=seeded(2)).factors(x)[0]
    assert torch.allclose(only(x), (x * factor).clamp(0, 1), atol=1e-5)
    gray = (x * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    assert torch.allclose(views.Grayscale()(x), gray.expand_as(x), atol=1e-6)
    share = torch.full((6, 1, 1, 1), 0.5)
    assert torch.allclose(views._blend(x, gray, share), (x + gray) / 2, atol=1e-6)
    one = pictures(6, 1)
    assert views.ColorJitter(0.1, 0.1, 0.5, 0.5)(one).shape == one.shape


def plain_changes(x: Tensor, factors: list[float]) -> list[Callable[[Tensor], Tensor]]:
    """torchvision's four changes of one picture in [0, 1], written out."""
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=x.dtype).view(3, 1, 1)

    def blend(x: Tensor, other: Tensor, factor: float) -> Tensor:
        return (factor * x + (1 - factor) * other).clamp(0, 1)

    def turned(x: Tensor) -> Tensor:
        y = x.clone()
        for row in range(x.shape[1]):
            for column in range(x.shape[2]):
                h, s, v = colorsys.rgb_to_hsv(*x[:, row, column].tolist())
                turned = colorsys.hsv_to_rgb((h + factors[3]) % 1, s, v)
                y[:, row, column] = torch.tensor(turned, dtype=x.dtype)
        return y

    return [
        lambda x: blend(x, torch.zeros_like(x), factors[0]),
        lambda x: blend(x, (x * weights).sum(0).mean(), factors[1]),
        lambda x: blend(x, (x * weights).sum(0), factors[2]),
        turned,
    ]


def test_jitter_makes_torchvisions_changes_in_an_order_for_each_image() -> None:
    n = 240
    x = pictures(n, 3, 1, 2).double()
    ours = views.ColorJitter(0.8, 0.8, 0.8, 0.2, generator=seeded(4))(x)
    factors = views.ColorJitter(0.8, 0.8, 0.8, 0.2, generator=seeded(4)).factors(x)
    found = []
    for i in range(n):
        changes = plain_changes(x[i], [float(f[i]) for f in factors])
        errors = {}
        for order in itertools.permutations(range(4)):
            y = x[i]
            for change in order:
                y = changes[change](y)
            errors[order] = float((y - ours[i]).abs().max())
        best = min(errors, key=errors.__getitem__)
        assert errors[best] < 1e-6
        found.append(best)
    counts = Counter(found)  # each of the 24 orders about ten times
    assert len(counts) == 24
    assert max(counts.values()) < 30
    two = pictures(64, 1)  # one channel: two changes alone
    changed = views.ColorJitter(0.5, 0.5, 0.5, 0.5, generator=seeded(4))(two)
    factors = views.ColorJitter(0.5, 0.5, 0.5, 0.5, generator=seeded(4)).factors(two)
    bright = (two * factors[0]).clamp(0, 1)
    first = (bright.mean((1, 2, 3), keepdim=True).lerp(bright, factors[1])).clamp(0, 1)
    share = (changed - first).abs().amax((1, 2, 3)) < 1e-6
    assert 16 < int(share.sum()) < 48


def test_a_box_that_never_fits_is_torchvisions_centered_one() -> None:
    wide = views.ResizedCrop(8, scale=(1.0, 1.0)).boxes(torch.empty(2, 1, 12, 60))
    assert wide.tolist() == [[0, 22, 12, 16]] * 2
    high = views.ResizedCrop(8, scale=(1.0, 1.0)).boxes(torch.empty(2, 1, 60, 12))
    assert high.tolist() == [[22, 0, 16, 12]] * 2


def test_blur_and_solarization_have_the_papers_numbers() -> None:
    blur = views.Blur()
    drawn = blur.uniform(torch.empty(20_000), 0.1, 2.0)
    asked = []
    blur.uniform = lambda x, *range_: asked.append(range_) or drawn[: len(x)]  # pyright: ignore
    kernels = blur(torch.eye(32).expand(4, 1, 32, 32))
    assert asked == [(0.1, 2.0)]
    assert int((kernels[0, 0, 16] != 0).sum()) <= 5  # 3 x 3 at 32 pixels, about a tenth
    ranks = torch.arange(1, 20_001) / 20_000
    uniform = (drawn.sort().values - 0.1) / 1.9
    assert float((uniform - ranks).abs().max()) < 2.7 / math.sqrt(20_000)
    bytes_ = torch.arange(256.0).view(1, 1, 16, 16) / 255
    expected = torch.where(bytes_ * 255 >= 128, 1 - bytes_, bytes_)  # PIL's threshold
    assert torch.equal(views.Solarize()(bytes_), expected)


def test_blur_is_a_gaussian_with_mirrored_edges() -> None:
    x = pictures(3, 2, 30, 31)
    sigma = torch.tensor([0.1, 0.7, 2.0])
    blur = views.Blur(share=0.3)
    blur.uniform = lambda x, *_: sigma  # pyright: ignore
    ours = blur(x)
    radius = int(0.3 * 30) // 2
    for i in range(3):
        offsets = torch.arange(-radius, radius + 1)
        kernel = (-0.5 * (offsets / sigma[i]) ** 2).exp()
        kernel = torch.outer(kernel, kernel) / kernel.sum() ** 2
        padded = nn.functional.pad(x[i][:, None], [radius] * 4, mode="reflect")
        expected = nn.functional.conv2d(padded, kernel[None, None])[:, 0]
        assert torch.allclose(ours[i], expected, atol=1e-5)


def test_probabilities_are_what_was_asked() -> None:
    x = torch.ones(20_000, 1, 1, 2)
    x[..., 0] = 0.6
    changed = views.Sometimes(views.Solarize(), 0.2, generator=seeded())(x)
    assert float((changed != x).any(1).any(1)[:, 0].float().mean()) == pytest.approx(0.2, abs=0.015)
    flipped = views.Flip(generator=seeded())(x)
    assert float((flipped[:, 0, 0, 0] == 1).float().mean()) == pytest.approx(0.5, abs=0.02)
    shifted = views.Shift(1, generator=seeded())(torch.arange(3.0).expand(9000, 1, 3, 3))
    counts = shifted[:, 0, 1, 1].long().bincount()
    assert torch.allclose(counts / 9000, torch.full((3,), 1 / 3), atol=0.02)


def test_jigsaw_reorders_the_cells() -> None:
    x = torch.arange(2 * 36.0).view(2, 1, 6, 6)
    patches = views.Jigsaw(3, generator=seeded())(x)
    assert patches.shape == (2, 9, 1, 2, 2)
    for i in range(2):
        cells = [x[i, :, r : r + 2, c : c + 2] for r in (0, 2, 4) for c in (0, 2, 4)]
        ours = {tuple(p.flatten().tolist()) for p in patches[i]}
        assert ours == {tuple(c.flatten().tolist()) for c in cells}
    assert views.Jigsaw(3, jitter=1)(x).shape == (2, 9, 1, 1, 1)
    with pytest.raises(ValueError, match="grid must leave cells above jitter=2"):
        views.Jigsaw(3, jitter=2)(x)


def test_points_turn_and_move() -> None:
    x = torch.randn(50, 2, generator=seeded())
    turned = views.Rotation(math.pi, generator=seeded())(x)
    assert torch.allclose(turned.norm(dim=1), x.norm(dim=1), atol=1e-6)
    assert not torch.allclose(turned, x)
    assert torch.equal(views.Rotation(0.0)(x), x)
    with pytest.raises(ValueError, match="x must be points of the plane"):
        views.Rotation(1.0)(torch.randn(3, 4))


def test_several_views_let_the_rest_of_the_batch_pass() -> None:
    x, indices = pictures(), torch.arange(4)
    a, b, passed = views.byol(12, generator=seeded())(x, indices)
    assert a.shape == b.shape == x.shape
    assert not torch.equal(a, b)
    assert passed is indices
    crops = views.multi_crop(12, 6, crops=3, generator=seeded())(x, indices)
    assert [tuple(c.shape[1:]) for c in crops[:-1]] == [(3, 12, 12)] * 2 + [(3, 6, 6)] * 3
    assert crops[-1] is indices
    crops = views.dino(12, 6, crops=2, generator=seeded())(x, indices)
    assert [c.shape[-1] for c in crops[:-1]] == [12, 12, 6, 6]
    assert len(views.Single(views.Flip())(x, indices)) == 2
    assert views.Patch(views.Noise(1.0))(x).shape == (4, 1, 3, 12, 12)
    assert all(len(views.pair(d)(d)) == 2 for d in (x, torch.randn(5, 2)))


def test_recipes_stay_in_range() -> None:
    x = pictures(200)
    for recipe in (views.Recipe.simclr(12), views.byol(12).other, views.dino(12, 6).views[1]):
        y = recipe(x)
        assert bool(y.isfinite().all())
        assert float(y.min()) > -1e-5
        assert float(y.max()) < 1 + 1e-5


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: views.ResizedCrop(8, scale=(0.5, 0.1)), "scale must be two growing"),
        (lambda: views.Blur((0.0, 1.0)), "sigma must be two growing"),
        (lambda: views.Sometimes(views.Flip(), 1.5), "probability must lie between 0 and 1"),
    ],
)
def test_wrong_numbers_are_refused(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
