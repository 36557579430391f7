"""Shapes are enforced while the tests run; one thread per worker keeps timings honest."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")

from jaxtyping import install_import_hook

install_import_hook(["ebm", "methods", "toy_data"], "typechecker.check")

import hypothesis
import jaxtyping
import pytest
import torch

torch.set_num_threads(int(os.environ.get("EBM_TEST_THREADS", "1")))

hypothesis.settings.register_profile(
    "dev", max_examples=25, deadline=None, derandomize=True, database=None
)
hypothesis.settings.register_profile(
    "ci", max_examples=100, deadline=None, derandomize=True, database=None, print_blob=True
)
hypothesis.settings.register_profile("nightly", max_examples=1000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("EBM_HYPOTHESIS_PROFILE", "dev"))


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def pytest_collection_modifyitems(items):
    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture
def untyped():
    """Let wrong types through to the project's own checks, as outside the tests."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def pytest_terminal_summary(terminalreporter):
    """Print what tests say they counted: `record_property("says", words)`."""
    for report in terminalreporter.stats.get("passed", []):
        for name, words in report.user_properties:
            if name == "says":
                terminalreporter.write_line(f"{report.nodeid.split('::')[-1]}: {words}")
