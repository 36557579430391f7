"""Samples agree with the exact densities; files are read, fetched or refused with the cure."""

import functools
import gzip
import hashlib
import http.server
import io
import math
import subprocess
import sys
import tarfile
import threading
from dataclasses import replace
from functools import partial

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from PIL import Image

import toy_data
from toy_data import curve
from toy_data.cifar10 import FOLDER

SETS = [
    toy_data.two_moons,
    toy_data.rings,
    toy_data.eight_gaussians,
    toy_data.twenty_five_gaussians,
    toy_data.uneven_gaussians,
    toy_data.pinwheel,
    toy_data.checkerboard,
    toy_data.spirals,
    toy_data.swiss_roll,
    toy_data.sine_wave,
]
SMOOTH = [s for s in SETS if s.name not in ("checkerboard", "sine_wave")]
ALL_SETS = pytest.mark.parametrize("points", SETS, ids=lambda s: s.name)
CELLS, FINE = 8, 128


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def grid(points, resolution=FINE):
    """Midpoints of a grid over the bounds, and the area of one of its cells."""
    axes, area = [], 1.0
    for low, high in points.bounds:
        step = (high - low) / resolution
        axes.append(low + step * (torch.arange(resolution, dtype=torch.float64) + 0.5))
        area *= step
    return torch.cartesian_prod(*axes), area


def cell_probabilities(points):
    x, area = grid(points)
    mass = (points.log_prob(x).exp() * area).reshape(FINE, FINE)
    return mass.unflatten(1, (CELLS, -1)).sum(2).unflatten(0, (CELLS, -1)).sum(1)


def surprise(x, points):
    """How many standard deviations chi-square lies above its mean, over the cells."""
    expected = len(x) * cell_probabilities(points).flatten()
    place = [
        ((x[:, i].double() - low) / (high - low) * CELLS).floor()
        for i, (low, high) in enumerate(points.bounds)
    ]
    inside = torch.stack([(p >= 0) & (p < CELLS) for p in place]).all(0)
    counts = torch.bincount((CELLS * place[0] + place[1])[inside].long(), minlength=CELLS**2)
    often = expected >= 5
    counts = torch.cat([counts[often], (len(x) - counts[often].sum())[None]]).double()
    expected = torch.cat([expected[often], (len(x) - expected[often].sum())[None]])
    chi2 = ((counts - expected).square() / expected.clamp(min=1)).sum()
    degrees = len(expected) - 1
    return float((chi2 - degrees) / math.sqrt(2 * degrees))


# --- the 2-D sets -------------------------------------------------------------------------


@ALL_SETS
def test_density_integrates_to_one_inside_the_bounds(points):
    total = float(cell_probabilities(points).sum())
    assert total == pytest.approx(1, abs=1e-4)


@ALL_SETS
def test_samples_follow_the_density(points):
    assert surprise(points(20_000, generator=seeded()), points) < 4


@pytest.mark.parametrize("points", [toy_data.two_moons, toy_data.rings, toy_data.spirals])
def test_the_comparison_sees_a_wrong_noise(points):
    wrong = points.with_(noise=1.25 * points.noise)
    assert surprise(wrong(20_000, generator=seeded()), points) > 8


def test_the_comparison_sees_a_reflection():
    x = toy_data.uneven_gaussians(20_000, generator=seeded())
    assert surprise(-x, toy_data.uneven_gaussians) > 100
    assert surprise(x * torch.tensor([1.0, -1.0]), toy_data.uneven_gaussians) > 100


@ALL_SETS
def test_points_are_float32_and_near_the_square(points):
    x = points(4_000, generator=seeded())
    assert x.shape == (4_000, 2)
    assert x.dtype == torch.float32
    assert (x.abs() < 3).all(dim=1).float().mean() > 0.98
    assert x.abs().max() > 1.8


@ALL_SETS
def test_every_point_has_a_finite_log_density_and_labels_have_their_shares(points):
    x, labels = points.labeled(20_000, generator=seeded())
    assert points.log_prob(x[:4_000]).isfinite().all()
    assert torch.equal(x, points(20_000, generator=seeded()))
    weights = torch.tensor(points.weights)
    shares = labels.bincount(minlength=len(weights)) / len(labels)
    assert ((shares - weights).abs() <= 4.5 * (weights / len(labels)).sqrt()).all()


