"""Checkpoints and run folders that are broken or hostile: refused, and nothing is executed."""

import io
import json
import os
import pickle
import random
import shutil
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import nn

import ebm
from ebm.recipe import Recipe
from ebm.training import checkpoint, seal
from ebm.training.run import Run

X = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
QUIET = {"progress": False, "seed": 7, "batch_size": 10}
ALARMING = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
)


class Small(ebm.Method):
    def __init__(self, hidden=4):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def energy(self, x):
        return self.net(x).squeeze(-1).square()

    def terms(self, x):
        return {"fit": self.energy(x)}


class Watch:
    """Notes what a process does that reading a checkpoint must not do."""

    def __init__(self, folder):
        self.folder, self.seen, self.on = str(folder), [], False

    def __call__(self, event, arguments):
        if not self.on:
            return
        writing = (
            event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        )
        if event in ALARMING or (writing and not str(arguments[0]).startswith(self.folder)):
            self.seen.append((event, arguments))

    def __enter__(self):
        self.on = True
        return self

    def __exit__(self, *_):
        self.on = False


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    ebm.fit(Small(), X, steps=4, out=folder, **QUIET)
    return folder


@pytest.fixture
def watch(tmp_path):
    watch = Watch(tmp_path)
    sys.addaudithook(watch)  # hooks cannot be taken off again: this one sleeps afterwards
    return watch


def sealed(content):
    """Return bytes with a seal that fits them: what someone would make who knows how."""
    digest = seal.hashlib.blake2b(content).digest()
    return bytes(content) + seal.MARK + digest


