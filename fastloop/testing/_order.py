"""Programs in other orders, and cancelled at each of their awaits."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine, Generator, Iterator
from typing import Any

from .._coroutines import coroutine_name
from .._hooks import hooks
from ._test_loop import GRACE_S, run
from ._waiters import place_of

_MAX_STEPS = 50


def explore(
    main: Callable[[], Coroutine[Any, Any, object]],
    seeds: int = 1000,
    *,
    first: int = 0,
    start: float = 0.0,
    end: float | None = None,
    grace: float = GRACE_S,
    patience: float | None = None,
    shuffle_start: bool = False,
) -> None:
    """Run main() on a new TestLoop in each of so many orders: seeds first, first + 1...

    Raises what the first run that fails does; its notes are the seed, and its last
    steps in their order: which task, and how far it came. FASTLOOP_SEED in the
    environment is then the only seed. The other arguments are TestLoop's.
    """
    options: dict[str, Any] = {
        "start": start,
        "end": end,
        "grace": grace,
        "patience": patience,
        "shuffle_start": shuffle_start,
    }
    for seed in range(first, first + (1 if os.environ.get("FASTLOOP_SEED") else seeds)):
        try:
            run(main(), order=seed, **options)
        except Exception as exc:
            exc.add_note(_schedule(main, seed, options))
            raise


def _schedule(main: Any, seed: int, options: dict[str, Any]) -> str:
    """Tell the steps of a run that fails: of the same once more."""
    steps: list[str] = []
    mains: list[Any] = []

    def note(task: Any, wall_s: float, cpu_s: float) -> None:
        if not mains:
            mains.append(task)  # the first to run
        elif mains[0].done() and task is not mains[0]:
            return
        if task.get_loop()._has_failed:
            return
        place = "its end" if task.done() else place_of(task)
        steps.append(f"{task.get_name()} {coroutine_name(task)}, to {place}")

    failed = False
    with hooks(step=note):
        try:
            run(main(), order=seed, **options)
        except Exception:
            failed = True
    shown = [f"{i:4} {step}" for i, step in enumerate(steps, 1)][-_MAX_STEPS:]
    head = f"the last {len(shown)} of {len(steps)} steps:"
    if not failed:
        head = f"once more it did not fail: it depends on more than its order. {head}"
    return "\n".join([head, *shown])


class cancel_at:
    """cancel_at(n): await cancel_at(n)(coroutine) cancels it at its n-th await, from 1.

    That is where it waits for the n-th time. It runs in a task of its own. cancelled:
    whether it came that far. Returns None if the coroutine then ends by being
    cancelled, else what it returns; raises what else it raises. ValueError if n is not
    positive.
    """

    def __init__(self, n: int) -> None:
        if n < 1:
            raise ValueError(f"awaits are counted from 1: {n}")
        self.n = n
        self.cancelled = False
        self._used = False

    def __repr__(self) -> str:
        return f"<cancel_at({self.n})>"

    async def __call__(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        self._used, self.cancelled = True, False
        task = asyncio.ensure_future(self._run(coroutine))
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            raise
        if self.cancelled and task.cancelled():
            return None
        return task.result()

    async def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return await _Counted(self, coroutine)


class _Counted:
    """Hands on what a coroutine waits for, and cancels its task at the n-th of it."""

    def __init__(self, cut: cancel_at, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._cut = cut
        self._iterator = coroutine.__await__()

    def __await__(self) -> Generator[Any, Any, Any]:
        left = self._cut.n
        iterator: Any = self._iterator
        advance, value = iterator.send, None
        while True:
            try:
                wanted = advance(value)
            except StopIteration as end:
                return end.value
            left -= 1
            if left == 0:
                task: Any = asyncio.current_task()
                self._cut.cancelled = True
                task.cancel()
            try:
                advance, value = iterator.send, (yield wanted)
            except GeneratorExit:
                iterator.close()
                raise
            except BaseException as exc:
                advance, value = iterator.throw, exc


def every_await(limit: int = 10_000) -> Iterator[cancel_at]:
    """Yield cancel_at(1), cancel_at(2) and so on, until one had nothing to cancel.

    Each is to be used once before the next is asked for. RuntimeError if it was not, or
    if a coroutine has more awaits than the limit.
    """
    for n in range(1, limit + 1):
        cut = cancel_at(n)
        yield cut
        if not cut._used:
            raise RuntimeError(f"{cut!r} was not used")
        if not cut.cancelled:
            return
    raise RuntimeError(f"there are more than {limit} awaits")