@ALL_SETS
def test_seeds_reproduce_and_leave_the_global_generator_alone(points):
    before = torch.get_rng_state()
    first, again, other = (points(50, generator=seeded(s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(3)
    default = points(50)
    torch.manual_seed(3)
    assert torch.equal(default, points(50))


@pytest.mark.parametrize("points", SMOOTH, ids=lambda s: s.name)
def test_the_log_density_can_be_differentiated(points):
    x = points(5, generator=seeded()).double().requires_grad_()
    (gradient,) = torch.autograd.grad(points.log_prob(x).sum(), x)
    step = 1e-5
    for axis in (0, 1):
        shift = torch.zeros(2, dtype=torch.float64)
        shift[axis] = step
        slope = (points.log_prob(x + shift) - points.log_prob(x - shift)) / (2 * step)
        torch.testing.assert_close(gradient[:, axis], slope, rtol=1e-5, atol=1e-5)


@ALL_SETS
def test_precision_and_batch_do_not_change_the_log_density(points):
    x = points(6, generator=seeded())
    single, double = points.log_prob(x), points.log_prob(x.double())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, double.float(), rtol=0, atol=0)
    looped = torch.cat([points.log_prob(row[None].double()) for row in x])
    torch.testing.assert_close(looped, double, rtol=1e-12, atol=1e-12)
    assert points.log_prob(x[:0]).shape == (0,)


def test_names_are_those_of_the_module():
    for points in SETS:
        assert getattr(toy_data, points.name) is points


def test_blobs_equal_torch_mixtures():
    points = toy_data.uneven_gaussians
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.tensor(points.shares).double()),
        torch.distributions.MultivariateNormal(
            torch.tensor(points.centers).double(),
            scale_tril=torch.tensor(points.factors).double(),
        ),
    )
    x = 3 * torch.randn(50, 2, dtype=torch.float64, generator=seeded())
    torch.testing.assert_close(points.log_prob(x), mixture.log_prob(x), rtol=1e-6, atol=1e-6)
    # One blob of eight, seen from its center: 1 / (8 * 2 pi noise^2); the others are far.
    eight = toy_data.eight_gaussians.with_(noise=0.1)
    top = eight.log_prob(torch.tensor(eight.centers, dtype=torch.float64))
    torch.testing.assert_close(top, torch.full_like(top, -math.log(16 * math.pi * 0.01)))


@given(
    radius=st.floats(0.5, 3), noise=st.floats(0.05, 0.5), away=st.floats(-8, 8), u=st.floats(0, 1)
)
def test_the_quadrature_equals_the_closed_form_of_a_circle(radius, noise, away, u):
    def circle(t):
        return radius * torch.stack([(2 * math.pi * t).cos(), (2 * math.pi * t).sin()], dim=1)

    ring = toy_data.Rings(radii=(radius,), noise=noise)
    x = circle(torch.tensor([u], dtype=torch.float64)) * max(0, 1 + away * noise / radius)
    quadrature = curve.log_density(x, circle, noise=noise)
    torch.testing.assert_close(quadrature, ring.log_prob(x), rtol=0, atol=1e-8)


@pytest.mark.parametrize("points", [toy_data.two_moons, toy_data.spirals, toy_data.swiss_roll])
def test_the_stated_accuracy_holds_against_a_finer_rule(points, monkeypatch):
    x = 8 * torch.rand(300, 2, dtype=torch.float64, generator=seeded()) - 4
    coarse = points.log_prob(x)
    rule = curve._quadrature
    monkeypatch.setattr(curve, "_quadrature", lambda line, noise: rule(line, noise / 8))
    monkeypatch.setattr(curve, "_ELEMENTS", 10_000)  # and in many blocks
    fine = points.log_prob(x)
    near = fine > -50  # about ten standard deviations
    torch.testing.assert_close(coarse[near], fine[near], rtol=0, atol=1e-8)
    torch.testing.assert_close(coarse, fine, rtol=1e-4, atol=0)


def test_the_checkerboard_is_flat_on_its_dark_fields():
    board = toy_data.checkerboard
    x = torch.tensor([[-2.9, -2.9], [-0.1, -0.1], [-2.9, -0.1], [3.1, 0.1], [2.9, 2.9]])
    dark = -math.log(8 * 1.5**2)
    expected = torch.tensor([dark, dark, -math.inf, -math.inf, dark])
    torch.testing.assert_close(board.log_prob(x), expected)
    assert board.with_(fields=3).weights == (1 / 5,) * 5