def saved(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return sealed(buffer.getvalue())


def damaged(content, draw):
    """Return the file with one thing broken, as disks and transfers break them."""
    content = bytearray(content)
    kind = draw.choice(["cut", "flip", "flip", "burst", "hole", "insert", "swap"])
    at = draw.randrange(len(content))
    if kind == "cut":
        return content[:at]
    if kind == "flip":
        content[at] ^= 1 << draw.randrange(8)
    elif kind == "burst":
        content[at : at + 64] = draw.randbytes(len(content[at : at + 64]))
    elif kind == "hole":
        content[at] ^= 0xFF
        content[at + 1 : at + 512] = bytes(len(content[at + 1 : at + 512]))
    elif kind == "insert":
        content[at:at] = draw.randbytes(draw.randrange(1, 9))
    else:
        content = content[at:] + content[:at] if at else content[:-1]
    return bytes(content)


class Attack:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def attacks(marker):
    """Return objects that would do something, were they unpickled."""
    command = f"touch {marker}"
    return [
        Attack(os.system, command),
        Attack(eval, f"open({str(marker)!r}, 'w')"),
        Attack(exec, f"open({str(marker)!r}, 'w')"),
        Attack(open, str(marker), "w"),
        Attack(__import__, "attacker"),
        Attack(os.mkdir, str(marker)),
        Attack(compile, "1", "attack", "eval"),
        Attack(torch.load, str(marker)),
        Attack(shutil.rmtree, str(marker)),
        Attack(nn.Linear, 2, 3),
        Path(marker),
        Small(),
    ]


def hostile_files(state, marker):
    """Yield files with fitting seals whose pickles are attacks, alone and within a checkpoint."""
    for attack in attacks(marker):
        for protocol in range(2, 6):
            yield sealed(pickle.dumps(attack, protocol=protocol))
        yield saved(attack)
        for name in ("method", "optimizer", "fingerprint", "name", "step"):
            yield saved({**state, name: attack})
        yield saved({**state, "extra": [attack]})
        yield saved({**state, "method": {**state["method"], "net.0.weight": attack}})
    archive = io.BytesIO(saved(state))
    for name in ("../../outside", "/outside", "archive/../../outside", "archive/data/../../0"):
        changed = io.BytesIO()
        with zipfile.ZipFile(archive) as old, zipfile.ZipFile(changed, "w") as new:
            for whole in old.namelist():
                new.writestr(whole, old.read(whole))
            new.writestr(name, b"x")
        yield sealed(changed.getvalue())
    for attack in attacks(marker):  # the archive as it was, with another pickle in it
        changed = io.BytesIO()
        with zipfile.ZipFile(archive) as old, zipfile.ZipFile(changed, "w") as new:
            for name in old.namelist():
                evil = name.endswith("data.pkl")
                new.writestr(name, pickle.dumps(attack, protocol=2) if evil else old.read(name))
        yield sealed(changed.getvalue())


def other_states(state):
    """Yield states with a part missing, of a wrong kind, or of another method."""
    for name in state:
        yield {k: v for k, v in state.items() if k != name}
        for value in (
            None,
            -1,
            "x",
            1.5,
            [],
            {},
            [1, 2, 3],
            {"a": 1},
            torch.ones(3),
            2**80,
            [0, -1],
        ):
            if type(value) is not type(state[name]) or name in ("format", "name", "step", "place"):
                yield {**state, name: value}
    for name, value in state["method"].items():
        for tensor in (value.new_ones(9), value.new_ones(2, 1, 1), 1.0, "x"):
            if not (isinstance(tensor, torch.Tensor) and tensor.shape == value.shape):
                yield {**state, "method": {**state["method"], name: tensor}}
        yield {**state, "method": {k: v for k, v in state["method"].items() if k != name}}
    for mark in (
        {"rows": []},
        {"rows": [torch.ones(4, 3)], "energies": torch.ones(4)},
        {"rows": 3},
    ):
        yield {**state, "fingerprint": mark}


def test_a_thousand_broken_and_hostile_checkpoints_are_refused(
    run, tmp_path, watch, record_property
):
    file = checkpoint.checkpoints(run / "checkpoints")[-1]
    content, state = file.read_bytes(), checkpoint.read(file)
    assert seal.load(file)["step"] == 4
    draw, counts = random.Random(0), Counter()
    marker, target = tmp_path / "marker", tmp_path / "step-000000004.pt"
    method = Small()
    trials = [("damaged", damaged(content, draw)) for _ in range(700)]
    trials += [("hostile", file) for file in hostile_files(state, marker)]
    trials += [("other", saved(other)) for other in other_states(state)]
    for kind, trial in trials:
        assert trial != content
        target.write_bytes(trial)
        with watch, pytest.raises(ValueError, match=r"^(checkpoint|method) must .*[.\]]$"):
            ebm.load(target, into=method)
        counts[kind] += 1
    assert not marker.exists()
    assert "attacker" not in sys.modules
    assert watch.seen == []
    assert sum(counts.values()) >= 1_000
    record_property("says", f"{sum(counts.values())} checkpoints refused: {dict(counts)}")


def test_checkpoints_with_a_forged_seal_load_or_are_refused(run, tmp_path, watch, record_property):
    # Whoever can make a seal can write any numbers: what is loaded then is numbers, and no more.
    content = checkpoint.checkpoints(run / "checkpoints")[-1].read_bytes()[: -seal.LENGTH]
    target, counts, draw = tmp_path / "step-000000004.pt", Counter(), random.Random(1)
    for _ in range(200):
        target.write_bytes(sealed(damaged(content, draw)))
        method = Small()
        with watch:
            try:
                ebm.load(target, into=method)
                counts["loaded"] += 1
            except ValueError:
                counts["refused"] += 1
    assert watch.seen == []
    assert counts["refused"] > 50
    record_property("says", f"with forged seals: {dict(counts)}, nothing executed")


@pytest.fixture(scope="module")
def recipe_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe")
    recipe = Recipe("vicreg", "two-moons", {"dim": 8})
    Run(folder, resume=False).describe(recipe=recipe.write())
    method, data, views = recipe.build()
    ebm.fit(method, data, views=views, steps=2, out=folder, **QUIET)
    return folder


OTHERS = [
    {"method": "os.system"},
    {"method": "attacker"},
    {"method": "../methods/vicreg"},
    {"method": None},
    {"method": ["vicreg"]},
    {"data": "attacker:data"},
    {"data": "os:getcwd"},
    {"data": "attacker.py:data"},
    {"data": "/etc/passwd"},
    {"data": "../points.npy"},
    {"data": "points.npy"},
    {"data": "~/points.npy"},
    {"data": "a\0b"},
    {"data": None},
    {"data": {"a": 1}},
    {"encoder": "attacker:Net"},
    {"encoder": "torch.nn:Identity"},
    {"encoder": ""},
    {"hyper": {"encoder": "attacker:Net"}},
    {"hyper": {"dim": {"a": 1}}},
    {"hyper": {"dim": "wide"}},
    {"hyper": {"dim": -1}},
    {"hyper": {"self": 1}},
    {"hyper": {"__class__": 1}},
    {"hyper": []},
    {"hyper": None},
    {"seed": "1"},
    {"unknown": 1},
]


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize("change", OTHERS, ids=str)
def test_a_recipe_that_is_not_ours_is_refused(recipe_run, tmp_path, watch, change, monkeypatch):
    (tmp_path / "attacker.py").write_text("open('marker', 'w')\ndata = Net = lambda: 1\n")
    (tmp_path / "points.npy").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    run = tmp_path / "run"
    shutil.copytree(recipe_run, run)
    facts = json.loads((run / "run.json").read_text())
    facts["recipe"] |= change
    (run / "run.json").write_text(json.dumps(facts))
    with watch, pytest.raises((ValueError, TypeError), match=r" must "):
        Recipe.read(run).build()
    assert "attacker" not in sys.modules
    assert not (tmp_path / "marker").exists()


def test_data_of_ones_own_are_named_and_those_in_the_folder_are_taken(recipe_run, tmp_path):
    import numpy as np

    for place in (tmp_path, recipe_run):
        np.save(place / "points.npy", X.numpy())
    path = recipe_run / "run.json"
    before = path.read_text()
    facts = json.loads(before)
    try:
        facts["recipe"]["data"] = str(tmp_path / "points.npy")
        path.write_text(json.dumps(facts))
        with pytest.raises(
            ValueError, match=r"recipe must name only .* Name files of your own with --data"
        ):
            Recipe.read(recipe_run)
        _, data, _ = Recipe.read(recipe_run, data=str(tmp_path / "points.npy")).build()
        assert torch.equal(data, X)
        facts["recipe"]["data"] = str(recipe_run / "points.npy")
        path.write_text(json.dumps(facts))
        assert torch.equal(Recipe.read(recipe_run).build()[1], X)
    finally:
        path.write_text(before)


def test_damaged_run_files_are_refused_or_read(recipe_run, tmp_path, watch, record_property):
    run, draw, counts = tmp_path / "run", random.Random(2), Counter()
    shutil.copytree(recipe_run, run)
    for name in ("run.json", "metrics.csv"):
        path = run / name
        content = path.read_bytes()
        for _ in range(60):
            path.write_bytes(damaged(content, draw))
            with watch:
                try:
                    if name == "run.json":
                        Run(run, resume=True).describe(step=2)
                        Recipe.read(run)
                    else:
                        Run(run, resume=True).history(7)
                    counts["read"] += 1
                except ValueError as error:
                    counts["refused"] += " must " in str(error)
        path.write_bytes(content)
    assert watch.seen == []
    assert sum(counts.values()) == 120
    assert counts["refused"] > 60
    record_property("says", f"damaged run.json and metrics.csv: {dict(counts)}")


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
class TestLinks:
    """Links in a run's folder are neither read nor written through."""

    @pytest.fixture
    def linked(self, run, tmp_path):
        shutil.copytree(run, tmp_path / "run")
        (tmp_path / "outside").write_text("precious")
        return tmp_path / "run"

    def test_a_checkpoint_elsewhere_is_refused(self, linked, tmp_path):
        file = checkpoint.checkpoints(linked / "checkpoints")[-1]
        moved = file.rename(tmp_path / "moved.pt")
        file.symlink_to(moved)
        with pytest.raises(ValueError, match=r"files of a run must lie in its folder, got"):
            ebm.load(linked, into=Small())
        assert ebm.load(moved, into=Small()).step == 4  # named by the user

    def test_a_folder_of_checkpoints_elsewhere_is_refused(self, linked, tmp_path):
        moved = (linked / "checkpoints").rename(tmp_path / "moved")
        (linked / "checkpoints").symlink_to(moved)
        for act in (
            lambda: ebm.load(linked, into=Small()),
            lambda: ebm.fit(Small(), X, steps=6, out=linked, resume=True, **QUIET),
        ):
            with pytest.raises(ValueError, match=r"files of a run must lie in its folder, got"):
                act()

    def test_a_best_checkpoint_elsewhere_is_refused(self, linked, tmp_path):
        moved = (linked / "best.pt").rename(tmp_path / "moved.pt")
        (linked / "best.pt").symlink_to(moved)
        with pytest.raises(ValueError, match=r"files of a run must lie in its folder, got"):
            ebm.fit(Small(), X, steps=6, out=linked, resume=True, **QUIET)

    @pytest.mark.parametrize(
        "name",
        [
            "metrics.csv.part",
            "run.json.part",
            "best.pt.part",
            "checkpoints/step-000000006.pt.part",
            "checkpoints/step-000000006.pt",
        ],
    )
    def test_nothing_is_written_through_a_link(self, linked, tmp_path, name):
        if name.endswith("6.pt"):
            with pytest.raises(ValueError, match=r"files of a run must lie in its folder"):
                (linked / name).symlink_to(tmp_path / "outside")
                ebm.fit(Small(), X, steps=6, out=linked, resume=True, **QUIET)
        else:
            (linked / name).symlink_to(tmp_path / "outside")
            ebm.fit(Small(), X, steps=6, out=linked, resume=True, **QUIET)
            assert checkpoint.read(linked)["step"] == 6
        assert (tmp_path / "outside").read_text() == "precious"

    def test_a_link_in_place_of_the_metrics_is_replaced(self, linked, tmp_path):
        (linked / "metrics.csv").rename(tmp_path / "outside")
        (linked / "metrics.csv").symlink_to(tmp_path / "outside")
        before = (tmp_path / "outside").read_bytes()
        ebm.fit(Small(), X, steps=6, out=linked, resume=True, **QUIET)
        assert (tmp_path / "outside").read_bytes() == before
        assert not (linked / "metrics.csv").is_symlink()
