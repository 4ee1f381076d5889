"""python -m fastloop's own words and options."""

import json
import os
import pathlib
import re
import shutil
import ssl
import sys

import pytest

import fastloop
from tests.support import STOCK_TYPES, without_note

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
    assert (done.returncode, without_note(done.stderr)) == (0, "")
    first, second = done.stdout.splitlines()
    assert first == f"fastloop {fastloop.__version__} (Python {sys.version.split()[0]})"
    kind = "asyncio's own: the environment" if STOCK_TYPES else "fastloop's own, in C: "
    assert second.startswith(f"tasks and futures: {kind}")


def test_version_says_why_tasks_are_asyncios():
    done = run(FASTLOOP, "-V", env=environment(FASTLOOP_STOCK_TYPES="1"))
    assert done.stdout.endswith(
        "\ntasks and futures: asyncio's own:"
        " the environment has FASTLOOP_STOCK_TYPES=1\n"
    )
    script = """
import asyncio, fastloop
from fastloop import _doctor
fastloop.Task = asyncio.Task  # as where this Python's are not known
_doctor.print_version()
"""
    done = run(PYTHON, "-c", script, env=environment(FASTLOOP_STOCK_TYPES="0"))
    assert done.stdout.endswith("in a way not known to it\n")


def test_doctor(tmp_path):
    (tmp_path / "uvloop.py").touch()
    done = run(FASTLOOP, "--doctor", "script.py", cwd=tmp_path)
    assert (done.returncode, without_note(done.stderr)) == (0, "")
    assert done.stdout.endswith("\nnothing is wrong\n")
    found = dict(re.findall("^  (.{21}) (.*)$", done.stdout, re.MULTILINE))
    found = {name.strip(): text for name, text in found.items()}
    assert found["executable"] == sys.executable
    assert found["module"] == fastloop._core.__file__
    assert found["a loop"] == "runs"
    assert found["TLS"].endswith(f", by {ssl.OPENSSL_VERSION}")
    assert found["epoll"] == found["eventfd"] == "yes"
    assert found["tasks and futures"].startswith(
        "asyncio's own" if STOCK_TYPES else "fastloop's own"
    )
    uvloop = next(text for name, text in found.items() if name.startswith("uvloop "))
    assert "fastloop's loops" in uvloop
    # But for the places of files, which are as long as they are.
    lines = [line for line in done.stdout.splitlines() if os.sep not in line]
    assert max(map(len, lines)) <= 100


def test_doctor_knows_our_variables():
    ours = environment(
        FASTLOOP_TLS="stdlib", FASTLOOP_ACCELERATE="1", FASTLOOP_STOCK_TYPES="1"
    )
    done = run(FASTLOOP, "--doctor", env=ours)
    assert (done.returncode, done.stderr) == (0, "")
    for name in "FASTLOOP_TLS", "FASTLOOP_ACCELERATE", "FASTLOOP_STOCK_TYPES":
        assert re.search(rf"^  {name} +'{ours[name]}' \(", done.stdout, re.MULTILINE)
    assert f"asyncio's own, by {ssl.OPENSSL_VERSION}\n" in done.stdout


def test_doctor_names_what_is_wrong():
    script = """
import errno, os, sys
from fastloop import _doctor
def refused(*args):
    raise OSError(errno.EPERM, "Operation not permitted")
os.eventfd = os.pidfd_open = refused
sys.exit(_doctor.report())
"""
    done = run(PYTHON, "-c", script)
    assert done.returncode == 1
    assert "no (Operation not permitted): threads wait for child" in done.stdout
    assert done.stdout.endswith(
        "\nproblem: the kernel refuses eventfd, which every loop needs\n"
    )


