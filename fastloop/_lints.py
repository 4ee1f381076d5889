"""What the watch finds suspect beside blocks: a line each to its logger."""

import asyncio
import functools
import logging
import os
import signal
import sys
import threading
import time
from collections import deque
from typing import Any
from weakref import ref

from . import _core
from ._coroutines import awaited, birth, clean, full_name
from ._hooks import _place, _rows

LONG_S = 10.0  # for an exception to go unasked for
_MAX = 1000
_logger = logging.getLogger("fastloop.watch")
# Futures with an exception, the oldest first, with the time.
_failed: deque[tuple[ref[Any], float]] = deque(maxlen=_MAX)
_unsafe_places: set[str] = set()
_poll_told: dict[int, int] = {}  # of the loop of that id
_doubted: set[int] = set()  # ids of loops that threads of C alone may have woken
_patience_s = 0.0


def lint(kind: str, op: Any) -> None:
    """Called by the core, in the thread and at the moment of what is suspect."""
    if kind == "exception":
        if not _failed:
            _core._watch_check_in(LONG_S)
        _failed.append((ref(op), time.monotonic()))
    elif kind == "lost":
        _logger.warning("lost: %s was destroyed while it was pending", described(op))
    else:
        place = _place(sys._getframe(1))
        if place not in _unsafe_places and len(_unsafe_places) < _MAX:
            _unsafe_places.add(place)
            _logger.warning(
                "thread-unsafe: thread %s called call_soon(%s) at %s while the loop"
                " slept, which does not wake it: call_soon_threadsafe does",
                threading.current_thread().name,
                getattr(op, "__qualname__", type(op).__name__),
                place,
            )


def check(grace_s: float, n_own: int) -> None:
    """Called by the watch, when it was to; n_own: its threads that run no Python."""
    _check_failed()
    _check_stuck(grace_s, n_own)


def never_yields(loop: Any, elapsed_s: float) -> None:
    """Called by the watch for a step that goes on, after ten times the limit."""
    task: Any = asyncio.current_task(loop)
    if task is not None:
        _logger.warning(
            "never yields: %s has kept all others waiting for %.3f s",
            described(task),
            elapsed_s,
        )


def _check_failed() -> None:
    now = time.monotonic()
    while _failed and now - _failed[0][1] >= LONG_S:
        future = _failed.popleft()[0]()
        if future is not None and future._log_traceback:
            exc = future._exception
            _logger.warning(
                "not retrieved: the %s of %s has been there for %.0f s, and nobody"
                " has asked for it",
                type(exc).__name__,
                described(future),
                LONG_S,
            )
    if _failed:
        _core._watch_check_in(LONG_S - (now - _failed[0][1]))


# ---- deadlocks ----


def _check_stuck(grace_s: float, n_own: int) -> None:
    global _patience_s
    loops = [loop for loop in _core._watch_stuck() if _is_news(loop)]
    if not loops:
        _patience_s = 0.0
    elif _is_awaited_elsewhere(loops):
        # a thread or a handler may wake it yet, or end without doing so
        _patience_s = min(max(2 * _patience_s, grace_s), 60.0)
        _core._watch_check_in(_patience_s)
    else:
        n_others = max(0, _threads_without_python() - n_own)
        for loop in loops:
            _tell_stuck(loop, n_others)


def _is_news(loop: Any) -> bool:
    return bool(_poll_told.get(id(loop)) != loop.stats()["polls"])


def _threads_without_python() -> int:
    """Return how many threads there are that only C code knows.

    They may sleep for ever, as those of numerical libraries, or call Python yet.
    """
    try:
        return len(os.listdir("/proc/self/task")) - len(sys._current_frames())
    except OSError:
        return 0


def _tell_stuck(loop: Any, n_others: int) -> None:
    if n_others:
        # once: it may be woken from there again and again
        if id(loop) in _doubted or len(_doubted) >= _MAX:
            return
        _doubted.add(id(loop))
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name())
    if tasks:
        if len(_poll_told) >= _MAX:
            _poll_told.clear()
        _poll_told[id(loop)] = loop.stats()["polls"]
        named = "; ".join(map(described, tasks[:5]))
        _logger.warning(
            "deadlock: no callback is ready, no timer set, no file descriptor watched"
            " and no thread at work that could wake the loop%s, and %d task%s: %s%s",
            f", unless one of {n_others} that run no Python does" if n_others else "",
            len(tasks),
            " waits" if len(tasks) == 1 else "s wait",
            named,
            "; ..." if len(tasks) > 5 else "",
        )


def _is_awaited_elsewhere(loops: list[Any]) -> bool:
    """Could a thread, or a signal handler of the program's, wake one of them?"""
    asleep = {loop._thread_id for loop in loops} | {threading.get_ident()}
    for ident, frame in sys._current_frames().items():
        if ident not in asleep and not _is_idle_worker(frame.f_code):
            return True
    return any(map(_is_own_handler, signal.valid_signals()))


def _is_idle_worker(code: Any) -> bool:
    """Is it a thread of an executor's that waits for a job?"""
    path = "concurrent/futures/thread.py"
    return bool(code.co_name == "_worker" and code.co_filename.endswith(path))


def _is_own_handler(number: int) -> bool:
    handler = signal.getsignal(number)
    if isinstance(handler, functools.partial):  # asyncio.Runner's
        handler = getattr(handler.func, "__func__", None)
        return handler is not asyncio.Runner._on_sigint  # type: ignore[attr-defined]
    return callable(handler) and handler not in (
        signal.SIG_DFL,
        signal.SIG_IGN,
        signal.default_int_handler,
    )


# ---- names ----


def described(future: Any) -> str:
    """Return the name of a task or future, where it waits and where it was made."""
    get_coro = getattr(future, "get_coro", None)
    if get_coro is None:
        return f"a {type(future).__name__}{_birth(future, None)}"
    coro = get_coro()
    return f"{clean(full_name(future))}{_wait(coro)}{_birth(future, coro)}"


def _wait(coro: Any) -> str:
    place = ""
    for _ in range(_MAX):
        frame = getattr(coro, "cr_frame", None)
        if frame is None:
            break
        place = f", at {frame.f_code.co_filename}:{frame.f_lineno}"
        coro = awaited(coro)
    return place


def _birth(future: Any, coro: Any) -> str:
    row = _rows.get(id(future))
    if row is not None and row() is future and row.born:
        return f", made at {row.born}"
    if (frame := birth(future)) is not None:
        return f", made at {frame.filename}:{frame.lineno}"
    code = getattr(coro, "cr_code", None)
    return f", of {code.co_filename}:{code.co_firstlineno}" if code else ""
