"""Whose clock the loop goes by when a program replaces time.monotonic."""

import asyncio
import contextlib
import sys
import time
from unittest import mock

import pytest

from tests.support import child_says, run_once


class Clock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture(params=["time.monotonic", "asyncio.base_events.time"])
def clock(request):
    """A clock of the test's own where asyncio looks for one."""
    clock = Clock()
    if request.param == "time.monotonic":
        with mock.patch("time.monotonic", clock):
            yield clock
    else:
        module = mock.Mock(wraps=time)
        module.monotonic = clock
        with mock.patch("asyncio.base_events.time", module):
            yield clock


def test_time(loop, clock):
    assert loop.time() == 1000.0
    clock.now_s = 1001.5
    assert loop.time() == 1001.5


def test_timers(loop, clock):
    seen = []
    handle = loop.call_later(5, seen.append, "later")
    assert handle.when() == 1005.0
    loop.call_at(1003.0, seen.append, "at")
    for clock.now_s in (1002.9, 1003.0, 1004.9, 1005.0):
        loop.call_soon(seen.append, clock.now_s)
        run_once(loop)
    assert seen == [1002.9, 1003.0, "at", 1004.9, 1005.0, "later"]


def test_replaced_and_put_back(loop):
    before = loop.time()
    for _ in range(3):
        with mock.patch("time.monotonic", lambda: 5.0):
            assert loop.time() == 5.0
            assert loop.call_later(1, print).when() == 6.0
        assert before <= loop.time() < before + 60
        assert loop.call_later(1, print).when() < before + 60


def test_replaced_by_a_running_program(run):
    async def main():
        loop = asyncio.get_running_loop()
        seen = [loop.time()]
        await asyncio.sleep(0)
        clock = Clock()
        with mock.patch("time.monotonic", clock):
            seen.append(loop.time())
            sleeper = asyncio.create_task(asyncio.sleep(50))
            await asyncio.sleep(0)
            clock.now_s += 50
            await sleeper
            seen.append(loop.time())
        await asyncio.sleep(0.001)
        return seen

    _, began, ended = run(main())
    assert (began, ended) == (1000.0, 1050.0)


def test_a_clock_that_fails(loop):
    with mock.patch("time.monotonic", side_effect=OSError("no clock")):
        with pytest.raises(OSError, match="no clock"):
            loop.time()
        with pytest.raises(OSError, match="no clock"):
            loop.call_later(1, print)
    loop.call_later(0, loop.stop)
    loop.run_forever()


def test_a_timer_and_a_clock_that_fails(loop):
    timer = loop.call_later(3600, print)
    with (
        mock.patch("time.monotonic", side_effect=OSError("no clock")),
        pytest.raises(OSError, match="no clock"),
    ):
        loop.run_forever()
    timer.cancel()


def test_super(loop_factory):
    kind = loop_factory()
    kind.close()

    class Late(type(kind)):
        def time(self):
            return super().time() + 100

    loop = Late()
    with mock.patch("time.monotonic", lambda: 5.0):
        assert loop.time() == 105.0
        assert loop.call_later(1, print).when() == 106.0
    loop.close()


class CountingClock:
    """Goes by itself, and knows how often it was asked."""

    def __init__(self):
        self.n_asked = 0
        self.monotonic = time.monotonic

    def __call__(self):
        self.n_asked += 1
        return self.monotonic()


@contextlib.contextmanager
def on_the_instance(loop):
    loop.time = clock = CountingClock()
    yield clock
    del loop.time


@contextlib.contextmanager
def on_the_class(loop):
    clock = CountingClock()
    with mock.patch.object(type(loop), "time", lambda self: clock()):
        yield clock


@contextlib.contextmanager
def patched(_loop):
    with mock.patch("time.monotonic", CountingClock()) as clock:
        yield clock


WAYS = [on_the_instance, on_the_class, patched]


@pytest.mark.parametrize("way", WAYS)
def test_how_often_it_is_asked(loop, way):
    """Once an iteration, and once more by one that sleeps until a timer is due."""

    def asked(iteration):
        before = clock.n_asked
        loop.call_soon(iteration)
        run_once(loop)
        return clock.n_asked - before

    def spins(n):
        if n:
            loop.call_soon(spins, n - 1)
        else:
            loop.stop()

    with way(loop) as clock:
        assert asked(lambda: None) == 1
        before = clock.n_asked
        spins(40)
        loop.run_forever()
        assert clock.n_asked == before + 40
        timer = loop.call_later(100, print)
        assert asked(lambda: None) == 1
        timer.cancel()
        before = clock.n_asked
        loop.call_later(0.01, loop.stop)
        loop.run_forever()
        assert clock.n_asked == before + 3
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert clock.n_asked == before + 3


@pytest.mark.parametrize("way", WAYS)
def test_how_often_it_is_asked_when_replaced_in_a_busy_run(run, way):
    async def main():
        for _ in range(40):
            await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        with way(loop) as clock:
            for _ in range(40):
                await asyncio.sleep(0)
        for _ in range(40):
            await asyncio.sleep(0)
        return clock.n_asked

    n_asked = run(main())
    late = sys.version_info < (3, 12) and way is patched
    assert 40 - 16 * late <= n_asked <= 40


REPLACED_BEFORE = """
import time
plain = time.monotonic
time.monotonic = lambda: 7.0
loop = new_event_loop()
print(loop.time())
time.monotonic = plain
print(loop.time() == 7.0)
loop.close()
"""


def test_replaced_before_the_import(loop_kind):
    source = REPLACED_BEFORE
    assert child_says(loop_kind, source) == "7.0\nFalse\n"


TWICE = """
import sys, time
from unittest import mock
first = new_event_loop()
for name in [name for name in sys.modules if name.startswith("fastloop")]:
    del sys.modules[name]
if "fastloop" in str(type(first)):
    import fastloop
    second = fastloop.new_event_loop()
else:
    second = new_event_loop()
with mock.patch("time.monotonic", lambda: 7.0):
    print(first.time(), second.time())
first.close()
second.close()
"""


def test_imported_twice(loop_kind):
    assert child_says(loop_kind, TWICE) == "7.0 7.0\n"
