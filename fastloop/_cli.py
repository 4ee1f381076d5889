"""The command line of python -m fastloop."""

import os
import sys
from importlib import import_module
from typing import NoReturn

from ._options import CommandLine, fail, leading_options, parse
from ._program import run_repl


def main() -> None:
    """Run what the command line says.

    Raises SystemExit with status 2 on a wrong command line, else what the program does.
    """
    words = sys.argv[1:]
    line = parse(words)
    if line.report:
        module, function = line.report.split(":")
        sys.exit(getattr(import_module(f".{module}", __package__), function)())
    if line.settings.compare:
        from ._compare import compare

        sys.exit(compare(line, words))
    if line.python:
        start_python_anew(line, words)
    from ._door import open_door

    open_door(line.settings)
    sys.argv[:] = line.argv
    if line.settings.timeline is None:
        line.run(line.argument)
        return
    from ._timeline_door import noting_the_end, record_all

    try:
        record_all(line.settings.timeline)
    except OSError as error:
        fail(f"--timeline cannot write {error.filename}: {error.strerror}")
    except RuntimeError as error:
        fail(f"--timeline: {error}")
    with noting_the_end():
        line.run(line.argument)


def start_python_anew(line: CommandLine, words: list[str]) -> NoReturn:
    """Become a Python with the options that are for it, in their usual place."""
    if not sys.executable:
        fail(f"{line.python[0]} must go before -m: there is no Python to start anew")
    if line.run is run_repl:
        line.python = [word for word in line.python if word != "-i"]
    before = sys.orig_argv[: len(sys.orig_argv) - len(words)]
    place = 1 + leading_options(before[1:])
    options = [*before[1:place], *line.python]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(
        sys.executable,
        [sys.executable, *options, *before[place:], *line.ours, *line.words],
    )
