"""What a user installs: light to import, silent on the network, complete in the wheel."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import ebm

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
)
PACKAGES = ("ebm", "methods", "toy_data")
HEAVY = ("matplotlib", "hypothesis", "sklearn", "lightning_fabric")

IMPORT = """
import socket, sys

def refuse(*arguments, **options):
    raise AssertionError(f"a connection was opened to {arguments[1:]}")

socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refuse
socket.getaddrinfo = refuse
import ebm, methods, toy_data
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""


def name_of(requirement):
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-")


def test_import_is_light_and_opens_no_connection(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert {"ebm", "methods", "toy_data", "torch"} <= loaded
    assert not loaded & set(HEAVY)


def test_every_public_name_is_there():
    for name in ebm.__all__:
        assert hasattr(ebm, name)


def test_one_version():
    from importlib.metadata import version

    assert version("ebm-framework") == ebm.__version__


def test_everything_asked_for_is_pinned():
    asked = [*PROJECT["dependencies"]]
    for extra in PROJECT["optional-dependencies"].values():
        asked += extra
    pinned = {name.lower().replace("_", "-") for name in PINS}
    assert {name_of(requirement) for requirement in asked} <= pinned


def test_pins_name_versions_that_any_index_may_offer():
    assert PINS["torch"] == "2.13.0"
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in PINS.values())


def test_environment_satisfies_the_pins():
    from importlib.metadata import PackageNotFoundError, version

    def there(name):
        try:
            return version(name).split("+")[0]
        except PackageNotFoundError:
            return None

    if not (ROOT / ".venv" / ".installed").exists() or Path(sys.prefix) != ROOT / ".venv":
        pytest.skip("another environment than that of the make targets")
    others = {name: there(name) for name, pin in PINS.items() if there(name) not in (pin, None)}
    assert not others


@pytest.mark.slow
def test_wheel_holds_the_three_packages_and_nothing_else(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("ebm_framework-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    info = f"ebm_framework-{ebm.__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {*PACKAGES, info}
    assert f"{info}/licenses/LICENSE" in names
    ours = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert any(name.endswith(".js") for name in ours)
    assert ours == {name for name in names if not name.startswith(info)}
    entry = zipfile.ZipFile(wheel).read(f"{info}/entry_points.txt").decode()
    assert "ebm = ebm.__main__:main" in entry


def make(tmp_path, *words):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
    return subprocess.run(
        ["make", *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )


def script(path, text):
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def test_make_without_a_python_says_so_in_one_line(tmp_path):
    old = script(tmp_path / "old", "exit 1\n")
    done = make(tmp_path, "test", f"PYTHON={old}")
    assert done.returncode
    assert "Python must be 3.11 or newer" in done.stderr.splitlines()[0]
    assert not (tmp_path / ".venv").exists()


def test_make_without_the_venv_module_names_the_package(tmp_path):
    bare = script(
        tmp_path / "bare",
        f'case "$2" in *ensurepip*) exit 1;; esac\nexec {sys.executable} "$@"\n',
    )
    done = make(tmp_path, "test", f"PYTHON={bare}")
    assert done.returncode
    assert "apt-get install python3-venv" in done.stderr.splitlines()[0]


def test_make_help_names_every_target(tmp_path):
    said = make(tmp_path, "help").stdout
    for target in ("tour", "test", "test-slow", "check", "docs", "clean"):
        assert f"make {target} " in said
