"""setup.py and what it makes."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
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
        ("compiler", "no-such-compiler", "`apt install gcc libc6-dev`."),
        ("header", "no-such.h", "does not find no-such.h"),
    ],
)
def test_refusals_are_one_sentence(machine, what, value, sentence):
    setattr(machine, what, value)
    refusal = preflight.refusal(machine)
    assert sentence in refusal
    assert "\n" not in refusal and refusal.count(". ") == 0


def test_a_compiler_that_fails_otherwise_is_not_judged(machine):
    machine.compiler = "false --flag"
    assert preflight.refusal(machine) is None


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


@pytest.fixture
def copy(tmp_path):
    """A copy of what a build reads, to break or to build in."""
    wanted = ["csrc", "fastloop", "tools", "CHANGELOG.md", "LICENSE", "MANIFEST.in"]
    for name in [*wanted, "README.md", "pyproject.toml", "setup.py"]:
        copy_one = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy_one(ROOT / name, tmp_path / name)
    return tmp_path


def setup_py(folder, *args):
    """Run setup.py with these arguments in a folder; the CompletedProcess, as text."""
    return subprocess.run(
        [sys.executable, "setup.py", *args], cwd=folder, capture_output=True, text=True
    )


def test_a_package_index_can_show_the_metadata(copy):
    done = setup_py(copy, "-q", "egg_info", "--egg-base", ".")
    assert done.returncode == 0, done.stderr
    metadata = (copy / "asyncio_fastloop.egg-info" / "PKG-INFO").read_text()
    head, _, shown = metadata.partition("\n\n")
    assert "\nDescription-Content-Type: text/markdown" in head
    assert "# fastloop\n" in shown and "*Picture: Times as fast as asyncio: " in shown
    for target in re.findall(r"\]\(([^)]*)\)", shown):
        assert target.startswith(("https://", "#")), target
    assert "<!--" not in shown and "```sh\n" in shown


# Read by the site that hosts the repository, or by git itself.
LEFT_OUT = {".gitignore", ".github/workflows/ci.yml", ".github/workflows/wheels.yml"}
# What a working tree gathers.
JUNK = [
    "benchmarks/.venv-3.13/lib/module.py",
    "build/object.o",
    "fastloop/_core.so",
    "fastloop/__pycache__/_run.pyc",
    "tests/c/check.o",
]


def versioned_files():
    """What git keeps of this checkout; skips the test where there is none."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("no checkout, or no git")
    done = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name for name in done.stdout.splitlines() if (ROOT / name).exists()}


def test_a_source_distribution_is_what_git_keeps(tmp_path):
    versioned = versioned_files()
    for name in versioned:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in JUNK:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    done = setup_py(tmp_path, "-q", "sdist", "--dist-dir", "out")
    assert done.returncode == 0, done.stderr
    (archive,) = (tmp_path / "out").iterdir()
    with tarfile.open(archive) as opened:
        members = [member.name for member in opened if member.isfile()]
    packed = {name.partition("/")[2] for name in members}
    made = {n for n in packed if n == "PKG-INFO" or ".egg-info/" in n} | {"setup.cfg"}
    assert packed - made == versioned - LEFT_OUT


def test_what_is_installed_has_all_that_lies_beside_the_code(copy):
    done = setup_py(copy, "-q", "build_py", "--build-lib", "out")
    assert done.returncode == 0, done.stderr
    there, installed = (
        {path.name for path in folder.iterdir() if path.suffix not in ("", ".so")}
        for folder in (copy / "fastloop", copy / "out" / "fastloop")
    )
    assert installed == there and "timeline.html" in there


def test_the_page_is_installed_without_comments(copy):
    """Lines are dropped and moved left; no text may go over several."""
    done = setup_py(copy, "-q", "build_py", "--build-lib", "out")
    assert done.returncode == 0, done.stderr
    for written in (copy / "fastloop").glob("timeline*.js"):
        lines = written.read_text().splitlines()
        assert all(line.count("`") % 2 == 0 and "/*" not in line for line in lines)
        kept = [line.strip() for line in lines]
        kept = [line for line in kept if line and not line.startswith("//")]
        installed = (copy / "out" / "fastloop" / written.name).read_text()
        assert installed.splitlines() == kept and kept != lines


def test_the_same_pythons_are_named_tested_and_built_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    classifiers = " ".join(project["project"]["classifiers"])
    named = re.findall(r":: (3\.\d+)\b", classifiers)
    wheels = (ROOT / "tools/wheels.sh").read_text()
    built = re.search(r" \|\| versions=\((.*)\)$", wheels, re.M)
    assert built[1].split() == named
    workflow = (ROOT / ".github/workflows/wheels.yml").read_text()
    assert re.findall(r"^ +(3\.\d+)$", workflow, re.M) == named
    tested = re.search(r"^pythons=\((.*)\)$", (ROOT / ".ci/run").read_text(), re.M)
    assert tested[1].split() == named
    readme = (ROOT / "README.md").read_text()
    assert f"CPython {named[0]} to {named[-1]}" in readme


def test_a_listed_file_that_is_missing_is_named(copy):
    (copy / "csrc/base/ring.c").unlink()
    done = setup_py(copy, "build_ext")
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
    expected = [("T", "PyInit__core")]
    if os.environ.get("FASTLOOP_DEBUG"):
        # the linker's, for the ends of a section
        expected += [("D", "__start_fl_faults"), ("D", "__stop_fl_faults")]
    assert symbols("-D", "--defined-only") == expected


@instrumented
def test_no_variable_outlives_an_interpreter():
    """What is zero at the start is there to be written; the C runtime has one.

    The debug build counts the passages of its faults for the whole process, and a BIO's
    method has nothing but the BIO to find a function of the process's OpenSSL by, as a
    signal's handler has nothing but its number.
    """
    # what gcc's partitions of a link share has a suffix
    names = {n.partition(".lto_priv.")[0] for kind, n in symbols() if kind in "bB"}
    expected = r"completed|__bss_start|_end$|data_of$|faulthandlers$"
    if os.environ.get("FASTLOOP_DEBUG"):
        expected += r"|fault_outcome$"
    assert {n for n in names if not re.match(expected, n)} == set()
