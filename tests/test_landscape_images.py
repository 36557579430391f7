"""Views of energies of images: arrays against closed forms, drawings as smoke."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import ebm
from ebm import landscape


def half_square(x):
    return x.flatten(1).square().sum(-1) / 2


def pictures(*shape, seed=1):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def rendered(view):
    ax = landscape.draw(view)
    ax.figure.canvas.draw()
    return ax


def test_energies_of_several_sets_are_kept_by_name():
    x = pictures(9, 1, 4, 4)
    sets = {"data": x, "brighter": x + 1, "the same": x.clone()}
    found = landscape.energy_histograms(half_square, sets, batch_size=4)
    np.testing.assert_allclose(found.energies["brighter"], half_square(x + 1), rtol=1e-5)
    assert found.auroc == {"brighter": 1.0, "the same": 0.5}
    ax = rendered(found)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["data", "brighter  AUROC 1.00", "the same  AUROC 0.50"]
    with pytest.raises(ValueError, match="sets must hold at least one"):
        landscape.energy_histograms(half_square, {})


def test_auroc_counts_ties_by_half_and_agrees_with_pairs():
    generator = torch.Generator().manual_seed(0)
    first, other = (torch.randint(6, (n, 1), generator=generator).float() for n in (40, 31))
    found = landscape.energy_histograms(lambda x: x[:, 0], {"first": first, "other": other + 1})
    pairs = (other + 1 > first.T).float() + 0.5 * (other + 1 == first.T).float()
    assert found.auroc["other"] == pytest.approx(float(pairs.mean()))


def test_energies_that_are_not_finite_are_counted():
    def energy(x):
        return torch.where(x[:, 0] > 0.5, torch.inf, x[:, 0])

    x = torch.linspace(0, 1, 11)[:, None]
    found = landscape.energy_histograms(energy, {"data": x, "high": x + 1})
    assert found.masked == 5 + 11
    assert len(found.energies["high"]) == 0
    assert np.isnan(found.auroc["high"])
    assert "16 not finite" in rendered(found).get_xlabel()


def test_a_corruption_ladder_climbs():
    x = pictures(6, 1, 4, 4)
    corruptions = {
        "brighter": (lambda x, level: x + level, (0, 1, 2)),
        "darker": (lambda x, level: x * (1 - level), (0, 0.5, 1)),
    }
    found = landscape.corruption_ladder(half_square, x, corruptions)
    assert found.energies["brighter"].shape == (3, 6)
    np.testing.assert_allclose(found.energies["brighter"][2], half_square(x + 2), rtol=1e-5)
    assert (np.diff(found.means["brighter"]) > 0).all()
    assert found.means["darker"][-1] == 0
    np.testing.assert_allclose(found.examples["darker"][1], x[0] / 2)
    rendered(found)
    with pytest.raises(ValueError, match="corruptions must hold at least one"):
        landscape.corruption_ladder(half_square, x, {})
    with pytest.raises(ValueError, match="one shape"):
        landscape.corruption_ladder(half_square, x, {"cut": (lambda x, _: x[:, :, :2], (1,))})


def test_a_chain_strip_shows_the_first_and_the_last():
    x = pictures(3, 1, 6, 6)
    chain = ebm.samplers.chain(ebm.samplers.Langevin(0.1), half_square, x, 20)
    found = landscape.chain_strip(chain, 2, 5)
    assert found.steps.tolist() == [0, 5, 10, 14, 19]
    assert found.positions.shape == (2, 5, 1, 6, 6)
    np.testing.assert_allclose(found.positions[:, -1], chain.x[:2], rtol=1e-6)
    np.testing.assert_allclose(found.energies[1], chain.energies[found.steps, 1], rtol=1e-6)
    assert "records 0 to 19" in rendered(found).get_xlabel()
    short = SimpleNamespace(positions=chain.positions[:1], energies=chain.energies[:1])
    assert landscape.chain_strip(short).energies.shape == (3, 1)


def test_a_sample_grid_is_sorted_by_energy():
    x = pictures(7, 36)
    found = landscape.sample_grid(x, half_square, 3)
    assert (np.diff(found.energies) >= 0).all()
    order = half_square(x).argsort()
    np.testing.assert_allclose(found.examples, x[order], rtol=1e-6)
    rendered(found)
    plain = landscape.sample_grid(pictures(50, 3, 4, 4), most=20)
    assert len(plain.examples) == 17  # every third
    assert plain.energies is None
    rendered(plain)


@pytest.mark.parametrize("shape", [(1, 5, 5), (3, 5, 5), (36,), (5,)])
def test_saliency_is_the_gradient(shape):
    x = pictures(4, *shape)
    found = landscape.saliency(half_square, x, batch_size=3)
    np.testing.assert_allclose(found.gradients, x, rtol=1e-5)  # of |x|^2 / 2: x itself
    np.testing.assert_allclose(found.energies, half_square(x), rtol=1e-5)
    rendered(found)


def test_the_nearest_neighbors_are_found():
    data = pictures(40, 1, 4, 4)
    samples = data[[7, 31]] + 1e-3
    found = landscape.nearest_neighbors(samples, data, 3)
    assert found.indices[:, 0].tolist() == [7, 31]
    np.testing.assert_allclose(found.distances[:, 0], 1e-3 * 4, rtol=1e-3)
    np.testing.assert_allclose(found.neighbors[:, 0], data[[7, 31]])
    assert (np.diff(found.distances) >= 0).all()
    mean = landscape.nearest_neighbors(
        samples, data, 1, encode=lambda x: x.mean((1, 2, 3))[:, None]
    )
    assert mean.distances.max() < 2e-3
    rendered(found)
    with pytest.raises(ValueError, match="k must be at most the 40 examples"):
        landscape.nearest_neighbors(samples, data, 41)


def test_a_dictionary_is_sorted_by_use():
    atoms = pictures(5, 1, 4, 4)
    codes = torch.tensor([[1.0, 0, 0, 0, 2], [0, 0, 3, 0, 1]])
    found = landscape.dictionary(atoms, codes)
    assert found.use.tolist() == [1, 0.5, 0.5, 0, 0]
    np.testing.assert_allclose(found.atoms, atoms[[4, 0, 2, 1, 3]])
    assert "2 never used" in rendered(found).get_xlabel()
    longest = landscape.dictionary(atoms * torch.arange(5.0)[:, None, None, None])
    np.testing.assert_allclose(longest.atoms[0], 4 * atoms[4], rtol=1e-6)
    rendered(longest)
    with pytest.raises(ValueError, match=r"codes must have shape \(m, 5\).*got \(2, 4\)"):
        landscape.dictionary(atoms, codes[:, :4])


def test_reconstructions_state_their_errors():
    x = pictures(3, 1, 4, 4)
    found = landscape.reconstructions(x, {"shifted": x + 0.5, "exact": x})
    np.testing.assert_allclose(found.errors["shifted"], [4, 4, 4], rtol=1e-5)
    assert found.errors["exact"].tolist() == [0, 0, 0]
    assert "rows: x, shifted, exact" in rendered(found).get_xlabel()
    assert list(landscape.reconstructions(x, x).rows) == ["reconstruction"]
    with pytest.raises(ValueError, match="one shape"):
        landscape.reconstructions(x, x[:2])


def test_a_latent_map_decodes_where_the_dots_are():
    def decode(z):
        return z.sum(-1)[:, None, None, None].expand(-1, 1, 4, 4)

    found = landscape.latent_map(decode, half_square, (-2, 2), 4, resolution=9)
    assert found.examples.shape == (4, 4, 1, 4, 4)
    exact = found.y[:, None] + found.x
    np.testing.assert_allclose(found.examples[..., 0, 0, 0], exact, atol=1e-6)
    assert found.grid.lowest == (0, 0)
    assert found.locate(torch.ones(1, 2)).tolist() == [[1, 1]]
    rendered(found)


def test_directions_of_a_quadratic_are_parabolas():
    x, other = torch.tensor([[3.0, 0.0, 0.0]]), torch.tensor([[3.0, 4.0, 0.0]])
    found = landscape.directions(half_square, x[0], {"other": other[0]}, reach=2.0, points=5)
    assert found.t.tolist() == [-2, -1, 0, 1, 2]
    np.testing.assert_allclose(found.vectors["gradient"], [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(found.values["gradient"], (3 + found.t) ** 2 / 2, rtol=1e-5)
    np.testing.assert_allclose(found.values["other"], (9 + found.t**2) / 2, rtol=1e-5)
    assert found.energy == 4.5
    assert list(found.vectors) == ["gradient", "noise 1", "noise 2", "other"]
    for vector in found.vectors.values():
        assert np.linalg.norm(vector) == pytest.approx(1)
    rendered(found)
    with pytest.raises(ValueError, match="other must differ from x"):
        landscape.directions(half_square, x[0], {"other": x[0]})
