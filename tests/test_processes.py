"""Every method on two processes: equal ranks after every step, and the states of one process."""

import dataclasses

import pytest
import table
import torch
from torch import nn

import ebm
import methods
from ebm.testing import Violation
from ebm.testing.cohort import Cohort, Member, Recruit, cohorts
from ebm.testing.law import run
from ebm.testing.laws import processes
from ebm.testing.shared_noise import SharedNoise

N, BATCH = 49, 24
"""An odd number of examples: processes that sweep have unequal shares."""


class Local(ebm.Method):
    """What the laws have to find: a buffer of own rows, and a statistic of own rows."""

    def __init__(self):
        super().__init__()
        self.energy = ebm.energies.MLP(2)
        self.register_buffer("mean", torch.zeros(2))

    def terms(self, x):
        self.mean = x.mean(0)
        return {"spread": self.energy(x).var(), "energy": self.energy(x)}


def obeyed(law, cohort):
    verdict = run(law, cohort)
    if verdict.failed:
        raise verdict.violation or AssertionError(verdict.reason)
    assert verdict.outcome == "holds"


def recruit(row: table.MethodRow) -> Recruit:
    data = (row.plain or row.batch)(N, torch.Generator().manual_seed(1))
    kind = getattr(methods, row.name)
    _, views = kind.example_inputs(data[0]) if row.plain else (None, None)
    given = data if row.name == "JointEnergy" else data[0]
    double = tuple(x.double() if x.is_floating_point() else x for x in data)
    return Recruit(row.name, lambda: kind.example(given), double, views, BATCH)


def recruits() -> list[Recruit]:
    """Return every method of the table, and one that is wrong."""
    x = torch.randn(N, 2, generator=torch.Generator().manual_seed(1)).double()
    return [*(recruit(row) for row in table.METHODS), Recruit("Local", Local, x)]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_are_one_for_every_method():
    *found, local = cohorts(recruits)
    assert {cohort.name for cohort in found} == set(methods.__all__)
    broken = {}
    for cohort in found:
        assert all(len(member.digests) > 1 for member in cohort.members), cohort.name
        for law in processes.LAWS:
            if run(law, cohort).failed:
                broken[cohort.name, law.name] = str(run(law, cohort).violation)
    assert not broken
    for law, message in zip(processes.LAWS, ("mean differ", "is not that of one"), strict=True):
        with pytest.raises(Violation, match=message):
            obeyed(law, local)


def cohort() -> Cohort:
    digests = [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    state = {"a": torch.tensor([1.0, 200.0], dtype=torch.float64), "b": torch.tensor(3)}
    member = Member(digests, state)
    return Cohort("method", [member, member], member)


def with_second(member: Member) -> Cohort:
    whole = cohort()
    return dataclasses.replace(whole, members=[whole.members[0], member])


def test_equal_members_obey_the_laws():
    for law in processes.LAWS:
        obeyed(law, cohort())


def test_a_rank_that_differs_after_one_step_is_found():
    first = cohort().members[0]
    law = processes.states_agree_on_every_rank
    other = Member([first.digests[0], {"a": "3", "b": "5"}], first.state)
    with pytest.raises(Violation, match="b differ on ranks 0 and 1 after step 2"):
        obeyed(law, with_second(other))
    with pytest.raises(Violation, match="rank 0 took 2 steps, rank 1 took 1"):
        obeyed(law, with_second(Member(first.digests[:1], first.state)))
    with pytest.raises(Violation, match="the names differ on ranks 0 and 1 after step 1"):
        more = Member([d | {"c": "1"} for d in first.digests], first.state)
        obeyed(law, with_second(more))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": torch.tensor([1.0 + 3e-8, 200.0], dtype=torch.float64)}, "a on rank 1 is not"),
        ({"b": torch.tensor(4)}, "b on rank 1 is not that of one process"),
        ({"b": torch.tensor([3])}, "b on rank 1 is not that of one process"),
        ({"c": torch.tensor(4)}, "rank 1 has other states"),
    ],
)
def test_a_state_that_is_not_that_of_one_process_is_found(state, message):
    first = cohort().members[0]
    with pytest.raises(Violation, match=message):
        other = Member(first.digests, first.state | state)
        obeyed(processes.processes_are_one, with_second(other))


def drawn(n: int) -> list[torch.Tensor]:
    torch.manual_seed(n)
    weights = torch.ones(n, 3) * torch.tensor([0.5, 0.25, 0.25])
    return [
        torch.randn(n, 2),
        torch.randn(size=(2, n)),
        torch.rand_like(torch.zeros(n, 1, dtype=torch.float64)),
        torch.randn_like(torch.zeros(2 * n, 2)).view(2, n, 2).transpose(0, 1),
        torch.randint(2, 5, (n,)),
        torch.randint(9, (n, 2)),
        torch.bernoulli(torch.full((n,), 0.4)),
        torch.multinomial(weights, 1),
        torch.multinomial(weights, 2),
        torch.multinomial(weights, 4, replacement=True),
        torch.normal(torch.zeros(n), torch.ones(n)),
        torch.normal(1.0, 2.0, (n,)),
        torch.distributions.Normal(torch.zeros(2), 1.0).sample((n,)),
        nn.functional.dropout(torch.ones(n, 2), 0.5),
        torch.empty(n).uniform_(1, 2),
        torch.empty(n).exponential_(2.0),
        torch.empty(n).bernoulli_(0.3),
    ]


def test_shared_noise_is_that_of_the_whole_batch(monkeypatch):
    with SharedNoise(10):
        whole = drawn(10)
    shares = []
    for rank in range(2):
        monkeypatch.setattr("ebm.distributed.world", lambda: 2)
        monkeypatch.setattr("ebm.distributed.rank", lambda rank=rank: rank)
        with SharedNoise(5):
            shares.append(drawn(5))
    for i, (x, first, second) in enumerate(zip(whole, *shares, strict=True)):
        axis = 1 if i == 1 else 0
        assert torch.equal(torch.cat([first, second], axis), x), i
        assert len(x.unique()) > 1, i


def test_shared_noise_leaves_alone_what_has_a_generator_and_what_does_not_draw():
    expected = torch.randn(3, generator=torch.Generator().manual_seed(1))
    with SharedNoise(3):
        assert torch.equal(torch.randn(3, generator=torch.Generator().manual_seed(1)), expected)
        assert torch.equal(torch.ones(3) + 1, torch.full((3,), 2.0))
        assert torch.equal(torch.randperm(4).sort().values, torch.arange(4))
        assert torch.equal(nn.functional.dropout(torch.ones(3), 0.5, training=False), torch.ones(3))


@pytest.mark.parametrize(
    ("name", "mean", "deviation"),
    [("randn", 0.0, 1.0), ("rand", 0.5, 12**-0.5)],
)
def test_shared_noise_has_the_moments_of_what_it_replaces(name, mean, deviation):
    with SharedNoise(7):
        x = getattr(torch, name)(70_000)
    assert abs(float(x.mean()) - mean) < 0.01
    assert abs(float(x.std()) - deviation) < 0.01
