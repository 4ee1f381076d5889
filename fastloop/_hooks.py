"""Hooks on tasks, and what each task has cost: both by the core's _observe()."""

import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, Self
from weakref import ref

from . import _core
from ._core import Task
from ._coroutines import coroutine_name

_AnyTask = Task[Any]


class _Switch:
    """On from the call that made it until stop(), or as a context manager."""

    def stop(self) -> None:
        """End it; once is enough."""
        global _on
        _on = tuple(one for one in _on if one is not self)
        _observe()

    def _start(self) -> None:
        global _on
        _on = (*_on, self)
        _observe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


class Hooks(_Switch):
    """What hooks() returns."""

    def __init__(self, *called: Callable[..., object] | None):
        self._called = called


class Counting(_Switch):
    """What task_figures() returns."""


_on: tuple[_Switch, ...] = ()


def hooks(
    *,
    task_created: Callable[[_AnyTask], object] | None = None,
    task_done: Callable[[_AnyTask], object] | None = None,
    step: Callable[[_AnyTask, float, float], object] | None = None,
) -> Hooks:
    """Call task_created(task), step(task, wall_s, cpu_s) and task_done(task), until
    stop(): when a task of fastloop's is made, after each of its steps, when it is done.

    In the loop's thread, when made before its first step, when done before its
    callbacks. Several calls add up, the first one's hooks first; what a hook itself
    does is told to none. An exception goes to the loop's exception handler. TypeError
    for what can't be called.
    """
    called = task_created, step, task_done
    for hook in called:
        if hook is not None and not callable(hook):
            raise TypeError(f"a hook must be callable, not {type(hook).__name__}")
    new = Hooks(*called)
    new._start()
    return new


def task_figures() -> Counting:
    """Count what each task costs, for loop.task_figures(), until stop().

    Tasks that were there before are counted from now on.
    """
    new = Counting()
    new._start()
    return new


# ---- hooks ----

_CREATED, _STEP, _DONE = range(3)
_inside: set[int] = set()  # threads in which a hook runs


def _tell(which: int, task: _AnyTask, *figures: float) -> None:
    thread = threading.get_ident()
    if thread in _inside:
        return
    _inside.add(thread)
    try:
        for one in _on:
            hook = one._called[which] if isinstance(one, Hooks) else None
            if hook is None or one not in _on:
                continue
            try:
                hook(task, *figures)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as exc:
                _report(which, task, exc)
    finally:
        _inside.discard(thread)


def _report(which: int, task: _AnyTask, exc: BaseException) -> None:
    name = ("task_created", "step", "task_done")[which]
    message = f"Exception in hook {name} of {task.get_name()}"
    # without the task, in whose context this may be already
    task.get_loop().call_exception_handler({"message": message, "exception": exc})


def _created(task: _AnyTask) -> None:
    if _counts:
        _count_from_birth(task)
    _tell(_CREATED, task)


def _step(task: _AnyTask, wall_s: float, cpu_s: float) -> None:
    if _counts:
        _count(task, wall_s, cpu_s)
    _tell(_STEP, task, wall_s, cpu_s)


def _done(task: _AnyTask) -> None:
    if _counts:
        _forget(task)
    _tell(_DONE, task)


def _observe() -> None:
    """Have the core call what is wanted, and nothing else."""
    global _counts
    _counts = any(isinstance(one, Counting) for one in _on)
    wanted = [
        any(isinstance(one, Hooks) and one._called[which] for one in _on)
        for which in range(3)
    ]
    alone: Any = (_count_from_birth, _count, _forget) if _counts else (None,) * 3
    told: Any = _created, _step, _done
    created, step, done = (
        told[which] if wanted[which] else alone[which] for which in range(3)
    )
    _core._observe(created, step, done)
    if not _counts:
        _rows.clear()


# ---- figures ----


class TaskFigures(NamedTuple):
    """What a task has cost so far.

    id: id(task). name: its own. coroutine: its coroutine's. born: where it was made, as
    "file:line", or "" if it was before. steps: how many. wall_s, cpu_s: how long they
    took in all, and had a processor, in seconds. longest_s: the longest, by the clock.
    """

    id: int
    name: str
    coroutine: str
    born: str
    steps: int
    wall_s: float
    cpu_s: float
    longest_s: float


class _Row(ref[_AnyTask]):
    __slots__ = ("born", "cpu_s", "key", "longest_s", "steps", "wall_s")

    key: int
    born: str
    steps: int
    wall_s: float
    cpu_s: float
    longest_s: float


_counts = False
_rows: dict[int, _Row] = {}


def _lose(row: _Row) -> None:
    if _rows.get(row.key) is row:
        del _rows[row.key]


def _make_row(task: _AnyTask, born: str) -> _Row:
    row = _Row(task, _lose)
    row.key = id(task)
    row.born = born
    row.steps = 0
    row.wall_s = row.cpu_s = row.longest_s = 0.0
    _rows[row.key] = row
    return row


def _count_from_birth(task: _AnyTask) -> None:
    _make_row(task, _place(sys._getframe(1)))


def _count(task: _AnyTask, wall_s: float, cpu_s: float) -> None:
    row = _rows.get(id(task)) or _make_row(task, "")
    row.steps += 1
    row.wall_s += wall_s
    row.cpu_s += cpu_s
    if wall_s > row.longest_s:
        row.longest_s = wall_s


def _forget(task: _AnyTask) -> None:
    _rows.pop(id(task), None)


def _place(frame: Any) -> str:
    """Return "file:line" of the innermost frame that is neither asyncio's nor ours."""
    while frame is not None:
        module = frame.f_globals.get("__name__", "").partition(".")[0]
        if module not in ("asyncio", "fastloop"):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def figures_of(loop: Any) -> tuple[TaskFigures, ...]:
    """Return the rows of the loop's tasks that are not done, the dearest first."""
    found = []
    for row in list(_rows.values()):
        task = row()
        if task is not None and task.get_loop() is loop:
            found.append(
                TaskFigures(
                    row.key,
                    task.get_name(),
                    coroutine_name(task),
                    row.born,
                    row.steps,
                    row.wall_s,
                    row.cpu_s,
                    row.longest_s,
                )
            )
    return tuple(sorted(found, key=lambda one: -one.wall_s))
