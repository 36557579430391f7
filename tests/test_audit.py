"""The audit, on losses as users write them: verdicts, tables, exit statuses, messages."""

import functools
import json
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

import ebm.testing
from ebm.samplers import Langevin
from ebm.testing import Violation, audit, check_energy, check_loss, check_method, check_sampler
from ebm.testing import law as engine
from ebm.testing.audit import judge
from ebm.testing.claims import claims, formula, like
from ebm.testing.collapse import classify, find_collapse
from ebm.testing.law import replay
from ebm.testing.laws.universal import finite
from ebm.traits import (
    CollapseValue,
    LowerBound,
    Not,
    PositiveScale,
    PreventsCollapse,
    PushPull,
    Rotation,
    StopGradient,
    Target,
    Translation,
    ViewSwap,
    evaluate,
)

QUICK = {"cases": 5, "progress": False, "collapse": False}


@pytest.fixture(autouse=True)
def _little_shrinking(monkeypatch):
    monkeypatch.setattr(engine, "SHRINK_TRIES", 40)


def squared(x, y):
    return (x - y).square().sum(dim=1).mean()


def info_nce(x, y, temperature=0.2):
    x, y = functional.normalize(x, dim=1), functional.normalize(y, dim=1)
    return functional.cross_entropy(x @ y.T / temperature, torch.arange(len(x)))


def nt_xent(x, y, temperature):
    n, z = len(x), functional.normalize(torch.cat([x, y]), dim=1)
    scores = (z @ z.T / temperature).fill_diagonal_(-1e9)
    return functional.cross_entropy(scores, torch.arange(2 * n).roll(n))


def noisy(x, y):
    return squared(x + 0.1 * torch.randn_like(x), y)


def in_place(x, y):
    x -= x.mean(0)
    return squared(x, y)


def needs_keyword(x, y, *, temperature):
    return squared(x, y) / temperature


class Claims(ebm.Energy):
    traits = (PositiveScale(),)

    def forward(self, x, y):
        return (x - y).square().sum(1)


class Denies(Claims):
    traits = (Not(PositiveScale()),)


class Correlation(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4, affine=False)

    def forward(self, x, y):
        c = self.norm(x).T @ self.norm(y) / len(x)
        return (c - torch.eye(len(c))).square().sum()


USERS = {
    "two tensors": (squared, "n x d, n x d"),
    "a temperature": (nt_xent, "n x d, n x d, 0.5"),
    "logits and labels": (lambda logits, labels: functional.cross_entropy(logits, labels), None),
    "unnamed labels": (lambda a, b: functional.cross_entropy(a, b), "n x d, labels"),
    "a module": (nn.CrossEntropyLoss(), "n x d, labels"),
    "a module of two tensors": (nn.MSELoss(), "n x d, n x d"),
    "a module with batch norm": (Correlation(), "n x 4, n x 4"),
    "probabilities": (nn.BCELoss(), "n x d in (0, 1), n x d in (0, 1)"),
    "a triplet": (nn.TripletMarginLoss(), "n x d, n x d, n x d"),
    "an energy": (lambda x: (x.norm(dim=1) - 1).square(), "n x d"),
    "a network": (
        nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0)),
        "n x 6",
    ),
}


def rate(mu, logvar):
    return -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(1).mean()


def bound(recon, x, mu, logvar):
    return functional.binary_cross_entropy(recon, x, reduction="sum") + rate(mu, logvar)


USERS |= {
    "a rate, whose exp may overflow": (rate, "n x d, n x d"),
    "an evidence bound": (bound, "n x d in (0, 1), n x d in (0, 1), n x d, n x d"),
    "a variance": (
        lambda mean, var, target: functional.gaussian_nll_loss(mean, target, var),
        "n x d, n x d >= 0, n x d",
    ),
    "a keyword bound": (functools.partial(needs_keyword, temperature=0.1), "n x d, n x d"),
}


@pytest.mark.parametrize(("thing", "inputs"), USERS.values(), ids=USERS)
def test_what_users_write_is_called_and_accused_of_nothing(thing, inputs):
    report = audit(thing, **QUICK)
    assert report.ok, str(report)
    assert inputs is None or report.inputs == inputs


def test_a_correct_loss_is_described():
    report = audit(info_nce, cases=8, progress=False)
    assert report["rotation"].outcome == "holds"
    assert report["view swap"].outcome == "fails"
    assert not report["view swap"].failed
    assert any("costs log n" in note for note in report.notes)
    assert report.collapse is not None
    assert report.collapse.prevented
    text = str(report)
    assert "the loss prevents collapse" in text
    assert "all 7 laws hold" in text


