"""Replay: slots in turn, lineages kept, a true fraction restarted, saved and loaded."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import methods
from ebm import energies
from ebm.memory import Replay
from ebm.samplers import Langevin


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def starts(first, count):
    """Distinct chains, numbered from `first`."""
    return torch.arange(first, first + count, dtype=torch.float32)[:, None]


def turn(replay, x, evolve=lambda chains: chains, seed=0):
    """One training step's use of the buffer."""
    chains, slots = replay.draw(x, generator(seed))
    chains = evolve(chains)
    replay.stage(slots, chains)
    replay.commit()
    return chains, slots


sizes = st.integers(1, 12).flatmap(
    lambda capacity: st.tuples(st.just(capacity), st.integers(1, capacity))
)


@given(size=sizes, steps=st.integers(1, 30))
def test_lineages_survive_frozen_dynamics(size, steps):
    capacity, batch = size
    replay, seen, started = Replay(capacity, restart=0), {}, 0
    for step in range(steps):
        chains, slots = turn(replay, starts(1 + started, batch))
        assert len(set(slots.tolist())) == batch  # none drawn twice in a step
        assert slots.tolist() == [(step * batch + i) % capacity for i in range(batch)]
        for i, (slot, chain) in enumerate(
            zip(slots.tolist(), chains.flatten().tolist(), strict=True)
        ):
            if slot not in seen:  # a slot never used begins at its own start
                assert chain == 1 + started + i
                seen[slot] = chain
            assert chain == seen[slot]
        started += batch
        assert int(replay.filled) == len(seen) == min(capacity, (step + 1) * batch)
    for slot in range(capacity):
        assert float(replay.chains[slot]) == seen.get(slot, 0.0)


@given(size=sizes)
def test_every_chain_ages_alike(size):
    capacity, batch = size
    replay = Replay(capacity, restart=0)
    for _ in range(3 * capacity):
        turn(replay, torch.zeros(batch, 1), evolve=lambda chains: chains + 1)
    assert replay.chains.flatten().tolist() == [3.0 * batch] * capacity


def test_restarts_are_a_true_fraction():
    x, noise, count = torch.ones(1_000, 1), generator(3), 0
    for restart, exact in ((0.0, 0), (1.0, 1_000)):
        replay = Replay(1_000, restart=restart)
        turn(replay, torch.zeros(1_000, 1))
        assert int(turn(replay, x)[0].sum()) == exact
    replay = Replay(1_000, restart=0.3)
    turn(replay, torch.zeros(1_000, 1))
    for _ in range(20):
        count += int(replay.draw(x, noise)[0].sum())
    assert abs(count - 6_000) < 5 * math.sqrt(20_000 * 0.3 * 0.7)


def test_restarted_chains_begin_at_their_own_starts():
    replay = Replay(6, restart=0.5)
    turn(replay, -starts(1, 6))
    chains, slots = replay.draw(starts(1, 6), generator(1))
    fresh = chains.flatten() > 0
    assert 0 < int(fresh.sum()) < 6
    assert torch.equal(chains.flatten()[fresh], starts(1, 6).flatten()[fresh])
    assert torch.equal(chains.flatten()[~fresh], -(slots[~fresh] + 1.0))


