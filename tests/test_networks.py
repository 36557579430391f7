"""Networks of the joint embeddings: shapes, batch norm, and what they refuse."""

import pytest
import torch
from torch import nn

import ebm
from ebm import networks


@pytest.mark.parametrize("shape", [(9, 5), (6, 5, 4, 3)])
def test_batch_norm_is_torchs_with_one_process(shape: tuple[int, ...]) -> None:
    ours = networks.BatchNorm(5)
    theirs = nn.BatchNorm1d(5) if len(shape) == 2 else nn.BatchNorm2d(5)
    for _ in range(3):
        x = torch.randn(shape) * 2 + 1
        assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.running_mean, theirs.running_mean)
    assert torch.equal(ours.running_var, theirs.running_var)
    assert torch.equal(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize("shape", [(9, 5), (6, 5, 4, 3)])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_over_all_processes_is_the_same_formula(
    shape: tuple[int, ...], affine: bool
) -> None:
    # The path of several processes, taken by one.
    one, all_of_them = (networks.BatchNorm(5, affine=affine).double() for _ in range(2))
    x = torch.randn(shape, dtype=torch.float64)
    found, expected = [], []
    for values, forward in ((expected, one), (found, all_of_them._over_all)):
        leaf = x.clone().requires_grad_()
        y = forward(leaf)
        (y * torch.linspace(0, 1, y.numel(), dtype=torch.float64).view_as(y)).sum().backward()
        values += [y.detach(), leaf.grad]
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-12)
    assert torch.allclose(one.running_mean, all_of_them.running_mean, rtol=1e-12)
    assert torch.allclose(one.running_var, all_of_them.running_var, rtol=1e-12)


def test_batch_norm_refuses_what_has_no_statistics() -> None:
    norm = networks.BatchNorm(3)
    with pytest.raises(ValueError, match="batch must hold at least 2 values per feature"):
        norm(torch.randn(1, 3))
    assert norm.eval()(torch.randn(1, 3)).shape == (1, 3)
    with pytest.raises(ValueError, match=r"x must have 3 features on axis 1, got shape \(2, 4\)"):
        norm(torch.randn(2, 4))


@pytest.mark.parametrize(
    ("network", "x", "message"),
    [
        (networks.MLP([2, 4]), torch.randn(5, 3), r"2 features, .*\(5, 3\)\. Make .* 3 features"),
        (networks.Projector([2, 4, 4]), torch.randn(5, 3), r"2 features, .*\(5, 3\)\. Make"),
        (
            networks.ConvNet(1, 4),
            torch.rand(2, 3, 8, 8),
            r"\(batch, 1, .*\(2, 3, 8, 8\)\. .*3 cha",
        ),
        (networks.ConvNet(1, 4), torch.rand(2, 8, 8), r"got \(2, 8, 8\)\. Call \.reshape"),
        (networks.ResNet18(1, width=4), torch.rand(2, 3, 8, 8), r"Make the network for 3 chan"),
        (
            networks.ViT(1, 8, features=8),
            torch.rand(2, 3, 8, 8),
            r"Make the network for 3 channels",
        ),
        (networks.Convolutional(1, 8, 4), torch.rand(2, 1, 9, 8), r"\(batch, 1, 8, 8\), .*resize"),
        (
            ebm.energies.MLP(2),
            torch.randn(5, 3),
            r"\(batch, 2\), got \(5, 3\)\. Make energies.MLP",
        ),
        (ebm.energies.MLP(2), torch.randn(5), r"got \(5,\)\. Call \.reshape\(-1, 1\)"),
        (ebm.energies.MLP(2), torch.randn(2), r"got \(2,\)\. Add the batch axis: x\[None\]"),
    ],
)
def test_data_of_another_shape_are_refused_with_both_shapes(network, x, message) -> None:
    with pytest.raises(ValueError, match=message):
        network(x)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.ones(5, 2).long(), r"floating point, got torch\.int64\. Call \.float\(\)"),
        (
            torch.ones(5, 2).double(),
            r"network, torch\.float32, got torch\.float64\. Call \.fl",
        ),
        (
            torch.ones(5, 2).half(),
            r"network, torch\.float32, got torch\.float16\. Call \.fl",
        ),
        ([[1.0, 2.0]], r"x must be a tensor, got list"),
    ],
)
def test_data_of_another_kind_are_refused_with_the_cure(x, message) -> None:
    for network in (networks.MLP([2, 4]), ebm.energies.MLP(2)):
        with pytest.raises(TypeError, match=message):
            network(x)


def test_under_autocast_networks_take_what_it_casts() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert networks.MLP([2, 4, 1])(torch.ones(5, 2).bfloat16()).shape == (5, 1)


@pytest.mark.parametrize("size", [8, 28, 33])
def test_encoders_fit_their_data(size: int) -> None:
    pictures = torch.rand(4, 3, size, size)
    encoder = networks.encoder_for(pictures, features=24)
    assert encoder(pictures).shape == (4, 24)
    assert networks.features_of(encoder) == 24
    decoder = networks.decoder_for(pictures, features=24)
    assert decoder(encoder(pictures)).shape == pictures.shape


@pytest.mark.parametrize("shape", [(4, 2), (4, 7, 5)])
def test_other_data_get_an_mlp(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    encoder = networks.encoder_for((x, x), features=6)
    assert encoder(x).shape == (4, 6)
    assert networks.features_of(encoder) == 6
    assert networks.decoder_for(x, features=6)(encoder(x)).shape == x.shape


def test_heads() -> None:
    x = torch.randn(8, 6)
    head = networks.Projector([6, 12, 4], last=networks.BatchNorm(4, affine=False))
    assert torch.allclose(head(x).mean(0), torch.zeros(4), atol=1e-5)
    assert head.features == 4
    assert networks.Predictor(6, 3)(x).shape == (8, 6)
    assert sum(isinstance(layer, nn.Linear) for layer in networks.Predictor(6, 3)) == 2
    with pytest.raises(ValueError, match="sizes must name input and output"):
        networks.Projector([6])


def test_prototypes_are_cosines() -> None:
    head, x = networks.Prototypes(6, 10), torch.randn(8, 6)
    scores = head(x)
    assert scores.shape == (8, 10)
    assert torch.allclose(head(5 * x), scores, atol=1e-6)
    with torch.no_grad():
        head.weight.mul_(3)
    assert torch.allclose(head(x), scores, atol=1e-6)
    expected = nn.functional.cosine_similarity(x[:, None], head.weight[None], dim=-1)
    assert torch.allclose(scores, expected, atol=1e-6)


def test_resnet_and_vit() -> None:
    pictures = torch.rand(2, 3, 16, 16)
    resnet = networks.ResNet18(3, width=8)
    assert resnet(pictures).shape == (2, 64)
    # The published width has 11.17 M parameters with the CIFAR stem and without a classifier.
    assert sum(p.numel() for p in networks.ResNet18().parameters()) == 11_168_832
    vit = networks.ViT(3, 16, features=32, depth=2)
    assert vit(pictures).shape == (2, 32)
    assert vit(pictures[:, :, :8, :8]).shape == (2, 32)
    with pytest.raises(ValueError, match="size must be divisible by patch"):
        networks.ViT(3, 15)
    with pytest.raises(ValueError, match="x must have sides divisible by patch=4"):
        vit(pictures[:, :, :7, :7])
