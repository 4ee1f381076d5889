"""Futures and tasks of both kinds, each on loops of both kinds."""

import asyncio
import contextlib

import pytest

from tests.conftest import KINDS, factory_of, finish

# name: (whose loop, whose types)
KITS = {
    "asyncio": ("asyncio", "asyncio"),
    "ours": ("fastloop", "fastloop"),
    "ours-on-asyncio": ("asyncio", "fastloop"),
    "asyncios-on-ours": ("fastloop", "asyncio"),
}


class Kit:
    """A loop, and the Future and Task types to be used with it."""

    def __init__(self, loop_kind, types_kind):
        self.loop_kind = loop_kind
        self.Future, self.Task = asyncio.Future, asyncio.Task
        if types_kind == "fastloop":
            import fastloop

            self.Future, self.Task = fastloop.Future, fastloop.Task
        # The switch to stock types makes fastloop's names asyncio's own types.
        self.ours = self.Task is not asyncio.Task
        self.loop = factory_of(loop_kind)()
        self.loop.set_task_factory(self.make_task)

    def make_task(self, loop, coro, **keywords):
        return self.Task(coro, loop=loop, **keywords)

    def future(self):
        return self.Future(loop=self.loop)

    def task(self, coro, **keywords):
        return self.Task(coro, loop=self.loop, **keywords)

    def run(self, awaitable):
        """run(awaitable) -> its result"""
        if asyncio.iscoroutine(awaitable):
            awaitable = self.task(awaitable)
        return self.loop.run_until_complete(awaitable)

    def turn(self, count=1):
        """Let the loop do count iterations."""
        for _ in range(count):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    @contextlib.contextmanager
    def reports(self):
        """What the loop's exception handler is told meanwhile."""
        reports = []
        self.loop.set_exception_handler(lambda loop, context: reports.append(context))
        try:
            yield reports
        finally:
            self.loop.set_exception_handler(None)


def kit_names():
    return [name for name, kinds in KITS.items() if set(kinds) <= set(KINDS)]


@pytest.fixture(params=kit_names())
def kit(request):
    """A Kit; its loop is emptied and closed after the test."""
    kit = Kit(*KITS[request.param])
    yield kit
    if not kit.loop.is_closed():
        finish(kit.loop)