def test_a_claim_that_does_not_hold_fails_with_a_small_counterexample(monkeypatch):
    report = audit(squared, traits=[Rotation(), Not(Translation())], **QUICK)
    assert [v.law for v in report.failures] == ["not translation"]
    monkeypatch.setattr(engine, "SHRINK_TRIES", 300)
    report = audit(info_nce, traits=[ViewSwap()], **QUICK)
    (failure,) = report.failures
    assert failure.violation.measured > failure.violation.allowed
    assert sum(x.numel() for x in failure.violation.inputs) <= 12
    text = str(report)
    assert "view swap FAILS: Exchanging the two views" in text
    assert "x1 = torch.tensor(" in text


@pytest.mark.parametrize(
    ("thing", "law"),
    [
        (noisy, "determinism"),
        (in_place, "inputs untouched"),
        (lambda x: x.square().sum(1, keepdim=True), "shape"),
        (lambda x, y: (x.detach() - y.detach()).square().mean(), "differentiable"),
        (lambda x, y: (x - y).square().sum(1).sqrt().mean(), "finite"),
        (lambda x, y: (x.detach() * x - y).square().mean(), "gradcheck"),
        (lambda x, y: (x[0] - y[0]).square().sum() + squared(x, y), "batch permutation"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_universal_laws_need_no_claim(thing, law):
    assert law in [verdict.law for verdict in audit(thing, **QUICK).failures]


def test_what_cannot_be_called_says_so():
    with pytest.raises(ValueError, match=r"functools\.partial\(needs_keyword, temperature"):
        audit(needs_keyword)
    with pytest.raises(ValueError, match="could not be called, tried"):
        audit(lambda graph: graph.edges)
    with pytest.raises(ValueError, match="got the class MSELoss"):
        audit(nn.MSELoss)
    with pytest.raises(ValueError, match="must be callable, got int"):
        audit(3)


def test_what_returns_no_tensor_is_told_how_to_be_audited():
    with pytest.raises(ValueError, match=r"must return a tensor, got tuple.*\(\*batch\)\[0\]"):
        audit(lambda x, y: (squared(x, y), {}))
    with pytest.raises(ValueError, match=r"got dict.*\(\*batch\)\['total'\]"):
        audit(lambda x, y: {"total": squared(x, y), "n": len(x)})
    with pytest.raises(ValueError, match=r"got dict.*\(\*batch\)\['loss'\]"):
        audit(lambda x, y: {"n": len(x), "loss": squared(x, y)})
    with pytest.raises(ValueError, match=r"got NoneType.*Add the return"):
        audit(lambda x, y: None)
    report = audit(lambda x, y: squared(x, y).item(), **QUICK)
    assert "Remove .item()" in report["shape"].reason
    assert not report.ok


def test_what_wants_a_gpu_is_told_so_once():
    def on_a_gpu(x, y):
        raise AssertionError("Torch not compiled with CUDA enabled")

    with pytest.raises(ValueError, match=r"GPU that is not here") as refused:
        audit(on_a_gpu)
    assert str(refused.value).count("not compiled") == 1


def test_what_wants_processes_is_told_how_to_start_one():
    def gathered(x, y):
        sizes = [torch.zeros(1) for _ in range(torch.distributed.get_world_size())]
        return squared(x, y) * len(sizes)

    with pytest.raises(ValueError, match=r"gathers over processes.*HashStore"):
        audit(gathered)


def test_a_loss_of_large_batches_is_audited_on_those():
    def eight(x, y):
        assert len(x) >= 8
        return squared(x, y)

    assert ebm.testing.Subject(eight).least == 8
    report = audit(eight, **QUICK)
    assert report.ok
    assert not any(v.refused for v in report.verdicts if v.law != "batch of one")


def test_distances_that_torch_keeps_from_zero_are_accused_of_nothing():
    def margin(x, y, z):
        return functional.triplet_margin_loss(x, y, z, margin=0.2)

    check_loss(margin, like("triplet"), cases=40)
    check_loss(lambda x, y: functional.pairwise_distance(x, y).mean(), {ViewSwap()}, cases=40)


def test_a_scale_is_a_number_and_a_log_variance_is_none():
    def clip(image_features, text_features, logit_scale):
        return info_nce(image_features, text_features, 1 / logit_scale)

    assert audit(clip, **QUICK).inputs == "n x d, n x d, 1"
    assert audit(lambda mu, log_scale: rate(mu, log_scale), **QUICK).inputs == "n x d, n x d"


def test_a_value_that_is_not_finite_is_laid_to_what_makes_it_so():
    def own_class(x, labels):  # no example of a class alone has a positive
        same = (labels[:, None] == labels).float() - torch.eye(len(x))
        return ((x @ x.T) * same).sum(1).div(same.sum(1)).mean()

    verdict = judge(finite, ebm.testing.Subject(own_class), None, cases=40)
    assert "whatever the rest of the batch" in verdict.reason
    direction = audit(lambda x: (x / x.norm(dim=1, keepdim=True)).sum(1), **QUICK)
    assert "where a row of each view is zero" in direction["finite at zero"].reason


def test_a_loss_of_even_batches_is_audited_on_those():
    def halves(x, y):
        if len(x) % 2:
            raise ValueError("the batch must be even")
        return squared(x, y)

    report = audit(halves, **QUICK)
    assert report.ok
    assert any(verdict.refused for verdict in report.verdicts)
    assert any("refuses some sizes" in note for note in report.notes)


def test_a_partial_has_the_name_of_its_function():
    assert audit(functools.partial(needs_keyword, temperature=1), **QUICK).name == "needs_keyword"


def test_one_view_is_changed_in_its_turn():
    def second_counts(x, y):  # only the second view's place and turn matter
        return (x - x.mean(0)).square().mean() + y[:, :1].square().mean()

    report = audit(second_counts, **QUICK)
    for law in ("per view rotation", "per view translation", "per view affine"):
        assert report[law].outcome == "fails", law


def test_a_target_gets_no_gradient():
    def to_a_target(x, y):
        return squared(x, y.detach())

    check_loss(to_a_target, {Target(2), StopGradient()}, cases=5)
    with pytest.raises(Violation, match="input 2 gets a gradient"):
        check_loss(squared, {Target(2), StopGradient()}, cases=5)
    assert claims("target=2") == (Target(2),)


def test_a_stopped_gradient_is_no_broken_symmetry():
    def bootstrapped(p, q, x, y):
        pairs = ((p, y), (q, x))
        return sum(2 - 2 * functional.cosine_similarity(a, b.detach()).mean() for a, b in pairs)

    report = audit(bootstrapped, traits=like("byol"), **QUICK)
    assert report.ok, str(report)
    assert report["torque vanishes"].outcome == "not applicable"
    assert "inputs 3 and 4 get no gradient (stop-gradient)" in report.notes


def test_the_audit_leaves_everything_as_it_was():
    loss = Correlation()
    state = {k: v.clone() for k, v in loss.state_dict().items()}
    random = torch.get_rng_state()
    audit(loss, **QUICK)
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(v, state[k]) for k, v in loss.state_dict().items())
    assert loss.training


@pytest.mark.slow
def test_the_same_audit_twice_is_the_same():
    first, second = (audit(info_nce, **QUICK).as_dict() for _ in range(2))
    assert first == second
    assert json.loads(json.dumps(first)) == first


def test_the_checks_are_plain_failures():
    check_loss(squared, {Rotation(), Translation(), LowerBound(0.0, attained=True)}, cases=8)
    with pytest.raises(AssertionError, match="view swap: Exchanging") as failure:
        check_loss(info_nce, {ViewSwap()}, cases=8)
    assert "measured" in str(failure.value)
    check_energy(lambda x: x.square().sum(1), dim=2, cases=8)
    check_energy(lambda x: x.square().flatten(1).sum(1), shape=(1, 4, 4), cases=8)
    with pytest.raises(Violation, match="batch independence"):
        check_energy(lambda x: (x - x.mean(0)).square().sum(1), dim=2, cases=8)
    with pytest.raises(Violation, match="one value per example"):
        check_energy(lambda x: x.square().mean(), dim=2, cases=8)
    check_sampler(Langevin(0.1), cases=5)


def test_a_sampler_and_a_method_are_audited_too():
    from methods import Autoencoder

    assert "keeps the gaussian" in str(audit(Langevin(0.1), cases=3, progress=False))
    x = torch.randn(16, 2)
    check_method(Autoencoder.example(x), x)
    assert audit(Autoencoder.example(x), cases=3, progress=False).ok
    with pytest.raises(ValueError, match="terms could not be called"):
        check_method(Autoencoder.example(x), (x, x))


def test_find_collapse_tells_the_losses_apart():
    assert find_collapse(info_nce).prevented
    merely_alike = find_collapse(squared)
    assert not merely_alike.prevented
    assert "architecture" in str(merely_alike)
    drawn_together = find_collapse(lambda x, y: torch.cdist(x, y).square().mean())
    assert drawn_together.kind == "constant"
    assert drawn_together.best.rankme == pytest.approx(1, abs=0.2)
    assert "a single point" in str(drawn_together)
    with pytest.raises(ValueError, match="must take embeddings"):
        find_collapse(nn.BCELoss())


def test_classify():
    generator = torch.Generator().manual_seed(0)
    spread = torch.randn(16, 4, generator=generator)
    assert classify(spread) == "spread"
    assert classify(torch.ones(16, 4)) == "constant"
    assert classify(spread[:, :1] * torch.ones(1, 4) + 5 * torch.eye(4)[0]) == "rank-deficient"
    assert classify(spread[:3].repeat_interleave(5, 0)) == "clustered"


def test_claims_in_words():
    assert claims("swap, no-translation") == (ViewSwap(), Not(Translation()))
    assert claims("prevents_collapse") == (PreventsCollapse(),)
    (value,) = claims("collapse=log(2*n-1)")
    assert isinstance(value, CollapseValue)
    assert evaluate(value.value, 4, 2) == pytest.approx(math.log(7))
    assert formula("-1/2") == -0.5
    assert Rotation() in like("SimCLR")
    with pytest.raises(ValueError, match=r"claim must be one of.*Did you mean rotation"):
        claims("rotaton")
    with pytest.raises(ValueError, match="claim rotation must have no number"):
        claims("rotation=2")
    with pytest.raises(ValueError, match="must have a number"):
        claims("collapse")
    with pytest.raises(ValueError, match="formula of n and d"):
        claims("collapse=__import__('os')")
    with pytest.raises(ValueError, match="like must be one of"):
        like("resnet")
    with pytest.raises(ValueError, match="Did you mean vicreg"):
        like("vic-reg")


def test_the_command_line(tmp_path):
    file = tmp_path / "losses.py"
    file.write_text(
        "import torch\n"
        "from torch import nn\n"
        "good = lambda x, y: (x - y).square().mean()\n"
        "class Loss(nn.Module):\n"
        "    def forward(self, x, y):\n"
        "        return (x * y).sum(1, keepdim=True)\n"
        "class Sized(Loss):\n"
        "    def __init__(self, size):\n"
        "        super().__init__()\n"
    )
    shown = []

    def run(name, **options):
        shown.clear()
        return ebm.testing.cli(
            f"{file}:{name}", cases=3, collapse=False, show=shown.append, **options
        )

    assert run("good") == 0
    assert run("good", claim="rotation, swap", like="mse") == 0
    assert run("good", claim="scale") == 1
    assert "positive scale FAILS" in shown[0]
    assert run("Loss") == 1
    assert run("good", json=True, claim="scale") == 1
    found = json.loads(shown[0])
    assert found["laws"]["positive scale"]["outcome"] == "fails"
    assert found["laws"]["positive scale"]["measured"] > 0
    for target, message in (
        (f"{file}:nothing", "must name something"),
        (f"{file}:Sized", "without required arguments"),
        (f"{tmp_path}/none.py:x", "file must exist"),
        ("no_such_module_here:x", "must be importable"),
        ("losses", "must be module:name"),
    ):
        with pytest.raises(ValueError, match=message):
            ebm.testing.cli(target)


def test_a_counterexample_replays():
    x = torch.tensor([[1.0, 0.1], [-2.5, 3.0]], dtype=torch.float64)
    again = eval(replay(x), {"torch": torch})
    assert torch.equal(x, again)
    assert replay(torch.tensor([1, 2])) == "torch.tensor([1, 2])"


def test_a_survey_is_a_table_of_checked_statements():
    from ebm import terms

    table = ebm.testing.survey(
        {"Cosine": terms.Cosine(), "InfoNCE": terms.InfoNCE()},
        [ViewSwap(), Rotation(), PreventsCollapse()],
        cases=3,
    )
    assert table.columns == ("view swap", "rotation", "prevents collapse")
    assert table.rows["Cosine"][:2] == ("yes", "yes")
    assert table.rows["Cosine"][2] == "no"
    assert table.rows["InfoNCE"] == ("no", "yes", "yes")
    assert "| InfoNCE | no | yes | yes |" in str(table)
    found = table.counterexamples["InfoNCE"]["view swap"]
    assert [x.tolist() for x in found.inputs] == [[[1, 1], [1, 1]], [[1, 1], [1, 0]]]
    swapped = terms.InfoNCE()(*found.inputs[::-1]).mean() - terms.InfoNCE()(*found.inputs).mean()
    assert abs(float(swapped)) == pytest.approx(found.measured)
    assert found.measured > found.allowed
    assert "InfoNCE, view swap: with the views exchanged: 1.51654 becomes 0.693147." in str(table)
    page = table._repr_html_()
    assert "<th>InfoNCE</th><td><b>no</b></td><td>yes</td><td>yes</td>" in page
    assert "<td>view swap</td><td><code>[[1, 1],<br>[1, 1]]</code></td>" in page


def test_a_survey_tries_what_is_not_stated():
    table = ebm.testing.survey(
        {"mine": squared}, [ViewSwap(), PositiveScale(), PushPull()], cases=3
    )
    assert table.columns == ("view swap", "positive scale")
    assert table.rows["mine"] == ("(yes)", "no")
    with pytest.raises(Violation, match="positive scale"):
        ebm.testing.survey({"wrong": Claims()}, [PositiveScale()], cases=3)
    denial = ebm.testing.survey({"right": Denies()}, [PositiveScale(), ViewSwap()], cases=3)
    assert denial.rows["right"] == ("no", "(yes)")