def test_numbers_change_with_with_():
    narrow = toy_data.two_moons.with_(noise=0.01)
    assert narrow == toy_data.TwoMoons(noise=0.01)
    assert toy_data.two_moons.noise == 0.15
    x = narrow(500, generator=seeded())
    centers = narrow.radius * torch.tensor([[-0.5, -0.25], [0.5, 0.25]])
    radii = torch.cdist(x, centers)
    assert ((radii - narrow.radius).abs().amin(dim=1) < 0.06).all()


@pytest.mark.parametrize("n", [0, -3, True])
def test_n_must_count(n):
    for draw in (*SETS, toy_data.pairs, toy_data.labeled_gaussians, toy_data.ising):
        with pytest.raises(ValueError, match="n must be a whole number of at least 1"):
            draw(n)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: toy_data.two_moons.with_(noise=-0.1), "noise must be a positive number"),
        (lambda: toy_data.two_moons.with_(nosie=0.1), "It has: noise, radius"),
        (lambda: toy_data.rings.with_(radii=()), "radii must hold at least one"),
        (lambda: toy_data.rings.with_(radii=(1.0, -1.0)), "radii must be a positive"),
        (lambda: toy_data.pinwheel.with_(arms=0), "arms must be a whole number"),
        (lambda: toy_data.pinwheel.with_(rate=math.nan), "rate must be a finite"),
        (lambda: toy_data.checkerboard.with_(fields=0), "fields must be a whole number"),
        (lambda: toy_data.uneven_gaussians.with_(shares=(1.0,)), "must be as many"),
        (lambda: toy_data.uneven_gaussians.with_(shares=(0.5,) * 4), "shares must add up to 1"),
        (
            lambda: toy_data.UnevenGaussians(((0.0, 0.0),), (((1.0, 1.0), (0.0, 1.0)),), (1.0,)),
            "lower triangular",
        ),
        (lambda: toy_data.pairs(3, noise=0.0), "noise must be a positive number"),
        (lambda: toy_data.labeled_gaussians.with_(classes=0), "classes must be a whole number"),
        (lambda: toy_data.ising.with_(size=5), "size must be at most 4"),
        (lambda: toy_data.ising.with_(size=1), "size must be a whole number of at least 2"),
        (lambda: toy_data.ising.with_(coupling=math.inf), "coupling must be a finite"),
        (lambda: toy_data.bars_and_stripes(0), "size must be a whole number"),
        (lambda: toy_data.bars_and_stripes(17), "size must be at most 16"),
        (lambda: toy_data.digits("valid"), 'split must be "train", "test" or "all"'),
    ],
)
def test_bad_numbers_are_refused_with_the_cure(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_points_must_have_two_coordinates():
    with pytest.raises(ValueError, match=r"x must have shape \(n, 2\), got \(3,\)"):
        toy_data.rings.log_prob(torch.zeros(3))
    with pytest.raises(ValueError, match=r"x must have shape \(n, 2\), got \(3, 1\)"):
        toy_data.rings.log_prob(torch.zeros(3, 1))
    with pytest.raises(TypeError, match=r"Call \.float\(\)"):
        toy_data.rings.log_prob(torch.zeros(3, 2, dtype=torch.long))


# --- pairs, classes, binary sets ------------------------------------------------------------


def test_pairs_share_a_hidden_point_and_nothing_else():
    x, y = toy_data.pairs(20_000, noise=0.2, generator=seeded())
    assert x.shape == y.shape == (20_000, 2)
    difference = x - y  # variance 2 noise^2 in each coordinate
    torch.testing.assert_close(difference.var(dim=0), torch.full((2,), 0.08), rtol=0.05, atol=0)
    blurred = toy_data.two_moons.with_(noise=math.hypot(0.15, 0.2))
    assert surprise(x, blurred) < 4
    assert surprise(y, blurred) < 4
    rings = toy_data.rings.with_(radii=(2.0,), noise=0.01)
    x, _ = toy_data.pairs(200, points=rings, noise=0.01, generator=seeded())
    assert ((x.norm(dim=1) - 2).abs() < 0.1).all()


def test_labeled_gaussians_have_an_exact_posterior():
    points = toy_data.labeled_gaussians.with_(classes=3)
    x, labels = points(20_000, generator=seeded())
    assert labels.dtype == torch.int64
    assert surprise(x, points) < 4
    posterior = points.posterior(x)
    torch.testing.assert_close(posterior.sum(1), torch.ones(len(x)))
    # A calibrated posterior: hits minus stated probabilities are zero on average.
    hits = torch.nn.functional.one_hot(labels, 3) - posterior
    spread = (posterior * (1 - posterior)).sum(0).sqrt()
    assert (hits.sum(0).abs() < 4 * spread).all()
    sure = posterior > 0.5
    expected, found = posterior[sure].sum(), sure[torch.arange(len(x)), labels].sum()
    assert abs(found - expected) < 4 * (posterior[sure] * (1 - posterior[sure])).sum().sqrt()


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_bars_and_stripes_are_all_there_once(size):
    x = toy_data.bars_and_stripes(size)
    assert x.shape == (max(2, 2 ** (size + 1) - 2), size * size)
    assert x.dtype == torch.float32
    assert len(x.unique(dim=0)) == len(x)
    pictures = x.reshape(-1, size, size)
    stripes = (pictures == pictures[:, :, :1]).all(2).all(1)
    bars = (pictures == pictures[:, :1]).all(2).all(1)
    assert (stripes | bars).all()
    assert ((x == 0) | (x == 1)).all()


def test_ising_is_exact():
    model = toy_data.ising
    states = model.states
    assert len(states.unique(dim=0)) == 2**16
    log_prob = model.log_prob(states.double())
    assert float(log_prob.exp().sum()) == pytest.approx(1, abs=1e-12)
    # The energy, bond by bond.
    spins = (2 * states[12345] - 1).reshape(4, 4).tolist()
    energy = 0.0
    for i in range(4):
        for j in range(4):
            energy -= 0.3 * spins[i][j] * (spins[i][(j + 1) % 4] + spins[(i + 1) % 4][j])
            energy -= 0.1 * spins[i][j]
    assert float(model.energy(states[12345:12346].double())) == pytest.approx(energy, abs=1e-12)
    # Samples have the exact mean and neighbor correlation.
    x = model(40_000, generator=seeded())
    assert x.shape == (40_000, 16)
    for statistic in (
        lambda s: s.mean(1),
        lambda s: s[:, 0] * s[:, 1],
        lambda s: s[:, 0] * s[:, 5],
    ):
        exact = (log_prob.exp() * statistic(states.double())).sum()
        values = statistic(x.double())
        assert abs(values.mean() - exact) < 4 * values.std() / 200


def test_ising_refuses_what_is_no_state():
    with pytest.raises(ValueError, match="x must hold zeros and ones"):
        toy_data.ising.log_prob(-torch.ones(2, 16))
    with pytest.raises(ValueError, match=r"x must have shape \(n, 16\)"):
        toy_data.ising.log_prob(torch.ones(2, 4))


# --- images ---------------------------------------------------------------------------------


def test_digits_ship_with_scikit_learn():
    everything, train, test = (toy_data.digits(s) for s in ("all", "train", "test"))
    assert everything.images.shape == (1797, 1, 8, 8)
    assert everything.images.dtype == torch.float32
    assert everything.labels.dtype == torch.int64
    assert (everything.images.min(), everything.images.max()) == (0, 1)
    assert torch.equal(torch.cat([train.images, test.images]), everything.images)
    assert torch.equal(torch.cat([train.labels, test.labels]), everything.labels)
    for part in (train, test):
        shares = part.labels.bincount() / len(part.labels)
        assert ((shares - 0.1).abs() < 0.01).all()


def idx_bytes(array):
    array = np.asarray(array, dtype=np.uint8)
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


IMAGES = np.arange(3 * 28 * 28).reshape(3, 28, 28) % 256
packed = functools.partial(gzip.compress, mtime=0)  # the same bytes at any time

FILES = {
    "train-images-idx3-ubyte.gz": packed(idx_bytes(IMAGES)),
    "train-labels-idx1-ubyte.gz": packed(idx_bytes([7, 0, 9])),
    "t10k-images-idx3-ubyte.gz": packed(idx_bytes(IMAGES[:2])),
    "t10k-labels-idx1-ubyte.gz": packed(idx_bytes([1, 2])),
}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder of its own."""
    folder = tmp_path / "data"
    monkeypatch.setenv("EBM_DATA", str(folder))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return folder


@pytest.fixture
def server(tmp_path):
    """A folder and the address under which a local server shows it."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    shown = tmp_path / "server"
    shown.mkdir()
    handler = partial(Quiet, directory=str(shown))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield shown, f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()
        thread.join()


def written(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def local(url, files=FILES):
    """MNIST's source, at another address."""
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    return replace(sys.modules["toy_data.mnist"].SOURCE, url=url, md5=md5)


@pytest.mark.parametrize(
    ("load", "folder"),
    [(toy_data.mnist, "MNIST/raw"), (toy_data.fashion_mnist, "FashionMNIST/raw")],
)
def test_files_in_the_folder_are_read_as_they_are(data, load, folder):
    written(data / folder, FILES)
    train = load()
    assert train.images.shape == (3, 1, 28, 28)
    assert train.images.dtype == torch.float32
    expected = torch.from_numpy(IMAGES[:, None] / 255).float()
    torch.testing.assert_close(train.images, expected)
    assert train.images.max() == 1
    assert train.labels.tolist() == [7, 0, 9]
    assert load("test").labels.tolist() == [1, 2]
    assert load("all").labels.tolist() == [7, 0, 9, 1, 2]
    assert load("all").images.shape == (5, 1, 28, 28)


def test_unpacked_files_are_read_too(data):
    unpacked = {n.removesuffix(".gz"): gzip.decompress(c) for n, c in FILES.items()}
    written(data / "MNIST/raw", unpacked)
    assert toy_data.mnist().labels.tolist() == [7, 0, 9]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-images-idx3-ubyte.gz", FILES["train-images-idx3-ubyte.gz"][:-20], "complete gzip"),
        ("train-images-idx3-ubyte.gz", b"", "magic number 0x00000803, got 0x and 0 bytes"),
        ("train-images-idx3-ubyte.gz", b"<html>not found</html>", "must be a complete gzip file"),
        (
            "train-images-idx3-ubyte.gz",
            b"\x1f\x8b\x08" + bytes(200),
            "must be a complete gzip file, got 203 bytes",
        ),
        (
            "train-images-idx3-ubyte.gz",
            packed(idx_bytes(IMAGES)[:-5]),
            r"must hold 2,368 bytes for its shape \(3, 28, 28\), got 2,363",
        ),
        ("train-images-idx3-ubyte.gz", packed(idx_bytes(IMAGES) + b"0"), "got 2,369"),
        (
            "train-images-idx3-ubyte.gz",
            FILES["train-labels-idx1-ubyte.gz"],
            "magic number 0x00000803, got 0x00000801",
        ),
        ("train-labels-idx1-ubyte.gz", packed(idx_bytes([1, 2])), "3 pictures, got 2"),
        ("train-labels-idx1-ubyte.gz", packed(idx_bytes([1, 2, 10])), "from 0 to 9, got 10"),
    ],
)
def test_damaged_files_are_named_with_the_cure(data, name, content, message):
    folder = written(data / "MNIST/raw", FILES | {name: content})
    with pytest.raises(ValueError, match=message) as caught:
        toy_data.mnist()
    assert str(folder / name) in str(caught.value)
    assert "Delete the file and load again" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_are_downloaded_once(data, server):
    shown, url = server
    written(shown, FILES)
    source = local(url)
    assert source.load("train").labels.tolist() == [7, 0, 9]
    folder = data / "MNIST/raw"
    assert sorted(p.name for p in folder.iterdir()) == sorted(FILES)[2:]  # this split alone
    for file in shown.iterdir():
        file.unlink()
    assert source.load("train").labels.tolist() == [7, 0, 9]