def test_install_kernel(tmp_path):
    share = environment(JUPYTER_DATA_DIR=str(tmp_path / "share"))
    (tmp_path / "ipykernel.py").touch()
    done = run(FASTLOOP, "--install-kernel", env=share, cwd=tmp_path)
    assert (done.returncode, without_note(done.stderr)) == (0, "")
    file = tmp_path / "share" / "kernels" / "fastloop" / "kernel.json"
    assert str(file.parent) in done.stdout
    kernel = json.loads(file.read_text())
    launch = ["-m", "fastloop", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    assert kernel["argv"] == [sys.executable, *launch]
    assert kernel["language"] == "python"
    assert "fastloop" in kernel["display_name"]


def test_install_kernel_where_there_is_none():
    script = """
import importlib.util, sys
from fastloop import _kernel
importlib.util.find_spec = lambda name: None
sys.exit(_kernel.install())
"""
    done = run(PYTHON, "-c", script)
    assert (done.returncode, done.stdout) == (1, "")
    assert "`pip install ipykernel`" in done.stderr


def test_install_kernel_that_cannot_be_written(tmp_path):
    (tmp_path / "ipykernel.py").touch()
    share = environment(JUPYTER_DATA_DIR=str(tmp_path / "ipykernel.py"))
    done = run(FASTLOOP, "--install-kernel", env=share, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot be written to" in done.stderr


FLAGS = "import sys; print(sys.flags.dev_mode, sys.flags.optimize, sys.warnoptions)"
PYTHONS_OPTIONS = {
    "-X dev": (["-X", "dev"], "True 0 ['default']"),
    "-Xdev": (["-Xdev"], "True 0 ['default']"),
    "-W error": (["-W", "error"], "False 0 ['error']"),
    "-Werror": (["-Werror"], "False 0 ['error']"),
    "several": (["-OO", "-W", "a", "-Xdev", "-Wi"], "True 2 ['default', 'a', 'i']"),
    "together": (["-OuWi"], "False 1 ['i']"),
    "among ours": (["--debug", "-O", "--keep-uvloop", "-W", "i"], "False 1 ['i']"),
}


@pytest.mark.parametrize("words, seen", PYTHONS_OPTIONS.values(), ids=PYTHONS_OPTIONS)
@pytest.mark.parametrize("form", ["script.py", "-m", "-c", "-", "--"])
def test_options_of_python(tmp_path, words, seen, form):
    source = f"{FLAGS}\nprint(sys.argv[1:])\n"
    (tmp_path / "script.py").write_text(source)
    program = {
        "-m": ["-m", "script"],
        "-c": ["-c", source],
        "--": ["--", "script.py"],
    }.get(form, [form])
    arguments = ["-X", "dev", "--debug", "-i", "--", "-m", "fastloop"]
    done = run(FASTLOOP, *words, *program, *arguments, input=source, cwd=tmp_path)
    # A REPL in debug mode and others may say that asyncio's types are in use.
    assert (done.returncode, without_note(done.stderr)) == (0, "")
    assert done.stdout == f"{seen}\n{arguments}\n"


def test_options_of_python_in_both_places():
    flags = ["-X", "utf8", "-W", "first", "-Wsecond"]
    script = (
        "import sys; print(sys.warnoptions, sys.flags.utf8_mode, sys.orig_argv[1:])"
    )
    done = run(FASTLOOP, "-Wthird", "-uc", script, "end", flags=flags)
    words = [*flags, "-W", "third", "-u", "-m", "fastloop", "-c", script, "end"]
    assert done.stdout == f"['first', 'second', 'third'] 1 {words}\n"


def test_unbuffered():
    script = "import os, sys; sys.stdout.write('now'); os._exit(0)"
    env = environment(PYTHONUNBUFFERED="")
    assert run(FASTLOOP, "-c", script, env=env).stdout == ""
    assert run(FASTLOOP, "-u", "-c", script, env=env).stdout == "now"


def test_the_interpreter_stays():
    done = run(FASTLOOP, "-i", "-c", "x = 5", input="print('x is', x)\n")
    assert done.stdout == "x is 5\n"


def test_the_loop_behind_options_of_python():
    done = run(FASTLOOP, "-X", "dev", "-W", "error", "-c", SHOW_LOOP)
    assert (done.stdout, without_note(done.stderr)) == ("True True\n", "")


def test_options_of_python_under_another_program(tmp_path):
    """As `coverage run -m fastloop` starts us: Python's options go before that."""
    (tmp_path / "starter.py").write_text(
        "import runpy, sys\nsys.argv = sys.argv[2:]\n"
        "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)\n"
    )
    words = ["-m", "fastloop", "-O", "-c", f"{FLAGS}; print(sys.argv)", "-O"]
    done = run(PYTHON, "starter.py", *words, cwd=tmp_path, flags=["-W", "i"])
    assert done.stdout == "False 1 ['i']\n['-c', '-O']\n"


def test_every_option_is_in_the_table_and_the_help():
    from fastloop import _options

    text = run(FASTLOOP, "--help").stdout
    for option in _options.OPTIONS:
        assert f"\n  {', '.join(option.names)} " in text
        assert bool(option.setting) != bool(option.report)
        value = ["0.5"] if option.value else []
        line = _options.parse([option.names[-1], *value, "script.py", *option.names])
        assert line.argv == (["script.py", *option.names] if option.setting else [""])


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
