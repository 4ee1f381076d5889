"""The Makefile, and a checkout that cannot be written."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
BUILD = """
import sys
from setuptools import build_meta
folder = sys.argv[1]
build_meta.get_requires_for_build_wheel()
build_meta.prepare_metadata_for_build_wheel(folder)
build_meta.build_wheel(folder)
"""


@pytest.fixture
def checkout(tmp_path):
    """What make and a build read."""
    copy = tmp_path / "checkout"
    for name in "csrc", "fastloop", "tools":
        junk = shutil.ignore_patterns("__pycache__", "*.so")
        shutil.copytree(ROOT / name, copy / name, ignore=junk)
    for name in (
        *("CHANGELOG.md", "LICENSE", "MANIFEST.in", "Makefile", "README.md"),
        *("pyproject.toml", "setup.py"),
    ):
        shutil.copy(ROOT / name, copy)
    return copy


def run(folder, *command, env=None):
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=50,
    )


@pytest.fixture
def python(tmp_path):
    """python(folder, name): the path of a python3 there, which says that name."""

    def python(folder, name):
        path = tmp_path / folder / "python3"
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\necho {name}\n")
        path.chmod(0o755)
        return str(path)

    return python


def is_up_to_date(checkout, python):
    done = run(checkout, "make", "-q", ".venv/.stamp", f"PYTHON={python}")
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0


def test_another_python_of_the_same_name_is_another_environment(checkout, python):
    first, second = python("first", "3.14.1-a"), python("second", "3.14.2-b")
    assert not is_up_to_date(checkout, first)
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / ".made-by-3.14.1-a").touch()
    (checkout / ".venv" / ".stamp").touch()
    assert is_up_to_date(checkout, first)
    assert not is_up_to_date(checkout, second)


def test_the_name_of_a_python_is_its_own(tmp_path):
    def name(python, **env):
        done = run(ROOT, python, "tools/preflight.py", "--name", env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    other = "import sys\nsys.version += 'b'\n"
    (tmp_path / "sitecustomize.py").write_text(other)
    own = name(sys.executable)
    assert own.startswith("{}.{}.{}-".format(*sys.version_info))
    assert own == name(os.path.realpath(sys.executable))
    assert own != name(sys.executable, PYTHONPATH=str(tmp_path))


def test_the_demo_wants_nothing_that_only_tests_need(checkout):
    def steps(target):
        return run(checkout, "make", "-n", target, f"PYTHON={sys.executable}").stdout

    assert "requirements.py" not in steps("demo")
    assert "requirements.py test" in steps("test")
    assert "requirements.py lint" in steps("lint")


def test_help_has_every_target():
    makefile = (ROOT / "Makefile").read_text()
    (targets,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.M)
    said = run(ROOT, "make", "help").stdout
    assert set(re.findall(r"^make (\w+)", said, re.M)) == set(targets.split())
    assert "PYTHON=" in said


@pytest.mark.parametrize("name", ["test", "compat", "lint"])
def test_requirements_of_a_group(name):
    done = run(ROOT, sys.executable, "tools/requirements.py", name)
    assert done.returncode == 0 and len(done.stdout.splitlines()) > 3


def test_who_installs_fastloop_is_shown_the_extra_test_alone(checkout):
    done = run(checkout, sys.executable, "setup.py", "-q", "egg_info")
    assert done.returncode == 0, done.stderr
    said = (checkout / "asyncio_fastloop.egg-info" / "PKG-INFO").read_text()
    assert re.findall(r"^Provides-Extra: (.*)$", said, re.M) == ["test"]
    assert re.findall(r"^Author: (.*)$", said, re.M) == ["The fastloop authors"]


@pytest.fixture
def read_only(checkout):
    """checkout, and the start of a command for which it cannot be written."""
    rights = WITHOUT_RIGHTS if os.geteuid() == 0 else []
    folders = [checkout, *(path for path in checkout.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o555)
    try:
        if run(checkout, *rights, "touch", "made").returncode != 1:
            pytest.skip("nothing keeps this user from writing")
    except FileNotFoundError:
        pytest.skip("there is no setpriv")
    yield checkout, rights
    for path in folders:
        path.chmod(0o755)


def test_a_read_only_checkout_is_built_from_elsewhere(read_only, tmp_path):
    checkout, rights = read_only
    before = sorted(checkout.rglob("*"))
    # a compiler of whose work nothing is seen here
    done = run(
        checkout,
        *(*rights, sys.executable, "-B", "-c", BUILD, str(tmp_path)),
        env={"CC": "true", "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("*.whl"))
    assert sorted(checkout.rglob("*")) == before
    assert not list(tmp_path.glob("fastloop-*"))


@pytest.mark.parametrize(
    "command",
    [
        (sys.executable, "-B", "setup.py", "-q", "build_ext", "--inplace"),
        ("make", "-s", "demo", f"PYTHON={sys.executable}"),
    ],
    ids=["build_ext", "make"],
)
def test_a_read_only_checkout_says_what_to_do(read_only, command):
    checkout, rights = read_only
    done = run(checkout, *rights, *command, env={"CC": "true"})
    assert done.returncode != 0 and done.stdout == ""
    first, *more = done.stderr.splitlines()
    assert first.startswith(f"{checkout} cannot be written: copy it and build there")
    # its level too, where make runs the tests
    assert all(re.match(r"make(\[\d+\])?: \*\*\*", line) for line in more)
