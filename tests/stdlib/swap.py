"""Puts the loop under test where CPython's tests look for asyncio's own."""

import asyncio
import importlib
import types
from asyncio import unix_events
from typing import NamedTuple


class UnderTest(NamedTuple):
    """What CPython's tests are to run on; `task` and `future` are None if not own."""

    name: str
    loop: type
    task: type | None
    future: type | None
    module: types.ModuleType


def load(name):
    """ "asyncio", for a proof of the runner itself, or a module with a class Loop, or
    with TestLoop, whose time is virtual."""
    if name == "asyncio":
        return UnderTest(
            name, asyncio.SelectorEventLoop, asyncio.Task, asyncio.Future, asyncio
        )
    module = importlib.import_module(name)
    task = getattr(module, "Task", asyncio.Task)
    future = getattr(module, "Future", asyncio.Future)
    if task is asyncio.Task and future is asyncio.Future:
        task = future = None
    loop = module.Loop if hasattr(module, "Loop") else module.TestLoop
    return UnderTest(name, loop, task, future, module)


def install(loop_class):
    """Makes asyncio hand out `loop_class`; must precede the import of the tests.

    The tests get that very class: a subclass would take the loop's slower paths.
    """
    asyncio.SelectorEventLoop = loop_class
    if hasattr(asyncio, "EventLoop"):  # 3.13+
        asyncio.EventLoop = loop_class
    for name in ("_UnixDefaultEventLoopPolicy", "_DefaultEventLoopPolicy"):
        policy_class = getattr(unix_events, name, None)
        if policy_class is not None:
            policy_class._loop_factory = loop_class