def test_a_download_that_is_not_the_published_file_is_not_kept(data, server):
    shown, url = server
    written(shown, FILES | {"train-labels-idx1-ubyte.gz": b"something else"})
    with pytest.raises(ValueError, match="its md5 checksum is not the published one"):
        local(url).load("train")
    assert [p.name for p in (data / "MNIST/raw").iterdir()] == ["train-images-idx3-ubyte.gz"]


def test_a_page_that_is_gone_is_reported(data, server):
    with pytest.raises(toy_data.MissingData, match=r"404 .*EBM_DATA"):
        local(server[1]).load("train")


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://no-such-host.invalid/"])
def test_offline_the_error_says_what_to_put_where(data, monkeypatch, url):
    monkeypatch.setattr(sys.modules["toy_data.fashion_mnist"], "SOURCE", local(url))
    with pytest.raises(ValueError, match="EBM_DATA") as caught:
        toy_data.fashion_mnist("test")
    message = str(caught.value)
    assert "t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz into that folder" in message
    assert str(data) in message
    assert "\n" not in message
    assert isinstance(caught.value, FileNotFoundError)


def test_the_data_folder_is_the_variable_or_the_cache(monkeypatch):
    monkeypatch.setenv("EBM_DATA", "~/somewhere")
    assert toy_data.data_folder().name == "somewhere"
    assert toy_data.data_folder().is_absolute()
    monkeypatch.delenv("EBM_DATA")
    assert (
        toy_data.data_folder().name == "ebm-framework"
        or "ebm-framework" in toy_data.data_folder().parts
    )


