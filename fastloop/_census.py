"""The tasks of the loops that run, as they are told to another process.

In a thread of the watch, with the GIL now and then: what is looked at may go on.
"""

import asyncio
import contextlib
import functools
import gc
import sys
from collections import Counter
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from . import _core
from ._coroutines import awaited, awaited_by_step, birth, delegate, is_library

MAX_TASKS = 10_000
_MAX_FRAMES = 50
_MAX_DEPTH = 5
_Waits = dict[int, list[Any]]


def listed() -> dict[str, Any]:
    """Return every task, with the stack of its wait and who awaits it."""
    rows: list[dict[str, Any]] = []
    n_left_out = 0
    for loop, *_ in _core._watch_loops():
        tasks = list(asyncio.all_tasks(loop))
        n_left_out += max(0, len(tasks) - (MAX_TASKS - len(rows)))
        del tasks[MAX_TASKS - len(rows) :]
        current = asyncio.current_task(loop)
        waits = _waits(tasks)
        for task in tasks:
            try:
                row = _row(task, task is current)
                row["awaited_by"] = list({id(one): 0 for one in _awaiting(task, waits)})
            except Exception:  # of a class of the program's, or just done
                n_left_out += 1
            else:
                rows.append(row)
    return {"tasks": rows, "left_out": n_left_out}


def row_of(task: Any) -> dict[str, Any]:
    """Return the row of one task, which is not the one that asks."""
    return _row(task, False)


def counted(loop: Any) -> list[list[Any]]:
    """Return [coroutine, state, how many], the most first, of one loop's tasks."""
    current = asyncio.current_task(loop)
    counts: Counter[tuple[str, str]] = Counter()
    for task in list(asyncio.all_tasks(loop))[:MAX_TASKS]:
        try:
            counts[_coroutine(task), _state(task, task is current)] += 1
        except Exception:  # of a class of the program's
            counts["?", "?"] += 1
    return [[*key, count] for key, count in counts.most_common(10)]


def _coroutine(task: Any) -> str:
    coro = task.get_coro()
    return str(getattr(coro, "__qualname__", None) or type(coro).__qualname__)


def _name(task: Any) -> str:
    try:
        return str(task.get_name())
    except Exception:
        return "?"  # a class of the program's


def _state(task: Any, is_current: bool) -> str:
    coro = task.get_coro()
    if is_current or getattr(coro, "cr_running", False):
        return "running"
    waiter = getattr(task, "_fut_waiter", None)
    if waiter is not None and not waiter.done():
        return "waiting"
    return "ready" if getattr(coro, "cr_suspended", True) else "new"


def _row(task: Any, is_current: bool) -> dict[str, Any]:
    stack = [
        [frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_qualname]
        for frame in _frames(task.get_coro())
    ]
    state = _state(task, is_current)
    born = birth(task)
    # of one that runs it would be the step before
    since = None if state == "running" else _core._watch_since(task)
    return {
        "id": id(task),
        "name": _name(task),
        "coroutine": _coroutine(task),
        "state": state,
        "for_s": since and since[0],
        "for_at_least": since is not None and not since[1],
        "stack": stack,
        "at": ([one for one in stack if not is_library(one[0])] or stack)[-1:],
        "waits_for": _wanted(task._fut_waiter, stack) if state == "waiting" else "",
        "made_at": [[born.filename, born.lineno, born.name]] if born else [],
    }


def _frames(coro: Any) -> Iterator[Any]:
    for _ in range(_MAX_FRAMES):
        for kind, next_of in (
            ("cr", awaited),
            ("gi", delegate),
            ("ag", awaited_by_step),
        ):
            found = getattr(coro, f"{kind}_frame", None)
            if found is not None:
                yield found
                try:
                    coro = next_of(coro)
                except AttributeError:
                    return
                break
        else:
            return


def _wanted(waiter: Any, stack: list[list[Any]]) -> str:
    """Return what a task waits for: a task, or asyncio's function that it is in."""
    if _is_task(waiter):
        return f"task {_name(waiter)}"
    if children := getattr(waiter, "_children", None):
        return f"gather of {len(children)}"
    function = ""
    for frame in reversed(stack):
        if not is_library(frame[0]):
            break
        if not function or not frame[2].startswith("_"):
            function = frame[2]
    return function or f"a {type(waiter).__name__}"


# ---- who awaits whom ----


def _waits(tasks: list[Any]) -> _Waits:
    """Return the tasks that wait, by the id of what for."""
    found: _Waits = {}
    for task in tasks:
        waiter = getattr(task, "_fut_waiter", None)
        if waiter is not None:
            found.setdefault(id(waiter), []).append(task)
    return found


def _awaiting(
    future: Any, waits: dict[int, list[Any]], depth: int = 0
) -> Iterator[Any]:
    """Yield the tasks that await it, also by gather(), wait(), shield(), a group."""
    if sys.version_info >= (3, 14):
        for one in getattr(future, "_asyncio_awaited_by", None) or ():
            if _is_task(one):
                yield one
    yield from waits.get(id(future), ())
    if depth < _MAX_DEPTH:
        for callback, *_ in getattr(future, "_callbacks", None) or ():
            for one in _reached(callback):
                if isinstance(one, asyncio.TaskGroup):
                    yield one._parent_task  # type: ignore[attr-defined]
                elif asyncio.isfuture(one) and not _is_task(one):
                    yield from _awaiting(one, waits, depth + 1)


def _is_task(future: Any) -> bool:
    return hasattr(future, "get_coro")


def _reached(callback: Any) -> Iterator[Any]:
    """Yield what a callback of asyncio's or ours is for, as far as it can be seen."""
    if isinstance(callback, MethodType | BuiltinFunctionType):
        owner = callback.__self__
        yield owner
        if type(owner).__module__.startswith("fastloop"):
            yield from gc.get_referents(owner)
    elif isinstance(callback, functools.partial):
        yield from callback.args
    elif isinstance(callback, FunctionType):
        for cell in callback.__closure__ or ():
            with contextlib.suppress(ValueError):  # empty
                yield cell.cell_contents
