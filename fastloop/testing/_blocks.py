"""Steps that keep all others waiting."""

import asyncio
import contextlib
import traceback
from collections.abc import Iterator
from typing import Any

from .. import _watch
from .._coroutines import full_name
from .._hooks import hooks


class BlockedError(AssertionError):
    """A step took too long: the message has its stack, or where its task was then."""


@contextlib.contextmanager
def blocks(limit_s: float) -> Iterator[None]:
    """Raise BlockedError if a step takes longer than limit_s seconds of real time.

    On fastloop's loops only, in any thread; with the stack of the step while it lasts,
    by a watch (see fastloop.watch) that is on meanwhile instead of another one. If the
    block raises, that is it. ValueError if the limit is below a millisecond.
    """
    seen: list[str] = []
    names: set[str] = set()

    def on_block(block: _watch.Block) -> None:
        if not block.ended and not block.again:
            names.add(block.name)
            seen.append(str(block))

    def on_step(task: Any, wall_s: float, cpu_s: float) -> None:
        if wall_s > limit_s and full_name(task) not in names:
            names.add(full_name(task))
            seen.append(_afterwards(task, wall_s))

    before = _watch._current
    try:
        with _watch.watch(limit_s, on_block), hooks(step=on_step):
            yield
    finally:
        _watch.resume(before)
    if seen:
        raise BlockedError("\n".join(seen))


def _afterwards(task: asyncio.Task[Any], wall_s: float) -> str:
    """Tell of a step that was over before the watch saw it."""
    text = f"{full_name(task)} blocked the loop for {wall_s:.3f} s in all"
    frames = task.get_stack()
    if not frames:
        return text
    stack = traceback.StackSummary.extract((x, x.f_lineno) for x in frames)
    return f"{text}, up to\n{''.join(stack.format())}".rstrip()
