"""Compiled samplers: the same chains as without the compiler, and without a compiler too."""

import warnings

import pytest
import torch

import ebm
from ebm import energies
from ebm.latent import LBFGS, Adam, Descent
from ebm.samplers import HMC, MALA, Langevin, UnderdampedLangevin, compiled


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(autouse=True)
def fresh():
    """Nothing is remembered from test to test."""
    for remembered in (compiled._compiled, compiled._compiled_step):
        remembered.cache_clear()
    yield
    for remembered in (compiled._compiled, compiled._compiled_step):
        remembered.cache_clear()


@pytest.fixture
def eager(monkeypatch):
    """A compiler that returns the function as it is, so that no test waits for one."""
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)


SAMPLERS = [
    lambda **o: Langevin(0.01, **o),
    lambda **o: MALA(0.02, **o),
    lambda **o: HMC(0.1, leapfrog_steps=3, **o),
    lambda **o: UnderdampedLangevin(0.1, **o),
]


@pytest.mark.parametrize("make", SAMPLERS)
def test_compiled_chains_are_the_same(make, eager):
    x = torch.randn(300, 2, generator=seeded())
    for energy in (energies.DoubleWell(), energies.MLP(2), lambda x: x.square().sum(-1)):
        plain = make().move(energy, x, 5, seeded())
        fused = make(compile=True).move(energy, x, 5, seeded())
        torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-5)


