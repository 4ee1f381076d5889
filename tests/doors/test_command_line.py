"""python -m fastloop's own words and options."""

import pathlib
import shutil
import sys

import pytest

import fastloop

from .programs import FASTLOOP, PYTHON, environment, run, run_both

SHOW_LOOP = """
import asyncio, fastloop

async def main():
    loop = asyncio.get_running_loop()
    print(isinstance(loop, fastloop.Loop), loop.get_debug())

asyncio.run(main())
"""


@pytest.mark.parametrize("program", [["-c", SHOW_LOOP], ["-"], ["-m", "show"]])
def test_the_programs_loops_are_fastloops(tmp_path, program):
    (tmp_path / "show.py").write_text(SHOW_LOOP)
    done = run(FASTLOOP, *program, input=SHOW_LOOP, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("True False\n", "")


def test_no_warning_of_its_own():
    done = run(FASTLOOP, "-c", SHOW_LOOP, flags=["-W", "error"])
    assert (done.returncode, done.stdout, done.stderr) == (0, "True False\n", "")


def test_policy_warning_of_the_program_is_its_own():
    script = "import asyncio\nprint(asyncio.get_event_loop_policy() is not None)"
    plain = run(PYTHON, "-c", script, flags=["-W", "error"])
    ours = run(FASTLOOP, "-c", script, flags=["-W", "error"])
    assert (ours.returncode, ours.stdout) == (plain.returncode, plain.stdout)
    assert ours.stderr == plain.stderr


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help(word):
    done = run(FASTLOOP, word, "script.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: python -m fastloop ")
    for option in "script.py", "-m module", "-c code", "--debug", "--version":
        assert f"\n  {option}" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 88


def test_version():
    done = run(FASTLOOP, "--version")
    python = sys.version.split()[0]
    expected = f"fastloop {fastloop.__version__} (Python {python})\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


@pytest.mark.parametrize(
    "words, fault",
    [
        (["--nope", "script.py"], "unknown option --nope"),
        (["-x"], "unknown option -x"),
        (["--debug=1"], "unknown option --debug=1"),
        (["-m"], "argument expected for the -m option"),
        (["--debug", "-c"], "argument expected for the -c option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage(words, fault):
    done = run(FASTLOOP, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: python -m fastloop ")
    assert done.stderr.endswith(f"\npython -m fastloop: error: {fault}\n")


def test_options_after_the_program_are_its_own():
    script = "import sys; print(sys.argv)"
    done = run_both("-c", script, "--debug", "--help", "-m", "x")
    assert done.stdout == "['-c', '--debug', '--help', '-m', 'x']\n"


def test_debug_is_asyncios_debug_mode(tmp_path):
    script = """
import asyncio, os, time, fastloop

async def main():
    time.sleep(0.15)
    return asyncio.get_running_loop().get_debug()

print(asyncio.run(main()), fastloop.run(main()), asyncio.run(main(), debug=False))
loops = [asyncio.new_event_loop(), fastloop.new_event_loop()]
print([(loop.get_debug(), loop.close())[0] for loop in loops])
print("PYTHONASYNCIODEBUG" in os.environ)
"""
    (tmp_path / "script.py").write_text(script)
    done = run(FASTLOOP, "--debug", "script.py", cwd=tmp_path)
    assert done.stdout == "True True False\n[True, True]\nFalse\n"
    assert done.stderr.count("Executing <Task ") == 2


def test_debug_mode_of_the_interpreter_holds_too():
    for options in (
        {"flags": ["-X", "dev"]},
        {"env": environment(PYTHONASYNCIODEBUG="1")},
    ):
        done = run(FASTLOOP, "-c", SHOW_LOOP, **options)
        assert done.stdout == "True True\n"


@pytest.fixture
def unbuilt(tmp_path):
    """A copy of the package's Python files, without the extension.

    python -S finds no installed fastloop beside it.
    """
    copy = tmp_path / "source" / "fastloop"
    copy.mkdir(parents=True)
    for file in pathlib.Path(fastloop.__file__).parent.glob("*.py"):
        shutil.copy(file, copy)
    return copy.parent


def test_unbuilt_tree_says_what_to_run(unbuilt):
    done = run(FASTLOOP, "script.py", flags=["-S"], cwd=unbuilt)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"fastloop is not built for Python {sys.version.split()[0]} in {unbuilt}:"
        " run `make demo` or `pip install -e .` there\n"
    )


def test_unbuilt_package_cannot_be_imported(unbuilt):
    script = "try:\n import fastloop\nexcept ImportError as e:\n print(e.name, '|', e)"
    done = run(PYTHON, "-c", script, flags=["-S"], cwd=unbuilt)
    assert done.stdout.startswith("fastloop | fastloop is not built for Python ")
    assert "`pip install -e .`" in done.stdout
    done = run(PYTHON, "-c", "import fastloop", flags=["-S"], cwd=unbuilt)
    assert "During handling" not in done.stderr
