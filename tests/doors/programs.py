"""Run a program as a user would, with `python` and with `python -m fastloop`."""

import contextlib
import os
import re
import signal
import subprocess
import sys

from tests.support import without_note

PYTHON = [sys.executable]
FASTLOOP = [sys.executable, "-m", "fastloop"]
TIMEOUT_S = 25

# What a developer's shell may hold and a program would notice.
NOT_INHERITED = ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "PYTHONWARNINGS", "PYTHONPATH")


def environment(**changes):
    """This process's environment without what changes how a program runs."""
    kept = {k: v for k, v in os.environ.items() if k not in NOT_INHERITED}
    return {**kept, "NO_COLOR": "1", "TERM": "dumb", **changes}


def command(door, *program, flags=()):
    """The command line: Python, its own flags, the door and the program."""
    return [door[0], *flags, *door[1:], *program]


def run(door, *program, input=None, **options):
    """Run a program through one door; returns a CompletedProcess of text."""
    with start(door, *program, feed=input is not None, **options) as process:
        return finish(process, input)


def run_both(*program, input=None, **options):
    """Run a program with `python` and on fastloop, which must end alike.

    Returns what both did: exit status, standard output and standard error.
    """
    options["feed"] = input is not None
    with (
        start(PYTHON, *program, **options) as plain,
        start(FASTLOOP, *program, **options) as ours,
    ):
        plain, ours = finish(plain, input), finish(ours, input)
    assert seen(ours) == seen(plain)
    return plain


def finish(process, input):
    output, error = process.communicate(input, timeout=TIMEOUT_S)
    return subprocess.CompletedProcess(process.args, process.returncode, output, error)


def seen(done):
    """What a user sees of a program, but for addresses of objects."""
    hide = re.compile(r" at 0x[0-9a-f]+").sub
    error = hide("", without_note(done.stderr))
    return done.returncode, hide("", done.stdout or ""), error


@contextlib.contextmanager
def start(door, *program, flags=(), feed=False, **options):
    """A program running behind one door: a Popen with text pipes, dead at the end."""
    options.setdefault("env", environment())
    options.setdefault("stdin", subprocess.PIPE if feed else subprocess.DEVNULL)
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    # A shell's background job ignores SIGINT, and what it starts would.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            command(door, *program, flags=flags), text=True, **options
        )
    finally:
        signal.signal(signal.SIGINT, inherited)
    with process:
        try:
            yield process
        finally:
            process.kill()