def test_pieces_give_what_the_whole_gives(eager, monkeypatch):
    energy, x = energies.MLP(2), torch.randn(70, 2, generator=seeded())
    whole = compiled.evaluate(energy, x)
    monkeypatch.setattr(compiled, "CACHE_BYTES", 128 * 4 * 16)
    sizes = []
    energy.register_forward_hook(lambda module, inputs, output: sizes.append(len(inputs[0])))
    pieces = compiled.evaluate(energy, x)
    assert sizes == [14, 14, 14, 14, 14]
    for ours, theirs in zip(pieces, whole, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_step_in_pieces_is_the_whole_step(eager, monkeypatch):
    energy, (x, noise) = energies.MLP(2), torch.randn(2, 70, 2, generator=seeded())
    sizes = torch.tensor(0.1), torch.tensor(0.3)
    whole = compiled.descend(energy, x, noise, *sizes)
    torch.testing.assert_close(whole, x + 0.1 * ebm.score(energy, x) + 0.3 * noise)
    monkeypatch.setattr(compiled, "CACHE_BYTES", 128 * 4 * 16)
    torch.testing.assert_close(compiled.descend(energy, x, noise, *sizes), whole)


def test_rows_that_belong_to_given_rows_are_not_cut(eager, monkeypatch):
    monkeypatch.setattr(compiled, "CACHE_BYTES", 1)
    net = energies.MLP(4)

    class Pair(type(net)):
        def forward(self, x, y):
            return super().forward(torch.cat([x, y], 1))

    energy = Pair(4).given(torch.randn(9, 2))
    assert compiled.evaluate(energy, torch.randn(9, 2))[0].shape == (9,)


def test_without_a_compiler_there_is_one_warning_and_the_same_chain(monkeypatch):
    def broken(function, **options):
        def call(*inputs):
            raise RuntimeError("no compiler")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    energy, x = energies.DoubleWell(), torch.randn(8, 2, generator=seeded())
    sampler = Langevin(0.01, compile=True)
    with pytest.warns(UserWarning, match="energy could not be compiled .RuntimeError.; it is"):
        first = sampler.move(energy, x, 3, seeded())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = sampler.move(energy, x, 3, seeded())
    expected = Langevin(0.01).move(energy, x, 3, seeded())
    assert torch.equal(first, expected)
    assert torch.equal(again, expected)


def test_a_wrong_energy_is_refused_as_ever(eager):
    with pytest.raises(ValueError, match="energy must return one value per example"):
        Langevin(0.1, compile=True).move(lambda x: x.square(), torch.randn(3, 2), 2)


def horseshoe(x, z):
    """A latent energy: the distance to a parabola, at z along it."""
    return (x[:, :1] - z).square().sum(-1) + (x[:, 1:] - z.square()).square().sum(-1)


@pytest.mark.parametrize("update", [LBFGS(), Adam()], ids=repr)
def test_compiled_descent_finds_the_same_latents(update, eager):
    x, start = torch.randn(2, 20, 2, generator=seeded()).double().unbind()
    plain, fused = (
        Descent(update, steps=60, compile=compile).solve(horseshoe, x, start[:, :1])
        for compile in (False, True)
    )
    torch.testing.assert_close(fused.z, plain.z)
    torch.testing.assert_close(fused.energy, plain.energy)
    assert compiled._compiled.cache_info().currsize == 1
    Descent(update, compile=True).solve(horseshoe, x + 1, start[:, :1])
    assert compiled._compiled.cache_info().currsize == 1


def test_descent_without_a_compiler_warns_and_finds_them_too(monkeypatch):
    def broken(function, **options):
        def call(*inputs):
            raise RuntimeError("no compiler")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    x, start = torch.randn(2, 20, 2, generator=seeded()).double().unbind()
    with pytest.warns(UserWarning, match="energy could not be compiled .RuntimeError.; it is"):
        found = Descent(compile=True)(horseshoe, x, start[:, :1])
    assert torch.equal(found, Descent()(horseshoe, x, start[:, :1]))


@pytest.mark.slow
def test_the_compiler_changes_no_latent():
    x, start = torch.randn(2, 20, 2, generator=seeded()).double().unbind()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the compiler's own
        fused = Descent(compile=True)(horseshoe, x, start[:, :1])
    torch.testing.assert_close(fused, Descent()(horseshoe, x, start[:, :1]))


@pytest.mark.slow
@pytest.mark.parametrize("energy", [energies.DoubleWell(), energies.MLP(2)], ids=repr)
def test_the_compiler_changes_no_chain(energy):
    x = torch.randn(64, 2, generator=seeded())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the compiler's own
        fused = Langevin(0.01, compile=True).move(energy, x, 20, seeded())
    plain = Langevin(0.01).move(energy, x, 20, seeded())
    torch.testing.assert_close(fused, plain, rtol=1e-4, atol=1e-4)


def test_thin_products_are_elementwise_or_filled_up():
    from torch.fx.experimental.proxy_tensor import make_fx

    from ebm.samplers.thin import ThinProducts

    def products(column, row, rows, two, wide):
        return column.mm(row), rows.mm(two), rows.mm(wide), two.T.mm(two)

    shapes = (5, 1), (1, 64), (5, 64), (64, 2), (64, 32)
    inputs = [torch.randn(shape, generator=seeded()).double() for shape in shapes]
    module = make_fx(products, tracing_mode="fake")(*inputs)
    ThinProducts()(module.graph)
    module.graph.lint()
    module.recompile()
    for found, expected in zip(module(*inputs), products(*inputs), strict=True):
        torch.testing.assert_close(found, expected)
    made = [node for node in module.graph.nodes if node.op == "call_function"]
    names = [str(node.target) for node in made]
    assert names.count("aten.mul.Tensor") == 1
    columns = sorted(node.args[1].meta["val"].shape[1] for node in made if "mm" in str(node.target))
    assert columns == [16, 16, 32]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_compiled_chains_on_a_gpu():
    generator = torch.Generator("cuda").manual_seed(0)
    x = torch.randn(64, 2, device="cuda", generator=generator)
    energy = energies.MLP(2).cuda()
    chains = []
    for compile in (False, True):
        sampler = Langevin(0.01, compile=compile)
        chains.append(sampler.move(energy, x, 5, torch.Generator("cuda").manual_seed(1)))
    torch.testing.assert_close(chains[0], chains[1], rtol=1e-4, atol=1e-4)
