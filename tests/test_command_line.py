"""The command line as a user types it: what works, and what each mistake is answered with."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

import ebm.__main__ as command_line


def run(*words, cwd, env=None, **options):
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "ebm", *map(str, words)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **(env or {})},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **options,
    )


def call(*words):
    """Run the command in this process and return its exit status."""
    with pytest.raises(SystemExit) as stopped:
        command_line.main([str(word) for word in words])
    return stopped.value.code or 0


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EBM_DATA", raising=False)
    return tmp_path


def test_train_then_landscape_in_processes_of_their_own(here):
    trained = run(
        "train", "vicreg", "--data", "two-moons", "--steps", 6, "--out", "runs/a", cwd=here
    )
    assert trained.returncode == 0, trained.stderr
    assert "ebm landscape runs/a" in trained.stdout
    assert "100%" in trained.stderr  # the progress bar
    recipe = json.loads((here / "runs/a/run.json").read_text())["recipe"]
    assert recipe == {
        "method": "vicreg",
        "data": "two-moons",
        "hyper": {},
        "encoder": None,
        "seed": 0,
    }
    drawn = run("landscape", "runs/a", cwd=here)
    assert drawn.returncode == 0, drawn.stderr
    assert (here / "runs/a/landscape.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("method", ["k-means", "simclr", "denoising-score-matching", "adversarial"])
def test_methods_train_on_points_and_images(here, method, capsys):
    for data in ("two-moons", "digits"):
        assert call("train", method, "--data", data, "--steps", 2, "--out", data) == 0
        assert call("landscape", data) == 0
        assert (here / data / "landscape.png").exists()


ENERGIES = """
import torch
import ebm

