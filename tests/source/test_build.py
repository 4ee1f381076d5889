"""setup.py and what it makes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import preflight
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def machine():
    """This machine, on which fastloop was built; a test takes something from it."""
    machine = preflight.Machine()
    assert preflight.refusal(machine) is None
    return machine


@pytest.mark.parametrize(
    ("what", "value", "sentence"),
    [
        ("system", "darwin", "fastloop runs on Linux only, not on darwin."),
        ("implementation", "PyPy", "fastloop runs on CPython only, not on PyPy."),
        (
            "version",
            (3, 10),
            "fastloop needs Python 3.11 or newer; this is Python 3.10.",
        ),
        ("free_threaded", True, "fastloop does not run on a free-threaded Python"),
        ("include", "/nowhere", "`apt install python3-dev`."),
        ("compiler", "no-such-compiler", "`apt install gcc`."),
    ],
)
def test_refusals_are_one_sentence(machine, what, value, sentence):
    setattr(machine, what, value)
    refusal = preflight.refusal(machine)
    assert sentence in refusal
    assert "\n" not in refusal and refusal.count(". ") == 0


def test_a_newer_python_is_not_refused(machine):
    machine.version = (3, 99)
    assert preflight.refusal(machine) is None


@pytest.mark.parametrize("script", ["setup.py", "tools/preflight.py"])
def test_a_refusal_is_all_that_is_printed(script):
    done = subprocess.run(
        [sys.executable, ROOT / script, "--version"],
        env={**os.environ, "CC": "no-such-compiler"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("The C compiler no-such-compiler is missing")
    assert done.stderr.count("\n") == 1


def test_a_listed_file_that_is_missing_is_named(tmp_path):
    for name in ("setup.py", "pyproject.toml", "tools", "csrc", "fastloop"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    (tmp_path / "csrc/base/ring.c").unlink()
    done = subprocess.run(
        [sys.executable, "setup.py", "build_ext"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == "setup.py lists C files that do not exist: csrc/base/ring.c\n"


def test_every_c_file_is_listed(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    import setup

    there = {str(path.relative_to(ROOT)) for path in (ROOT / "csrc").rglob("*.c")}
    assert sorted(setup.source_paths()) == sorted(there)


def symbols(*options):
    """(kind, name) of the built module's symbols, by nm."""
    import fastloop._core

    done = subprocess.run(
        ["nm", *options, fastloop._core.__file__],
        capture_output=True,
        text=True,
        check=True,
    )
    return re.findall(r"^\w* +([A-Za-z]) (\S+)$", done.stdout, re.MULTILINE)


instrumented = pytest.mark.skipif(
    any(os.environ.get(f"FASTLOOP_{name}") for name in ("SANITIZE", "COVERAGE")),
    reason="the instrumentation has symbols of its own",
)


@instrumented
def test_only_the_init_function_is_exported():
    assert symbols("-D", "--defined-only") == [("T", "PyInit__core")]


@instrumented
def test_no_variable_outlives_an_interpreter():
    """What is zero at the start is there to be written; the C runtime has one."""
    names = {name for kind, name in symbols() if kind in "bB"}
    assert {
        n for n in names if not re.match(r"completed|__bss_start|_end$", n)
    } == set()