def test_published_sources_are_complete():
    for name in ("mnist", "fashion_mnist"):
        source = sys.modules[f"toy_data.{name}"].SOURCE
        assert set(source.md5) == set(FILES)
        assert all(len(md5) == 32 for md5 in source.md5.values())
        assert source.url.endswith("/")


def cifar_batch(label=3):
    records = np.zeros((10_000, 3073), dtype=np.uint8)
    records[:, 0] = label
    records[:, 1] = 255  # red, upper left
    records[1, 1 + 1024 + 31] = 51  # green, upper right, of the second picture
    return records.tobytes()


def cifar_archive(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo(f"{FOLDER}/data_batch_1.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return buffer.getvalue()


def test_cifar10_is_downloaded_and_unpacked_safely(data, server, monkeypatch):
    shown, url = server
    content = cifar_archive({f"{FOLDER}/test_batch.bin": cifar_batch(), "../evil": b"evil"})
    written(shown, {"cifar-10-binary.tar.gz": content})
    module = sys.modules["toy_data.cifar10"]
    monkeypatch.setattr(module, "URL", url + "cifar-10-binary.tar.gz")
    monkeypatch.setattr(module, "MD5", hashlib.md5(content).hexdigest())
    images, labels = toy_data.cifar10("test")
    assert images.shape == (10_000, 3, 32, 32)
    assert (labels == 3).all()
    assert images[0, 0, 0, 0] == 1
    assert images[1, 1, 0, 31] == torch.tensor(0.2)
    assert images[1].sum() == pytest.approx(1.2)
    assert [p.name for p in (data / FOLDER).iterdir()] == ["test_batch.bin"]
    assert not (data.parent / "evil").exists()
    # Links are no files: the training batches are still missing, and nothing was linked.
    with pytest.raises(ValueError, match=r"must hold data_batch_1\.bin, data_batch_2"):
        toy_data.cifar10("train")
    assert not (data / FOLDER / "data_batch_1.bin").exists()


def test_damaged_cifar10_files_are_named_with_the_cure(data):
    folder = written(data / FOLDER, {"test_batch.bin": bytes(3073)})
    with pytest.raises(ValueError, match=r"must hold 30,730,000 bytes, got 3,073\. Delete"):
        toy_data.cifar10("test")
    (folder / "test_batch.bin").write_bytes(cifar_batch(label=10))
    with pytest.raises(ValueError, match="labels from 0 to 9, got 10"):
        toy_data.cifar10("test")
    (folder / "test_batch.bin").unlink()
    (data / "cifar-10-binary.tar.gz").write_bytes(cifar_archive({"a": bytes(10**4)})[:60])
    with pytest.raises(ValueError, match=r"must be a complete tar\.gz archive, got 60 bytes"):
        toy_data.cifar10("test")


def test_cifar10_offline_says_what_to_put_where(data, monkeypatch):
    module = sys.modules["toy_data.cifar10"]
    monkeypatch.setattr(module, "URL", "http://127.0.0.1:9/cifar-10-binary.tar.gz")
    with pytest.raises(
        toy_data.MissingData, match=rf"Put cifar-10-binary\.tar\.gz \(or {FOLDER}/test_b"
    ):
        toy_data.cifar10("test")


# --- folders of pictures --------------------------------------------------------------------


def picture(path, mode="RGB", size=(6, 4), color=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color if color is not None else 0).save(path)


def test_subfolders_are_classes(tmp_path):
    picture(tmp_path / "b" / "1.png", color=(255, 0, 51))
    picture(tmp_path / "a" / "deep" / "2.png", color=(0, 255, 0))
    picture(tmp_path / "a" / "1.png", mode="L", color=255)
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    (tmp_path / "empty").mkdir()
    images, labels = toy_data.folder(tmp_path)
    assert images.shape == (3, 3, 4, 6)
    assert labels.tolist() == [0, 0, 1]
    assert images[:, :, 0, 0].tolist()[0] == [1, 1, 1]
    torch.testing.assert_close(images[2, :, 3, 5], torch.tensor([1.0, 0.0, 0.2]))


def test_pictures_in_the_folder_itself_have_one_label_and_gray_stays_gray(tmp_path):
    for k in range(3):
        picture(tmp_path / f"{k}.png", mode="L", color=k * 100)
    images, labels = toy_data.folder(str(tmp_path))
    assert images.shape == (3, 1, 4, 6)
    assert labels.tolist() == [0, 0, 0]
    torch.testing.assert_close(images[:, 0, 0, 0], torch.tensor([0, 100, 200]) / 255)


def test_size_resizes_about_the_center(tmp_path):
    picture(tmp_path / "a.png", size=(6, 4), color=(255, 255, 255))
    picture(tmp_path / "b.png", size=(10, 9))
    with pytest.raises(ValueError, match=r"pictures must have one shape, got 9x10 .*size=4\)"):
        toy_data.folder(tmp_path)
    assert toy_data.folder(tmp_path, size=5).images.shape == (2, 3, 5, 5)
    assert toy_data.folder(tmp_path, size=(2, 3)).images.shape == (2, 3, 2, 3)
    with pytest.raises(ValueError, match="size must be a whole number"):
        toy_data.folder(tmp_path, size=0)


def test_bad_folders_are_refused_with_the_cure(tmp_path):
    with pytest.raises(ValueError, match="path must be a folder of pictures"):
        toy_data.folder(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"got none\. Known endings: \.bmp"):
        toy_data.folder(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nxx")
    with pytest.raises(ValueError, match=r"broken\.png must be a picture"):
        toy_data.folder(tmp_path)
    picture(tmp_path / "broken.png", size=(40, 40), color=(1, 2, 3))
    content = (tmp_path / "broken.png").read_bytes()
    (tmp_path / "broken.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"broken\.png must be a picture"):
        toy_data.folder(tmp_path)
    (tmp_path / "broken.png").unlink()
    picture(tmp_path / "deep.png", mode="I;16")
    with pytest.raises(ValueError, match=r"deep\.png must have 8 bits per channel"):
        toy_data.folder(tmp_path)
    picture(tmp_path / "class" / "1.png")
    with pytest.raises(ValueError, match=r"got both: deep\.png lies beside"):
        toy_data.folder(tmp_path)


# --- data by name ---------------------------------------------------------------------------


def test_every_name_is_loaded(data):
    written(data / "MNIST/raw", FILES)
    written(data / "FashionMNIST/raw", FILES)
    for name in toy_data.names():
        if name == "cifar10":
            continue
        found = toy_data.load(name, 7, generator=seeded())
        lengths = {len(part) for part in (found if isinstance(found, tuple) else (found,))}
        whole = {"bars-and-stripes": 30, "digits": 1797, "mnist": 3, "fashion-mnist": 3}
        assert lengths == {whole.get(name, 7)}
        again = toy_data.load(name.replace("-", "_"), 7, generator=seeded())
        for one, other in zip(found, again, strict=True):
            assert torch.equal(one, other)
    assert isinstance(toy_data.load("Digits"), toy_data.Images)
    assert len(toy_data.load("two moons")) == 10_000
    public = {name.replace("-", "_") for name in toy_data.names()}
    assert public <= set(toy_data.__all__)
    assert {points.name for points in SETS} <= public


def test_unknown_names_list_the_close_and_all():
    with pytest.raises(ValueError, match=r"got 'two_mons'\. Did you mean two-moons") as caught:
        toy_data.load("two_mons")
    assert all(name in str(caught.value) for name in toy_data.names())
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"got 'xyzzy'\. Known names: two-moons"):
        toy_data.load("xyzzy")
    with pytest.raises(ValueError, match="data must be a known name"):
        toy_data.load("")
    with pytest.raises(ValueError, match=r"that exists, got 'my/pictures'\. Check the path"):
        toy_data.load("my/pictures")
    with pytest.raises(ValueError, match="n must be a whole number"):
        toy_data.load("digits", 0)


def test_folders_and_arrays_are_loaded_by_path(tmp_path, monkeypatch):
    picture(tmp_path / "digits" / "0.png", mode="L")
    monkeypatch.chdir(tmp_path)
    assert len(toy_data.load("digits").images) == 1797
    assert len(toy_data.load("./digits").images) == 1
    np.save("a.npy", np.arange(6.0).reshape(3, 2))
    x = toy_data.load(tmp_path / "a.npy")
    assert torch.equal(x, torch.arange(6.0).reshape(3, 2))
    np.save("b.npy", np.array([1, 2]))
    with pytest.raises(ValueError, match=r"floating-point numbers .*got int64"):
        toy_data.load("b.npy")
    np.save("c.npy", np.zeros((0, 2)))
    with pytest.raises(ValueError, match="at least one example"):
        toy_data.load("c.npy")
    np.save("d.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"d\.npy must be a complete \.npy file of numbers"):
        toy_data.load("d.npy")
    (tmp_path / "e.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"e\.npy must be a complete \.npy file of numbers"):
        toy_data.load("e.npy")
    (tmp_path / "f.csv").write_text("1,2")
    with pytest.raises(ValueError, match=r"data must be a \.npy file"):
        toy_data.load("f.csv")
    (tmp_path / "g.py").write_text("")
    with pytest.raises(ValueError, match=r"Write g\.py:function"):
        toy_data.load("g.py")


MODULE = """
import numpy as np, torch, typing
class Both(typing.NamedTuple):
    x: object
    y: object
def cloud(n, generator=None): return torch.randn(n, 3, generator=generator)
def array(): return np.ones((4, 2), dtype=np.float32)
def both(): return Both(torch.zeros(4, 2), torch.arange(4))
def uneven(): return torch.zeros(4, 2), torch.arange(3)
def scalar(): return torch.tensor(1.0)
def text(): return "hello"
def needs(sigma): return sigma
number = 3
"""


@pytest.mark.parametrize("place", ["my_own_data", "sub/my_own_data.py"])
def test_functions_of_a_user_are_called(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "my_own_data.py").write_text(MODULE)
    (tmp_path / "my_own_data.py").write_text(MODULE)
    monkeypatch.delitem(sys.modules, "my_own_data", raising=False)
    path = list(sys.path)
    x = toy_data.load(f"{place}:cloud", 5, generator=seeded())
    assert torch.equal(x, torch.randn(5, 3, generator=seeded()))
    assert sys.path == path
    assert torch.equal(toy_data.load(f"{place}:array"), torch.ones(4, 2))
    both = toy_data.load(f"{place}:both")
    assert both._fields == ("x", "y")
    for name, message in {
        "uneven": r"tensors of one length, at least 1, got shapes \[\(4, 2\), \(3,\)\]",
        "scalar": r"got shapes \[\(\)\]",
        "needs": r"no arguments but n and generator, got a function of \(sigma\)",
        "clout": r"must name a function of .*Did you mean cloud\?",
        "number": "must name a function of",
    }.items():
        with pytest.raises(ValueError, match=message):
            toy_data.load(f"{place}:{name}")
    with pytest.raises(TypeError, match="must return a tensor, an array or a tuple of them"):
        toy_data.load(f"{place}:text")


def test_functions_that_cannot_be_found_are_refused_with_the_cure(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="Run from the folder that holds the module"):
        toy_data.load("no_such_module:function")
    with pytest.raises(ValueError, match="Write module:function or"):
        toy_data.load(":function")
    with pytest.raises(ValueError, match="must name an existing file"):
        toy_data.load("no_such_file.py:function")
    # What the user's own module lacks, or raises, is named.
    (tmp_path / "lacking_module.py").write_text("import no_such_thing_at_all")
    words = r"lacking_module must run .*ModuleNotFoundError: No module named 'no_such_thing_at_all'"
    with pytest.raises(ValueError, match=words):
        toy_data.load("lacking_module:function")
    (tmp_path / "broken.py").write_text("def function(:")
    with pytest.raises(ValueError, match=r"broken\.py must run when it is imported, got SyntaxErr"):
        toy_data.load("broken.py:function")
    (tmp_path / "failing.py").write_text(FAILING)
    with pytest.raises(ValueError, match=r"failing\.py:fails must return data, got KeyError: 'x'"):
        toy_data.load("failing.py:fails")
    with pytest.raises(ValueError, match=r"failing\.py:leaves must return data, got SystemExit: 3"):
        toy_data.load("failing.py:leaves")
    with pytest.raises(TypeError, match=r"failing\.py:words must return numbers, got <U1\. Call"):
        toy_data.load("failing.py:words")
    assert len(toy_data.load("toy_data:spirals", 4)) == 4


FAILING = """
import numpy as np

def fails(): return {}["x"]
def leaves(): raise SystemExit(3)
def words(): return np.array(["a", "b"])
"""

PLAIN = """
import sys
import toy_data
toy_data.two_moons(10)
print({"sklearn", "pooch", "PIL", "matplotlib", "ebm", "methods"} & set(sys.modules))
for n in (2.5, "7", None):
    try:
        toy_data.rings(n)
    except ValueError as error:
        print(error)
"""


def test_importing_is_light_and_n_is_whole_without_the_hook():
    done = subprocess.run([sys.executable, "-c", PLAIN], capture_output=True, text=True, check=True)
    loaded, *messages = done.stdout.splitlines()
    assert loaded == "set()"
    assert len(messages) == 3
    assert all("n must be a whole number of at least 1, got n=" in m for m in messages)
