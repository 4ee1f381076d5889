"""The command line of python -m fastloop."""

import sys
from collections.abc import Callable
from typing import NoReturn

from . import _program, _run
from ._version import __version__

PROG = "python -m fastloop"
USAGE = f"""\
usage: {PROG} [--debug] script.py | -m module | -c code | -  [args ...]
       {PROG} [--debug]
       {PROG} --help | --version
"""
HELP = f"""{USAGE}
Run a Python program as `python` does, with asyncio's event loops made by fastloop.

  script.py   a file, or a folder or zip file with a __main__.py
  -m module   a module or package found on sys.path
  -c code     a program given as a string
  -           a program read from standard input
  (nothing)   asyncio's REPL, in which `await` works

  --debug     asyncio's debug mode, as with PYTHONASYNCIODEBUG=1, for the loops made
              by asyncio and fastloop.new_event_loop; the environment is not changed
  --help, -h  this text
  --version   fastloop's version and Python's

Options of Python itself go before -m: python -X dev -m fastloop script.py
A program that names another loop itself, and processes that multiprocessing starts
afresh (spawn, forkserver), run on the loops that they would run on without fastloop.
"""


def main() -> None:
    """Run what the command line says.

    Raises SystemExit with status 2 on a wrong command line, else what the program does.
    """
    run, argument, program_argv = parse(sys.argv[1:])
    set_policy()
    sys.argv[:] = program_argv
    run(argument)


def parse(args: list[str]) -> tuple[Callable[[str], None], str, list[str]]:
    """Return how to run, what to run, and the program's sys.argv."""
    while args:
        word = args.pop(0)
        if word == "--debug":
            _run._debug_loops = True
        elif word in ("--help", "-h"):
            finish(HELP)
        elif word in ("--version", "-V"):
            finish(f"fastloop {__version__} (Python {sys.version.split()[0]})\n")
        elif word == "-":
            return _program.run_stdin, "", [word, *args]
        elif word[:2] in ("-c", "-m"):
            if not word[2:] and not args:
                fail(f"argument expected for the {word} option")
            run = _program.run_command if word[1] == "c" else _program.run_module
            return run, word[2:] or args.pop(0), [word[:2], *args]
        elif word.startswith("-") and word != "--":
            fail(f"unknown option {word}")
        else:
            if word != "--":
                args.insert(0, word)
            if args:
                return _program.run_path, args[0], args
    return _program.run_repl, "", [""]


def finish(text: str) -> NoReturn:
    sys.stdout.write(text)
    sys.exit(0)


def fail(message: str) -> NoReturn:
    sys.stderr.write(f"{USAGE}{PROG}: error: {message}\n")
    sys.exit(2)


def set_policy() -> None:
    """Make asyncio's loops fastloop's, without the warning policies come with."""
    if sys.version_info >= (3, 16):
        sys.exit(
            f"{PROG} needs event loop policies, which ended with Python 3.15:"
            " use fastloop.run in the program"
        )
    from ._policy import install

    install()