def test_the_same_generator_restarts_the_same_chains():
    replay = Replay(50, restart=0.5)
    turn(replay, torch.zeros(50, 1))
    draws = [replay.draw(torch.ones(50, 1), generator(seed))[0] for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_nothing_is_written_before_the_step_is_done():
    replay = Replay(4, restart=0)
    turn(replay, starts(1, 4))
    before = {name: value.clone() for name, value in replay.state_dict().items()}
    chains, slots = replay.draw(starts(11, 4))
    replay.stage(slots, chains + 100)
    assert all(torch.equal(before[name], value) for name, value in replay.state_dict().items())
    replay.commit()
    assert replay.chains.flatten().tolist() == [101, 102, 103, 104]
    replay.commit()  # nothing is staged any more
    assert replay.chains.flatten().tolist() == [101, 102, 103, 104]
    assert int(replay.cursor) == 0


def test_a_draw_that_is_never_committed_leaves_no_trace():
    replay = Replay(5, restart=0)
    replay.draw(starts(1, 3))
    chains, slots = turn(replay, starts(11, 3))
    assert slots.tolist() == [0, 1, 2]
    assert chains.flatten().tolist() == [11, 12, 13]


def test_no_tensor_is_shared_with_the_caller():
    replay, x = Replay(3, restart=0), starts(1, 3)
    chains, slots = replay.draw(x)
    replay.stage(slots, chains)
    replay.commit()
    for tensor in (x, chains):
        tensor.fill_(99)
    drawn, _ = replay.draw(x)
    assert drawn.flatten().tolist() == [1, 2, 3]
    drawn.fill_(77)
    assert replay.chains.flatten().tolist() == [1, 2, 3]


def test_chains_are_detached():
    replay, x = Replay(3), torch.ones(3, 1, requires_grad=True)
    chains, slots = replay.draw(x)
    assert not chains.requires_grad
    replay.stage(slots, 2 * x)
    replay.commit()
    assert not replay.chains.requires_grad


@pytest.mark.parametrize("shape", [(), (2,), (3, 4, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_chains_have_the_shape_and_precision_of_the_data(shape, dtype):
    replay, x = Replay(7), torch.ones(4, *shape, dtype=dtype)
    chains, _ = turn(replay, x)
    assert chains.shape == x.shape
    assert chains.dtype == replay.chains.dtype == dtype
    assert replay.chains.shape == (7, *shape)
    assert replay.chains.device == x.device


def test_a_fresh_buffer_takes_over_a_saved_one():
    replay = Replay(5, restart=0)
    for step in range(3):
        turn(replay, starts(1 + 3 * step, 3))
    copy = Replay(5, restart=0)
    copy.load_state_dict(replay.state_dict())
    for step in range(4):
        one, slots = turn(replay, starts(100 + step, 3), evolve=lambda chains: chains + 0.5)
        other, same = turn(copy, starts(100 + step, 3), evolve=lambda chains: chains + 0.5)
        assert torch.equal(one, other)
        assert torch.equal(slots, same)
    assert torch.equal(replay.chains, copy.chains)
    # Half full, and a buffer not used at all.
    for used in (0, 1):
        half, again = Replay(5, restart=0), Replay(5, restart=0)
        for _ in range(used):
            turn(half, starts(1, 3))
        again.load_state_dict(half.state_dict())
        assert torch.equal(turn(half, starts(50, 3))[0], turn(again, starts(50, 3))[0])


def test_batches_of_changing_size():
    replay, written = Replay(7, restart=0), {}
    for step, count in enumerate([3, 5, 1, 7, 2, 6]):
        chains, slots = turn(replay, starts(10 * step + 1, count))
        for slot, chain in zip(slots.tolist(), chains.flatten().tolist(), strict=True):
            assert written.setdefault(slot, chain) == chain
    assert sorted(written) == list(range(7))


def test_contrastive_divergence_keeps_its_chains():
    replay = Replay(6, restart=0)
    method = methods.ContrastiveDivergence(
        energies.MLP(2, hidden=(4,)), Langevin(1e-12, temperature=0), steps=1, replay=replay
    )
    rounds = [torch.randn(4, 2, generator=generator(seed)) for seed in range(3)]
    for x in rounds:
        method.terms(x)
        replay.commit()
    # Hardly any motion: the first starts of each slot are there still.
    expected = torch.cat([rounds[0], rounds[1][:2]])
    assert torch.allclose(replay.chains, expected, atol=1e-9)


# --- Refusals ---------------------------------------------------------------------------


def test_a_buffer_smaller_than_the_batch_is_refused():
    message = r"capacity must be at least the batch, got capacity=3 and 4 chains\. Make Replay"
    with pytest.raises(ValueError, match=message):
        Replay(3).draw(torch.zeros(4, 2))


def test_other_data_are_refused():
    replay = Replay(5)
    turn(replay, torch.zeros(4, 2))
    with pytest.raises(ValueError, match=r"shaped like the chains, \(2,\), got \(3,\)"):
        replay.draw(torch.zeros(4, 3))


def test_another_capacity_than_the_saved_one_is_refused():
    replay, larger = Replay(5), Replay(9)
    turn(replay, torch.zeros(4, 2))
    larger.load_state_dict(replay.state_dict())
    with pytest.raises(ValueError, match=r"loaded chains, 5, got capacity=9\. Make Replay\(5\)"):
        larger.draw(torch.zeros(4, 2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Replay(0), "capacity must be a whole number of at least 1, got capacity=0"),
        (lambda: Replay(5, restart=-0.1), "restart must lie between 0 and 1, got restart=-0.1"),
        (lambda: Replay(5, restart=1.5), "restart must lie between 0 and 1, got restart=1.5"),
        (lambda: Replay(5, restart=math.nan), "restart must lie between 0 and 1, got restart=nan"),
    ],
)
def test_numbers_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_buffer_says_what_it_is():
    assert repr(Replay(100, restart=0.1)) == "Replay(100, restart=0.1)"


def test_chains_of_a_run_in_float64_stay_in_float64():
    replay, again = Replay(4), Replay(4)
    chains, slots = replay.draw(torch.rand(4, 2, dtype=torch.float64))
    replay.stage(slots, chains / 3)
    replay.commit()
    again.load_state_dict(replay.state_dict())
    assert torch.equal(again.chains, replay.chains)
    assert again.chains.dtype == torch.float64
