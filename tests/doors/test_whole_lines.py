"""Whole command lines of python -m fastloop: every kind of word beside every other.

Each runs the same program, which says from inside its coroutine what it runs on and
what it was given.
"""

import json

import pytest

from tests.support import without_note

from .programs import FASTLOOP, environment, run

LOOK = """\
import asyncio, json, sys
from fastloop import aio

async def main():
    loop = asyncio.get_running_loop()
    print(json.dumps({
        "loop": f"{type(loop).__module__}.{type(loop).__qualname__}",
        "argv": sys.argv,
        "debug": loop.get_debug(),
        "accelerated": asyncio.Lock is aio.Lock,
        "dev": sys.flags.dev_mode,
        "inspect": sys.flags.inspect,
        "optimize": sys.flags.optimize,
        "unbuffered": sys.stdout.write_through,
        "warnings": sys.warnoptions,
    }))

asyncio.run(main())
"""
PLAIN = {
    "loop": "fastloop.Loop",
    "debug": False,
    "accelerated": False,
    "dev": False,
    "inspect": 0,
    "optimize": 0,
    "unbuffered": False,
    "warnings": [],
}
DEV = {"dev": True, "debug": True, "warnings": ["default"]}

# The words, where CODE is the program itself; its sys.argv; what is not as usual.
LINES = [
    ("look.py", ["look.py"], {}),
    ("-m look", ["LOOK"], {}),
    ("-mlook x", ["LOOK", "x"], {}),
    ("-c CODE", ["-c"], {}),
    ("- x -", ["-", "x", "-"], {}),
    ("-- look.py", ["look.py"], {}),
    ("-- look.py -- -m", ["look.py", "--", "-m"], {}),
    ("-u -X dev -m look", ["LOOK"], {**DEV, "unbuffered": True}),
    ("-uX dev -mlook", ["LOOK"], {**DEV, "unbuffered": True}),
    ("-Xdev -- look.py -u", ["look.py", "-u"], DEV),
    ("-Xdev - -Xdev", ["-", "-Xdev"], DEV),
    ("-i -c CODE", ["-c"], {"inspect": 1}),
    ("-ic CODE -i", ["-c", "-i"], {"inspect": 1}),
    ("-Oi look.py -O", ["look.py", "-O"], {"inspect": 1, "optimize": 1}),
    ("-Werror look.py", ["look.py"], {"warnings": ["error"]}),
    ("-W error -c CODE -W", ["-c", "-W"], {"warnings": ["error"]}),
    ("-Wi -W error - x", ["-", "x"], {"warnings": ["i", "error"]}),
    ("-OOuWerror -mlook", ["LOOK"], {"optimize": 2, "unbuffered": True, "W": 1}),
    (
        "--accelerate -W error look.py --help",
        ["look.py", "--help"],
        {"accelerated": True, "warnings": ["error"]},
    ),
    (
        "-W error --accelerate -u --debug -m look --version",
        ["LOOK", "--version"],
        {"accelerated": True, "debug": True, "unbuffered": True, "W": 1},
    ),
    ("--debug -c CODE --debug", ["-c", "--debug"], {"debug": True}),
    ("--keep-uvloop --accelerate -", ["-"], {"accelerated": True}),
    ("--debug -Werror --keep-uvloop -- look.py", ["look.py"], {"debug": True, "W": 1}),
    # the program's own words, whatever they look like
    *(
        (f"look.py {word} x", ["look.py", word, "x"], {})
        for word in ("--help", "--doctor", "--debug", "--nope", "--", "-", "-c", "-Wi")
    ),
    *(
        (f"-m look {word} x", ["LOOK", word, "x"], {})
        for word in ("-h", "-V", "--accelerate", "--keep-uvloop", "-m", "-i", "-X")
    ),
    ("-m look --loop=uvloop -c x", ["LOOK", "--loop=uvloop", "-c", "x"], {}),
    ("look.py --install-kernel --doctor", None, {}),
    ("look.py -X dev -W error", None, {}),
]


@pytest.mark.parametrize("line, argv, others", LINES, ids=[line[0] for line in LINES])
def test_a_whole_line(tmp_path, line, argv, others):
    (tmp_path / "look.py").write_text(LOOK)
    words = [LOOK if word == "CODE" else word for word in line.split()]
    if argv is None:
        argv = words
    argv = [str(tmp_path / "look.py") if word == "LOOK" else word for word in argv]
    if "W" in others:
        others = {key: value for key, value in others.items() if key != "W"}
        others["warnings"] = ["error"]
    # A program of standard input takes all of it; `-i` finds no more to do.
    feed = LOOK if words[0] == "-" or " - " in f" {line} " else ""
    env = environment(PYTHONUNBUFFERED="")
    done = run(FASTLOOP, *words, input=feed, cwd=tmp_path, env=env)
    shown = without_note(done.stderr).replace(">>> ", "").strip()
    assert (done.returncode, shown) == (0, "")
    assert json.loads(done.stdout) == {**PLAIN, "argv": argv, **others}


REPORTS = {
    "--help": "usage: python -m fastloop ",
    "-u -h look.py": "usage: python -m fastloop ",
    "-X dev --version -m nowhere": "fastloop ",
    "--debug -W error -V -c 1/0": "fastloop ",
    "--accelerate --doctor --nope": "Python\n",
    "-Oi --doctor -": "Python\n",
}


@pytest.mark.parametrize("line, start", REPORTS.items(), ids=REPORTS)
def test_a_report_runs_no_program(tmp_path, line, start):
    (tmp_path / "look.py").write_text("1 / 0")
    done = run(FASTLOOP, *line.split(), cwd=tmp_path)
    assert (done.returncode, without_note(done.stderr)) == (0, "")
    assert done.stdout.startswith(start)


WRONG = [
    ("-X", "argument expected for the -X option"),
    ("-u -W", "argument expected for the -W option"),
    ("-uc", "argument expected for the -c option"),
    ("-X dev --nope look.py", "unknown option --nope"),
    ("-W error -z look.py", "unknown option -z"),
    ("--debug --help=x look.py", "unknown option --help=x"),
    ("--accelerate=1 look.py", "unknown option --accelerate=1"),
    ("-uz look.py", "unknown option -z"),
]


@pytest.mark.parametrize("line, fault", WRONG, ids=[line for line, _ in WRONG])
def test_a_wrong_line_runs_no_program(tmp_path, line, fault):
    (tmp_path / "look.py").write_text("print('ran')")
    done = run(FASTLOOP, *line.split(), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"python -m fastloop: error: {fault}\n")
