"""Methods that a program replaces on asyncio's base classes."""

import asyncio
import functools
import signal
import socket
import sys
from unittest import mock

import pytest

from tests.support import child_says

BASES = {
    "BaseEventLoop": asyncio.BaseEventLoop,
    "BaseSelectorEventLoop": asyncio.selector_events.BaseSelectorEventLoop,
}


@pytest.fixture(autouse=True)
def put_back():
    """What was replaced stays on our class, and alive, until the next loop is made."""
    yield
    if fastloop := sys.modules.get("fastloop"):
        fastloop.new_event_loop().close()


async def use(loop):
    """Calls, or has the loop call, all kinds of methods."""
    loop.call_soon(int)
    timer = loop.call_later(0, int)
    loop.call_later(60, int).cancel()
    loop.call_at(0, int)
    loop.call_soon_threadsafe(int)
    loop.create_future().cancel()
    loop.time()
    loop.call_exception_handler({"message": "none"})
    loop.is_running(), loop.is_closed(), loop.get_debug()
    await loop.create_task(asyncio.sleep(0))
    await asyncio.sleep(0.001)
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    readable = loop.create_future()
    loop.add_reader(left, lambda: readable.done() or readable.set_result(None))
    await loop.sock_sendall(right, b"x")
    await readable
    loop.remove_reader(left)
    assert await loop.sock_recv(left, 10) == b"x"
    loop.add_signal_handler(signal.SIGUSR1, int)
    loop.remove_signal_handler(signal.SIGUSR1)
    left.close()
    right.close()
    del timer


METHODS = {
    "BaseEventLoop": [
        "call_at",
        "call_exception_handler",
        "call_later",
        "call_soon",
        "call_soon_threadsafe",
        "close",
        "create_future",
        "create_task",
        "default_exception_handler",
        "get_debug",
        "is_closed",
        "is_running",
        "run_forever",
        "run_until_complete",
        "stop",
        "time",
    ],
    "BaseSelectorEventLoop": [
        "add_reader",
        "close",
        "remove_reader",
        "sock_recv",
        "sock_sendall",
    ],
}
CASES = [(base, name) for base, names in METHODS.items() for name in names]


def spy(base, name, seen):
    original = getattr(BASES[base], name)

    def wrapper(self, *args, **kwargs):
        seen.append(self)
        return original(self, *args, **kwargs)

    return mock.patch.object(BASES[base], name, wrapper)


def run_on(loop):
    try:
        loop.run_until_complete(use(loop))
    finally:
        loop.close()


@pytest.mark.parametrize(("base", "name"), CASES)
def test_replaced_before_the_loop_is_made(loop_factory, base, name, logs):
    seen = []
    with spy(base, name, seen):
        loop = loop_factory()
        run_on(loop)
    assert loop in seen
    logs.take()


@pytest.mark.parametrize(("base", "name"), CASES)
def test_put_back(loop_factory, base, name, logs):
    seen = []
    with spy(base, name, seen):
        loop_factory().close()
    loop = loop_factory()
    run_on(loop)
    assert loop not in seen
    logs.take()


@pytest.mark.parametrize("name", METHODS["BaseEventLoop"])
def test_replaced_between_making_and_running(loop_factory, name, logs):
    seen = []
    loop = loop_factory()
    with spy("BaseEventLoop", name, seen):
        loop.call_soon(loop.stop)
        loop.run_forever()
        run_on(loop)
    assert loop in seen
    logs.take()


def test_a_class_of_ones_own_comes_first(loop_factory):
    plain = loop_factory()
    plain.close()
    calls = []

    class Own(type(plain)):
        def call_soon(self, *args, **kwargs):
            calls.append("own")
            return super().call_soon(*args, **kwargs)

    original = asyncio.BaseEventLoop.call_soon

    def wrapper(self, *args, **kwargs):
        calls.append("patched")
        return original(self, *args, **kwargs)

    with mock.patch.object(asyncio.BaseEventLoop, "call_soon", wrapper):
        loop = Own()
        loop.call_soon(print).cancel()
        loop.close()
    assert calls == ["own", "patched"]


def test_a_replacement_that_answers_by_itself(loop_factory):
    with mock.patch.object(asyncio.BaseEventLoop, "time", lambda self: 5.0):
        loop = loop_factory()
        assert loop.time() == 5.0
        assert loop.call_later(1, print).when() == 6.0
        loop.close()


