"""The timeline of a whole program: --timeline FILE and FASTLOOP_TIMELINE=FILE.

It is written when the interpreter ends, whatever ended the program. What ends the
process without that, os._exit() and the exec functions, is made to write it first; a
process that is killed leaves a short file that says so.
"""

import atexit
import contextlib
import functools
import os
import sys
from collections.abc import Iterator
from typing import Any

from ._timeline import Timeline, how_ended, timeline

_ended = ""


def record_all(path: str) -> None:
    """Record from now on, and write path at the process's end; %p is its number."""
    recording = timeline(os.path.abspath(path.replace("%p", str(os.getpid()))))
    recording.__enter__()
    atexit.register(_finish, recording, "")
    for name in "_exit", "execv", "execve":
        _write_before(recording, name)


def record_as_environment_says(path: str) -> None:
    """Do so for FASTLOOP_TIMELINE; a warning if that cannot be."""
    try:
        record_all(path)
    except (OSError, RuntimeError) as error:
        import warnings

        warnings.warn(
            f"FASTLOOP_TIMELINE={path!r} is ignored: {error}",
            RuntimeWarning,
            stacklevel=3,
        )


@contextlib.contextmanager
def noting_the_end() -> Iterator[None]:
    """Note how the program that is run within ends."""
    global _ended
    try:
        yield
    except SystemExit:
        _ended = "exit"
        raise


def _write_before(recording: Timeline, name: str) -> None:
    function = getattr(os, name)

    @functools.wraps(function)
    def write_first(*args: Any, **keywords: Any) -> Any:
        _finish(recording, "exit" if name == "_exit" else f"became another: os.{name}")
        return function(*args, **keywords)

    setattr(os, name, write_first)


def _finish(recording: Timeline, ended: str) -> None:
    """Write it; the program must end in its own way whatever comes of that."""
    try:
        recording.end(ended or _how())
    except BaseException as error:
        with contextlib.suppress(Exception):
            sys.stderr.write(f"fastloop: the timeline could not be written: {error}\n")


def _how() -> str:
    """Return how the program has ended, as far as the interpreter has noted it."""
    kind = getattr(sys, "last_type", None)
    return _ended if kind is None and _ended else how_ended(kind)
