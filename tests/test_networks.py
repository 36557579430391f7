"""Networks of the joint embeddings: shapes, batch norm, and what they refuse."""

import pytest
import torch
from torch import nn

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
