"""What asyncio's coroutines would look like where ours wait, which have no frames.

Who looks at a coroutine of fastloop.aio - a call graph, Task.get_stack(), a task's
repr - is shown one that stands for it: a coroutine that waits in the line in which
asyncio's function of that name would, and never goes on.
"""

import asyncio
import functools
import opcode
from collections.abc import Callable, Generator, Iterator
from types import CodeType, CoroutineType, FunctionType
from typing import Any

# Where it waits.
AT_START, AT_FIRST_AWAIT, AT_LAST_AWAIT = range(3)


def stand_in(
    function: Any, subject: Any, place: int, reached: int
) -> "CoroutineType[Any, Any, Any] | None":
    """Return a coroutine that waits as one of asyncio's function would.

    function: ours or asyncio's; subject: what it is a method of; place: AT_START and
    so on; reached: how far it has come, as csrc/aio counts that. The coroutine awaits
    those that asyncio's function awaits in turn. None if it is not written in Python.
    """
    functions = [function]
    if place == AT_LAST_AWAIT:
        functions += _CALLED.get(function.__qualname__, _calls_none)(subject, reached)
    waiting: Any = _Forever()
    for each in reversed(functions):
        code = getattr(each, "__code__", None)
        if code is None:
            return None
        code = _code_at(code, place, each is not functions[-1])
        waiting = FunctionType(code, each.__globals__)(waiting)
    waiting.send(None)
    return waiting  # type: ignore[no-any-return]


class _Forever:
    def __await__(self) -> Generator[None, None, None]:
        yield


async def _waiting(awaited: Any) -> None:
    await awaited


@functools.cache
def _code_at(code: CodeType, place: int, calls: bool) -> CodeType:
    """Return code that waits in a line of that code, under its name."""
    line = code.co_firstlineno
    awaits = [(where, called) for where, called in _awaits(code) if where is not None]
    if place == AT_FIRST_AWAIT and awaits:
        line = awaits[0][0]
    elif place == AT_LAST_AWAIT and awaits:
        fitting = [where for where, called in awaits if called == calls]
        line = fitting[-1] if fitting else awaits[-1][0]
    return _waiting.__code__.replace(
        co_name=code.co_name,
        co_qualname=code.co_qualname,
        co_filename=code.co_filename,
        co_firstlineno=line - 1,
    )


def _awaits(code: CodeType) -> Iterator[tuple[Any, bool]]:
    """Yield the line of each `await`, and whether it is one of a call."""
    before = 0
    units = zip(code.co_code[::2], code.co_code[1::2], code.co_positions(), strict=True)
    for operation, argument, positions in units:
        if operation == _GET_AWAITABLE and argument == 0:  # none of `async with`
            yield positions[0], opcode.opname[before].startswith("CALL")
        if operation != _CACHE:
            before = operation


_CACHE, _GET_AWAITABLE = opcode.opmap["CACHE"], opcode.opmap["GET_AWAITABLE"]


def _calls_none(_subject: Any, _reached: int) -> list[Any]:
    return []


def _calls(owner: Any, *names: str) -> Callable[[Any, int], list[Any]]:
    """Return what finds those of the functions that this Python's asyncio has."""

    def find(_subject: Any, _reached: int) -> list[Any]:
        found = (getattr(owner, name, None) for name in names)
        return [function for function in found if function is not None]

    return find


def _acquire_of(subject: Any, _reached: int) -> list[Any]:
    return [getattr(subject.acquire, "__func__", subject.acquire)]


def _next_of(_subject: Any, _reached: int) -> list[Any]:
    return [asyncio.tasks._AsCompletedIterator._wait_for_one, asyncio.Queue.get]  # type: ignore[attr-defined]


# The functions between asyncio's and the future that it waits for.
_CALLED: dict[str, Callable[[Any, int], list[Any]]] = {
    "wait": _calls(asyncio.tasks, "_wait"),
    "wait_for": lambda _, reached: (
        [asyncio.tasks._cancel_and_wait] if reached else []  # type: ignore[attr-defined]
    ),
    "TaskGroup.__aexit__": _calls(asyncio.TaskGroup, "_aexit"),
    "_AsCompletedIterator._wait_for_one": _calls(asyncio.Queue, "get"),
    "_AsCompletedIterator.__anext__": _next_of,
    "_ContextManagerMixin.__aenter__": _acquire_of,
    "Condition.wait": lambda subject, reached: (
        _acquire_of(subject, 0) if reached else []
    ),
    "StreamReader.read": _calls(asyncio.StreamReader, "_wait_for_data"),
    "StreamReader.readexactly": _calls(asyncio.StreamReader, "_wait_for_data"),
    "StreamReader.readuntil": _calls(asyncio.StreamReader, "_wait_for_data"),
    "StreamReader.readline": _calls(
        asyncio.StreamReader, "readuntil", "_wait_for_data"
    ),
    "StreamReader.__anext__": _calls(
        asyncio.StreamReader, "readline", "readuntil", "_wait_for_data"
    ),
    "StreamWriter.drain": _calls(asyncio.streams.FlowControlMixin, "_drain_helper"),
}