wells = ebm.energies.DoubleWell() + 0.5 * ebm.energies.Quadratic()
pixels = ebm.energies.MLP(784)
wrong = lambda x: x
"""


def test_a_run_a_checkpoint_and_a_file_become_pages(here, capsys):
    words = ("train", "denoising-score-matching", "--data", "two-moons", "--steps", 3)
    assert call(*words, "--out", "runs/a") == 0
    assert call(*words, "--seed", 1, "--out", "runs/b") == 0
    assert call("landscape", "runs/a", "--html", "a.html") == 0
    assert "The page is a.html" in capsys.readouterr().out
    assert "denoising-score-matching on two-moons" in (here / "a.html").read_text()
    assert call("landscape", "runs/a/checkpoints/step-000000003.pt", "--html", "c.html") == 0
    sizes = [(here / name).stat().st_size for name in ("a.html", "c.html")]
    assert 80_000 < sizes[0] - sizes[1] < 200_000  # four frames of 100 x 100, in 16 bits
    assert call("landscape", "runs/a", "--compare", "runs/b", "--html", "deep/both.html") == 0
    assert (here / "deep/both.html").stat().st_size > sizes[0]
    (here / "mine.py").write_text(ENERGIES)
    assert call("landscape", "mine.py:wells", "--html", "mine.html") == 0
    assert '"name":"double well"' in (here / "mine.html").read_text()
    assert call("landscape", "runs/a/checkpoints/step-000000003.pt", "--out", "c.png") == 0
    assert (here / "c.png").exists()


def test_an_energy_of_pixels_is_answered_with_its_planes(here, capsys):
    import numpy as np

    (here / "mine.py").write_text(ENERGIES)
    np.save(here / "x.npy", np.random.default_rng(0).random((6, 784), dtype=np.float32))
    for wish in ((), ("--html", "page.html")):
        assert call("landscape", "mine.py:pixels", *wish) == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert "an energy of 784 numbers" in said
        assert "--data" in said
        assert "--plane 0 1 2" in said
    options = ("--data", "x.npy", "--plane", 5, 1, 3)
    assert call("landscape", "mine.py:pixels", *options) == 0
    assert (here / "landscape.png").exists()
    assert call("landscape", "mine.py:pixels", *options, "--html", "page.html") == 0
    assert '"plane"' in (here / "page.html").read_text()
    capsys.readouterr()
    assert call("landscape", "mine.py:pixels", "--data", "x.npy", "--plane", 0, 1, 6) == 2
    assert "plane must name three of the 6 examples" in capsys.readouterr().err
    assert call("landscape", "mine.py:wrong") == 2
    assert "one value per example" in capsys.readouterr().err
    assert call("landscape", "mine.py:wells", "--compare", "mine.py:wells") == 2
    assert "html must be given with compare" in capsys.readouterr().err


def test_hyper_parameters_are_options_with_help(here, capsys):
    assert call("train", "simclr", "--help") == 0
    text = capsys.readouterr().out
    assert "--temperature" in text
    assert "Divides the cosines" in text
    words = ("train", "simclr", "--temperature", 0.7, "--steps", 1, "--out", "a")
    assert call(*words) == 0
    assert json.loads((here / "a/run.json").read_text())["recipe"]["hyper"] == {"temperature": 0.7}


def test_every_option_of_a_method_is_one_that_its_example_takes(here):
    words = ("--magnitude-weight", 0.1, "--gradient-weight", 0.2, "--steps", 2, "--out", "a")
    assert call("train", "contrastive-divergence", *words) == 0
    terms = (here / "a/metrics.csv").read_text().splitlines()[0].split(",")
    assert {"magnitude", "gradient"} <= set(terms)


def test_a_hyper_parameter_named_like_an_option_gets_a_prefix(here):
    words = ("train", "contrastive-divergence", "--method-steps", 3, "--steps", 1, "--out", "a")
    assert call(*words) == 0
    assert json.loads((here / "a/run.json").read_text())["recipe"]["hyper"] == {"steps": 3}


def test_resume_goes_on_bit_exactly(here):
    words = ("train", "vicreg", "--data", "two-moons", "--batch-size", 64)
    assert call(*words, "--steps", 6, "--out", "whole") == 0
    assert call(*words, "--steps", 4, "--out", "parts") == 0
    assert call(*words, "--steps", 6, "--out", "parts", "--resume") == 0
    assert (here / "whole/metrics.csv").read_bytes() == (here / "parts/metrics.csv").read_bytes()


def test_resume_with_another_recipe_is_refused(here, capsys):
    assert call("train", "simclr", "--steps", 1, "--out", "a") == 0
    assert call("train", "vicreg", "--steps", 2, "--out", "a", "--resume") == 2
    assert "recipe must be the run's own to resume it" in capsys.readouterr().err


def test_data_and_encoder_of_the_users_own(here):
    (here / "mine.py").write_text(
        "import torch\n"
        "def points(): return torch.randn(300, 3)\n"
        "class Net(torch.nn.Linear):\n"
        "    def __init__(self):\n"
        "        super().__init__(3, 5)\n"
        "        self.features = 5\n"
        "class Bowl(torch.nn.Module):\n"
        "    def forward(self, x): return x.square().sum(-1)\n"
    )
    result = run(
        *("train", "vicreg", "--data", "mine:points", "--encoder", "mine:Net"),
        *("--steps", 2, "--out", "a"),
        cwd=here,
    )
    assert result.returncode == 0, result.stderr
    refused = run("landscape", "a", cwd=here)  # a file of the run must not import code
    assert refused.returncode == 2
    assert "recipe must name only what the project ships" in refused.stderr
    drawn = run("landscape", "mine.py:Bowl", "--out", "bowl.png", cwd=here)
    assert drawn.returncode == 0, drawn.stderr
    assert (here / "bowl.png").exists()


def test_methods_prints_a_row_for_each(capsys):
    import methods

    assert call("methods") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(methods.__all__)
    row = next(line for line in lines if line.startswith("vicreg "))
    assert "redundancy" in row
    assert "Bardes" in row


MISTAKES = [
    (("train",), r"Missing|required"),
    (("train", "vicregg"), r"method must be one that the project has.*Did you mean.*vicreg"),
    (("train", "simclr", "--data", "too-moons"), r"two-moons|two_moons"),
    (("train", "simclr", "--stepz", "3"), r"--stepz.*--steps"),
    (("train", "simclr", "--steps", "many"), r"--steps.*many"),
    (("train", "simclr", "--steps", "0"), r"steps must be a whole number of at least 1"),
    (("train", "simclr", "--temperature=-1"), r"temperature must be a positive number"),
    (("train", "simclr", "--out", "file"), r"out must be a folder that can be written"),
    (("train", "simclr", "--device", "tpu9"), r"device must be one of"),
    (("train", "simclr", "--precision", "half"), r"precision"),
    (("train", "simclr", "--encoder", "nowhere:Net"), r"module must be importable, got nowhere"),
    (("train", "k-means", "--encoder", "torch.nn:Identity"), r"encoder"),
    (("train", "simclr", "--batch-size", "0"), r"batch_size must be a whole number"),
    (("train", "simclr", "--learning-rate=-1"), r"learning_rate must be a positive"),
    (("landscape", "nowhere"), r"target must be a run's folder.*got nowhere"),
    (("landscape", "a/checkpoints/step-000000009.pt"), r"path must exist.*Look in a/checkpoints"),
    (("landscape", "file.py:thing"), r"file must exist, got file.py"),
    (("frobnicate",), r"train.*got 'frobnicate'. See ebm --help"),
    (("audit", "nothing"), r"module:name"),
    (("trian", "simclr"), r"command must be one of tour, train.*Did you mean train\?"),
    (("train", "simclr", "--steps", "1.5"), r"--steps must be a whole number, got '1\.5'"),
    (("train", "simclr", "--temperature", "hot"), r"--temperature must be a number, got 'hot'"),
    (("train", "simclr", "--seed", 2**70), r"seed must be a whole number of less than 2\^63"),
    (("train", "simclr", "--devices", 0), r"devices must be a whole number of at least 1"),
    (("train", "simclr", "--warmup=-1"), r"warmup must be a whole number of at least 0"),
    (("train", "simclr", "--learning-rate", "nan"), r"got learning_rate=nan\. Pass a number above"),
    (("train", "simclr", "--data", "nan.npy"), r"data must be finite.*in 1 of 9 rows.*impute"),
    (("train", "k-means", "--data", "flat.npy"), r"got \(9,\)\. Call \.reshape\(-1, 1\)"),
    (
        ("train", "simclr", "--data", "mine:fails"),
        r"fails must return data, got KeyError: 'no'",
    ),
    (("train", "simclr", "--data", "mine:leaves"), r"must return data, got SystemExit: 3\. Call"),
    (("train", "simclr", "--data", "mine:whole"), r"data must be floating point.*\.float\(\)"),
    (("train", "simclr", "--data", "mine:words"), r"mine:words must return numbers, got <U1"),
    (("train", "simclr", "--data", "broken.py:f"), r"broken.py must run when it is.*SyntaxError"),
    (("train", "simclr", "--data", "nowhere/"), r"must be a folder or a \.npy file that exists"),
    (("train", "simclr", "--encoder", "mine:Wide"), r"encoder must take the data.*7x5.*\(2,\)"),
    (("train", "simclr", "--encoder", "mine:Lies"), r"features=9.*got shape \(2, 5\)\. Set enc"),
    (("train", "simclr", "--encoder", "mine:whole"), r"must be a torch module, got Tensor"),
    (("train", "k-means", "--data", "nan.npy"), r"data must be finite"),
    (("train", "vicreg", "--dim", "0"), r"whole number of at least 1.*asked for with dim=0\."),
    (("landscape", "mine.py"), r"Name what to draw in it: mine\.py:my_energy"),
    (
        ("landscape", "mine.py:bowl", "--out", "file/a.png"),
        r"out must be a file that can be written",
    ),
    (("landscape", "mine.py:bowl", "--out", "a.xyz"), r"path must end as a picture's.*a\.png"),
    (("landscape", "mine.py:bowl", "--html", "."), r"html must be a file.*it is a folder"),
    (("tour", "--quick", "--out", "file"), r"out must be a folder that can be written"),
    (("benchmark", "term"), r"table must be one of .*Did you mean terms\?"),
]

MINE = """
import numpy as np
import torch