DESCRIPTORS = {
    "a partial method": lambda call, _: functools.partialmethod(call),
    "a property": lambda call, _: property(lambda self: functools.partial(call, self)),
    "a static method": lambda call, loop: staticmethod(
        lambda *args, **options: call(loop, *args, **options)
    ),
    "a class method": lambda call, loop: classmethod(
        lambda cls, *args, **options: call(loop, *args, **options)
    ),
    "a mock": lambda call, loop: mock.Mock(side_effect=functools.partial(call, loop)),
}


@pytest.mark.parametrize("name", ["call_soon", "time", "create_future", "set_debug"])
@pytest.mark.parametrize("descriptor", DESCRIPTORS)
def test_replaced_by_what_is_no_function(loop, descriptor, name):
    seen = []
    original = getattr(asyncio.BaseEventLoop, name)

    def call(self, *args, **options):
        seen.append(self)
        return original(self, *args, **options)

    async def main():
        loop.set_debug(False)
        began = loop.time()
        future = loop.create_future()
        loop.call_soon(future.set_result, 1)
        assert await future == 1
        assert loop.time() >= began

    replacement = DESCRIPTORS[descriptor](call, loop)
    with mock.patch.object(asyncio.BaseEventLoop, name, replacement):
        loop.run_until_complete(main())
    assert loop in seen


def test_timers_of_a_wrapped_call_at(loop_factory):
    seen = []
    with spy("BaseEventLoop", "call_at", []):
        loop = loop_factory()
        for delay in (0.15, 0.05, 0.1):
            loop.call_later(delay, seen.append, delay)
        cancelled = loop.call_later(0.01, seen.append, "cancelled")
        cancelled.cancel()
        loop.call_later(0.2, loop.stop)
        loop.run_forever()
        loop.close()
    assert seen == [0.05, 0.1, 0.15]


def test_a_task_is_scheduled_by_the_replaced_call_soon(loop_factory):
    seen = []
    with spy("BaseEventLoop", "call_soon", seen):
        loop = loop_factory()
        seen.clear()

        async def nothing():
            pass

        task = loop.create_task(nothing())
        assert seen == [loop]
        loop.run_until_complete(task)
        loop.close()


BEFORE = """
import asyncio, sys
original = asyncio.BaseEventLoop.call_soon
seen = []
def call_soon(self, *args, **kwargs):
    seen.append(self)
    return original(self, *args, **kwargs)
asyncio.BaseEventLoop.call_soon = call_soon
loop = new_event_loop()
loop.call_soon(loop.stop)
loop.run_forever()
loop.close()
print(bool(seen))
"""


def test_replaced_before_the_import(loop_kind):
    assert child_says(loop_kind, BEFORE) == "True\n"


def test_private_methods_are_not_called(fast_kind):
    source = """
import asyncio
asyncio.BaseEventLoop._run_once = asyncio.BaseEventLoop._call_soon = None
loop = new_event_loop()
loop.call_soon(loop.stop)
loop.run_forever()
loop.close()
print("ran")
"""
    assert child_says(fast_kind, source) == "ran\n"


def test_nothing_is_left_on_the_class(fast_loop):
    """Nothing of this shows as long as nothing is replaced."""
    kind = type(fast_loop)
    assert "call_soon" not in vars(kind)
    for name in ("_ready", "_csock"):
        assert not hasattr(fast_loop, name)
    assert fast_loop._scheduled == []


def test_a_subclass_in_the_place_of_asyncios(fast_kind):
    """Its methods are its own, and no patch of what they call."""
    import fastloop

    class Own(fastloop.Loop):
        def call_soon_threadsafe(self, callback, *args, **keywords):
            calls.append(callback)
            return super().call_soon_threadsafe(callback, *args, **keywords)

    calls = []
    before = set(vars(fastloop.Loop))
    same = asyncio.BaseEventLoop.call_at  # put there anew it has us look again
    with (
        mock.patch("asyncio.SelectorEventLoop", Own),
        mock.patch.object(asyncio.BaseEventLoop, "call_at", same),
    ):
        loop = Own()
        loop.call_soon_threadsafe(loop.stop)
        loop.run_forever()
        loop.close()
    fastloop.new_event_loop().close()
    assert calls == [loop.stop]
    assert set(vars(fastloop.Loop)) == before
