"""Large batches in the memory of small ones: the gradients are those of the plain step."""

import pytest
import torch
from torch import nn

import ebm
import methods
from ebm import networks, terms
from ebm.benchmark.memory import peak

X = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
Y = X + 0.3 * torch.randn(40, 6, generator=torch.Generator().manual_seed(1))
LOSSES = {
    "nt_xent": terms.NTXent(),
    "info_nce": terms.InfoNCE(),
    "vicreg": 25 * terms.Invariance() + 25 * terms.Variance() + terms.Covariance(),
    "cross_correlation": terms.CrossCorrelation(),
    "whitening": terms.Whitening(eps=0.1),
    "uniformity": lambda x, y: terms.Uniformity()(x) + terms.Uniformity()(y),
}


def encoder(*extra):
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.GELU(), *extra, nn.Linear(16, 4))


def gradients(network, loss, x=X):
    x = x.clone().requires_grad_()
    torch.manual_seed(7)
    loss(network(x), network(Y.to(x))).mean().backward()
    return [x.grad, *(p.grad for p in network.parameters())]


def assert_close(found, expected, tolerance):
    size = max(float(g.abs().max()) for g in expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert float((ours - theirs).abs().max()) <= tolerance * size


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("wrap", [lambda n: networks.MicroBatched(n, 7), networks.Recomputed])
def test_gradients_are_those_of_the_plain_step(name, wrap):
    plain = gradients(encoder(), LOSSES[name])
    assert_close(gradients(wrap(encoder()), LOSSES[name]), plain, 1e-5)
    double = gradients(encoder().double(), LOSSES[name], X.double())
    assert_close(gradients(wrap(encoder().double()), LOSSES[name], X.double()), double, 1e-12)


def test_dropout_is_drawn_again_as_it_was():
    network = networks.MicroBatched(encoder(nn.Dropout(0.5)), 7)
    torch.manual_seed(0)
    out = network(X)
    state = torch.get_rng_state()
    (gradient,) = torch.autograd.grad(out.sum(), network.network[-1].weight)
    assert torch.equal(torch.get_rng_state(), state), "the backward pass moves the random state"
    torch.manual_seed(0)
    plain = torch.cat([network.network(part) for part in X.split(7)])
    assert torch.equal(out, plain)
    (expected,) = torch.autograd.grad(plain.sum(), network.network[-1].weight)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("wrap", [lambda n: networks.MicroBatched(n, 7), networks.Recomputed])
def test_autocast_is_that_of_the_first_pass(wrap):
    def run(network):
        with torch.autocast("cpu", torch.bfloat16):
            out = network(X)
        out.float().square().mean().backward()
        return [out.float().detach(), *(p.grad for p in network.parameters())]

    assert_close(run(wrap(encoder())), run(encoder()), 0.02)


def test_batch_norm_is_refused_in_pieces_and_moves_once_when_recomputed():
    message = "network must not need statistics of the batch, got BatchNorm at 3"
    with pytest.raises(ValueError, match=message):
        networks.MicroBatched(encoder(networks.BatchNorm(16)), 7)
    with pytest.raises(ValueError, match="got BatchNorm1d at 3"):
        networks.MicroBatched(encoder(nn.BatchNorm1d(16)), 7)
    frozen = networks.MicroBatched(encoder(networks.BatchNorm(16)).eval(), 7)
    assert frozen(X).shape == (40, 4)
    with pytest.raises(ValueError, match="got BatchNorm at 3"):
        frozen.train()(X)
    plain, ours = (encoder(networks.BatchNorm(16)) for _ in range(2))
    expected = gradients(plain, LOSSES["nt_xent"])
    assert_close(gradients(networks.Recomputed(ours), LOSSES["nt_xent"]), expected, 1e-5)
    assert torch.equal(ours[3].running_mean, plain[3].running_mean)
    assert torch.equal(ours[3].running_var, plain[3].running_var)


def test_networks_that_write_buffers_are_refused_in_pieces():
    spectral = nn.utils.parametrizations.spectral_norm(nn.Linear(6, 4))
    with pytest.raises(ValueError, match="must not write buffers in its forward pass"):
        networks.MicroBatched(spectral, 7)(X)
    expected = gradients(nn.utils.parametrizations.spectral_norm(_linear()), LOSSES["info_nce"])
    wrapped = networks.Recomputed(nn.utils.parametrizations.spectral_norm(_linear()))
    assert_close(gradients(wrapped, LOSSES["info_nce"]), expected, 1e-5)


def _linear():
    torch.manual_seed(5)
    return nn.Linear(6, 4)


def test_second_derivatives_and_other_outputs_are_refused():
    network = networks.MicroBatched(encoder(), 7)
    x = X.clone().requires_grad_()
    with pytest.raises(NotImplementedError, match="must be differentiated once"):
        torch.autograd.grad(network(x).sum(), x, create_graph=True)
    with pytest.raises(TypeError, match="network must return a tensor, got tuple"):
        networks.MicroBatched(nn.LSTM(6, 4), 7)(X)
    with pytest.raises(ValueError, match="size must be"):
        networks.MicroBatched(encoder(), 0)


def test_frozen_parameters_and_inputs_without_gradient():
    network = networks.MicroBatched(encoder(), 7)
    network.network[0].requires_grad_(False)
    network(X).sum().backward()
    assert network.network[0].weight.grad is None
    assert network.network[-1].weight.grad is not None
    with torch.no_grad():
        assert not network(X).requires_grad
    network.requires_grad_(False)
    assert not network(X).requires_grad
    x = X.clone().requires_grad_()
    network(x).sum().backward()
    assert x.grad is not None


def test_saved_states_are_those_of_the_network_itself():
    network, plain = networks.MicroBatched(encoder(), 7), encoder()
    assert network.state_dict().keys() == plain.state_dict().keys()
    nested = nn.Sequential(networks.Recomputed(network), nn.ReLU())
    other = nn.Sequential(plain, nn.ReLU())
    with torch.no_grad():
        plain[0].weight.zero_()
    nested.load_state_dict(other.state_dict())
    assert float(network.network[0].weight.detach().abs().max()) == 0
    other.load_state_dict(nested.state_dict())


def test_a_run_goes_on_in_pieces_where_it_went_without(tmp_path):
    def build(wrap):
        torch.manual_seed(1)
        return methods.SimCLR(wrap(encoder().double()), nn.Linear(4, 4).double())

    def train(method, steps, **options):
        return ebm.fit(
            method, X, views=noisy, steps=steps, batch_size=20, seed=2, progress=False, **options
        )

    whole = build(lambda network: network)
    train(whole, 8)
    train(build(lambda network: network), 4, out=tmp_path)
    pieces = build(lambda network: networks.MicroBatched(network, 6))
    train(pieces, 8, out=tmp_path, resume=True)
    for (name, ours), theirs in zip(
        pieces.state_dict().items(), whole.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-8, msg=name)
    assert networks.features_of(networks.MicroBatched(networks.MLP([6, 4]), 2)) == 4


def noisy(x):
    return x + 0.1 * torch.randn_like(x), x + 0.1 * torch.randn_like(x)


def test_a_batch_of_4096_takes_the_memory_of_256():
    def deep():
        torch.manual_seed(0)
        return nn.Sequential(*(nn.Sequential(nn.Linear(64, 64), nn.GELU()) for _ in range(24)))

    def step(network, n):
        x = torch.randn(n, 64)
        return lambda: terms.NTXent()(network(x), network(x.flip(1))).mean().backward()

    small, large = peak(step(deep(), 256)), peak(step(deep(), 4096))
    ours = peak(step(networks.MicroBatched(deep(), 256), 4096))
    # What is left over of the large batch is its rows and embeddings, in and out.
    rows = 2 * 4096 * 64 * 4 / 2**20
    assert large > 10 * small
    assert ours < small + 8 * rows
    blocks = nn.Sequential(*(networks.Recomputed(block) for block in deep()))
    assert peak(step(blocks, 4096)) < 0.7 * large