def fails(): return {}["no"]
def leaves(): raise SystemExit(3)
def whole(): return torch.arange(18).reshape(9, 2)
def words(): return np.array(["a", "b"])
def bowl(x): return x.square().sum(-1)

class Wide(torch.nn.Linear):
    features = 5
    def __init__(self): super().__init__(7, 5)

class Lies(torch.nn.Linear):
    features = 9
    def __init__(self): super().__init__(2, 5)
"""


@pytest.mark.parametrize(
    ("words", "message"), MISTAKES, ids=[" ".join(map(str, w)) for w, _ in MISTAKES]
)
@pytest.mark.usefixtures("untyped")
def test_a_mistake_gets_one_line_with_the_cure(here, words, message, capsys):
    import numpy as np

    (here / "file").write_text("")
    (here / "mine.py").write_text(MINE)
    (here / "broken.py").write_text("def f(:")
    np.save(here / "nan.npy", np.diag([np.nan, *[1.0] * 8]).astype("float32"))
    np.save(here / "flat.npy", np.ones(9, dtype="float32"))
    assert call(*words) == 2
    assert not (here / "file").read_text()
    error = capsys.readouterr().err
    said = [line for line in error.splitlines() if line.startswith("ebm: ")]
    assert len(said) == 1, error
    assert error.splitlines()[-1] == said[0]
    assert re.search(message, said[0]), said[0]
    assert "Traceback" not in error


def test_a_mistake_in_a_process_exits_2_without_a_traceback(here):
    result = run("train", "vicregg", cwd=here)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_reader_that_has_seen_enough_is_no_mistake(here):
    words = [sys.executable, "-m", "ebm", "methods"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=here, stdout=pipe, stderr=pipe) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.slow
def test_without_a_compiler_that_is_said_in_one_line(here):
    words = ("train", "simclr", "--steps", 1, "--out", "a", "--compile")
    done = run(*words, cwd=here, env={"PATH": str(here)})
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "compile" in line]
    assert len(said) == 1
    assert "ebm: compile=True must find a compiler, got none for cpu" in said[0]
    assert "Install one, such as g++" in said[0]


def test_a_corrupted_checkpoint_is_named(here, capsys):
    assert call("train", "simclr", "--steps", 1, "--out", "a") == 0
    (file,) = (here / "a/checkpoints").glob("*.pt")
    file.write_bytes(file.read_bytes()[:1000])
    for words in (("landscape", "a"), ("train", "simclr", "--steps", 2, "--out", "a", "--resume")):
        assert call(*words) == 2
        assert "checkpoint must be whole" in capsys.readouterr().err


def test_a_recipe_that_names_code_is_refused(here, capsys):
    assert call("train", "simclr", "--steps", 1, "--out", "a") == 0
    path = here / "a/run.json"
    facts = json.loads(path.read_text())
    for change in (
        {"data": "os:getcwd"},
        {"encoder": "os:getcwd"},
        {"method": "os.system"},
        {"hyper": {"encoder": {"a": 1}}},
        {"hyper": {"frob": 3}},
    ):
        path.write_text(json.dumps({**facts, "recipe": {**facts["recipe"], **change}}))
        assert call("landscape", "a") == 2
        assert "ebm: " in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_ctrl_c_saves_and_exits_130_and_kill_loses_nothing_saved(here):
    words = [sys.executable, "-m", "ebm", "train", "vicreg", "--steps", "100000", "--out", "a"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, cwd=here, stderr=subprocess.PIPE, env=environment)
    metrics = here / "a/metrics.csv"
    deadline = time.time() + 120
    while not (metrics.exists() and len(metrics.read_text().splitlines()) > 20):
        assert time.time() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"--resume" in error
    assert b"Traceback" not in error
    first = sorted((here / "a/checkpoints").glob("*.pt"))[-1]
    process = subprocess.Popen(
        [*words, "--resume"], cwd=here, stderr=subprocess.DEVNULL, env=environment
    )
    while sorted((here / "a/checkpoints").glob("*.pt"))[-1] == first:
        assert time.time() < deadline + 120
        time.sleep(0.1)
    process.kill()
    process.wait()
    assert call("landscape", "a") == 0
