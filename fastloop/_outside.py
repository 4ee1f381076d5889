"""The socket where other processes ask the watch, and what Python answers.

A question is a byte: b, what blocks; s, the state; t, the tasks; r, record; e, end that
and hand it over. An answer is JSON, behind which a recording's columns follow on the
next line, or lines of text by csrc/watch/hatch.c when the GIL is not to be had in time.
"""

import contextlib
import json
import logging
import os
import socket
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from traceback import FrameSummary
from typing import Any

from . import _core, _watch
from ._version import __version__


def folders(uid: int) -> list[str]:
    """Return where the sockets of a user's processes may be, the best place first."""
    return [f"/run/user/{uid}/fastloop", f"/tmp/fastloop-{uid}"]


def is_private(folder: str, uid: int) -> bool:
    """Tell whether nobody but the user can have put anything there."""
    found = os.lstat(folder)
    mode = found.st_mode
    return stat.S_ISDIR(mode) and found.st_uid == uid and not mode & 0o077


def open_socket() -> tuple[int, str]:
    """Return a listening descriptor and its path, or -1 and "" if there is none to be
    had; says so."""
    uid = os.geteuid()
    error: OSError | None = None
    for folder in folders(uid):
        path = f"{folder}/{os.getpid()}-{__version__}"
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, 0o700)
            if not is_private(folder, uid):
                raise PermissionError(f"{folder} is not private to user {uid}")
            _sweep(folder)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(path)
                sock.listen(8)
                return sock.detach(), path
        except OSError as failure:
            error = failure
    logging.getLogger("fastloop.watch").warning(
        "other processes cannot ask this one: %s", error
    )
    return -1, ""


def close_socket(path: str) -> None:
    """Remove it, if it is this process's."""
    if os.path.basename(path).startswith(f"{os.getpid()}-"):
        with contextlib.suppress(OSError):
            os.unlink(path)


def _sweep(folder: str) -> None:
    """Remove what processes have left that are no more, or were before an exec."""
    for name in os.listdir(folder):
        pid = name.partition("-")[0]
        if pid != str(os.getpid()) and os.path.exists(f"/proc/{pid}"):
            continue
        path = f"{folder}/{name}"
        with socket.socket(socket.AF_UNIX) as sock:
            # it may live where other processes have these numbers
            sock.setblocking(False)
            try:
                sock.connect(path)
            except ConnectionRefusedError:
                with contextlib.suppress(OSError):
                    os.unlink(path)
            except OSError:
                pass


def answer(question: int) -> bytes:
    """Return the answer to a question."""
    if chr(question) == "e":
        from . import _timeline_outside

        found, columns = _timeline_outside.end()
        return b"\n".join((json.dumps(found).encode(), columns))
    return json.dumps(_ANSWERS[chr(question)]()).encode()


def _rows() -> Iterator[tuple[Any, dict[str, Any]]]:
    for loop, thread, over_s, name in _core._watch_loops():
        stack: list[list[Any]] = []
        if over_s:
            name = _watch._task_name(loop) or name
            stack = plain(_watch._stack_of(loop._thread_id))
        yield loop, {"thread": thread, "busy_s": over_s, "name": name, "stack": stack}


def plain(frames: tuple[FrameSummary, ...]) -> list[list[Any]]:
    """Return frames as an answer has them."""
    return [[one.filename, one.lineno, one.name] for one in frames]


def _with_limit(rows: list[dict[str, Any]]) -> dict[str, Any]:
    watch = _watch._current
    return {"limit_s": watch.limit_s if watch is not None else 0.0, "loops": rows}


def _blocked() -> dict[str, Any]:
    return _with_limit([row for _, row in _rows()])


def _tasks() -> dict[str, Any]:
    from . import _census

    return {**_blocked(), **_census.listed()}


def _state() -> dict[str, Any]:
    from . import _census

    rows = []
    for loop, row in _rows():
        row["id"] = id(loop)
        row["metrics"] = asdict(loop.metrics())
        row["tasks"] = _census.counted(loop)
        row["dearest"] = [one._asdict() for one in loop.task_figures()[:5]]
        rows.append(row)
    now = time.monotonic()
    blocks = [
        {
            "age_s": now - when,
            "elapsed_s": block.elapsed_s,
            "name": block.name,
            "kind": block.kind,
            "stack": plain(block.stack),
        }
        for when, block in _watch._latest
    ]
    python = sys.version.split()[0]
    return {**_with_limit(rows), "blocks": blocks[::-1], "python": python}


def _record() -> dict[str, Any]:
    from . import _timeline_outside

    return _timeline_outside.begin()


_ANSWERS = {"b": _blocked, "s": _state, "t": _tasks, "r": _record}
