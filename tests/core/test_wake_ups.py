"""What is scheduled by code that runs just before the loop sleeps is not late."""

import asyncio
import contextvars
import gc
import logging
import socket
import sys
import threading
import time

import pytest

from tests.support import child_says

LATE_S = 3


def prompt(loop):
    """Runs the loop until it is stopped; whether that was before the long timer."""
    began = time.monotonic()
    timer = loop.call_later(LATE_S, loop.stop)
    loop.run_forever()
    timer.cancel()
    return time.monotonic() - began < LATE_S / 2


def with_time(loop, hook):
    """Has hook() called at each look at the clock, once it is armed."""
    plain = loop.time

    def now():
        value = plain()
        if armed:
            armed.pop()
            hook()
        return value

    armed = []
    loop.time = now
    return armed


@pytest.fixture
def clock_loop(loop):
    """A loop whose clock is replaced for the test."""
    yield loop
    del loop.time


def look_at_the_clock_and(loop, hook):
    """Has hook() called when the loop is about to sleep."""
    armed = with_time(loop, hook)
    loop.call_soon(lambda: loop.call_soon(armed.append, True))


async def stop(loop):
    loop.stop()


# asyncio computes how long it may sleep before it asks its clock: these are then late.
WHAT_ASYNCIO_MISSES = {
    "call_soon": lambda loop: loop.call_soon(loop.stop),
    "call_later": lambda loop: loop.call_later(0.001, loop.stop),
    "stop": lambda loop: loop.stop(),
    "task": lambda loop: tasks.append(loop.create_task(stop(loop))),
}
tasks = []


@pytest.mark.parametrize("what", WHAT_ASYNCIO_MISSES)
def test_done_by_the_clock(fast_loop, what):
    look_at_the_clock_and(fast_loop, lambda: WHAT_ASYNCIO_MISSES[what](fast_loop))
    assert prompt(fast_loop)
    tasks.clear()
    del fast_loop.time


def test_a_call_from_a_thread_inside_the_clock(clock_loop):
    go, done = threading.Event(), threading.Event()

    def other():
        go.wait()
        clock_loop.call_soon_threadsafe(clock_loop.stop)
        done.set()

    def hook():
        go.set()
        done.wait()

    thread = threading.Thread(target=other)
    thread.start()
    look_at_the_clock_and(clock_loop, hook)
    assert prompt(clock_loop)
    thread.join()


def test_a_threadsafe_call_of_the_clocks_own(clock_loop):
    look_at_the_clock_and(
        clock_loop, lambda: clock_loop.call_soon_threadsafe(clock_loop.stop)
    )
    assert prompt(clock_loop)


def test_the_clock_takes_the_last_timer_away(clock_loop):
    """Without a timer left there is nothing to compare the clock with."""
    loop = clock_loop
    timers = [loop.call_later(LATE_S, loop.stop)]
    armed = with_time(loop, lambda: [timer.cancel() for timer in timers])
    armed.append(True)
    thread = threading.Timer(0.05, loop.call_soon_threadsafe, (loop.stop,))
    loop.call_soon(thread.start)
    began = time.monotonic()
    loop.run_forever()
    assert time.monotonic() - began < LATE_S / 2
    thread.join()


class Last:
    """Calls something when it dies."""

    def __init__(self, call):
        self.call = call

    def __del__(self):
        self.call()


variable = contextvars.ContextVar("variable")


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="nothing dies there")
def test_scheduled_by_the_death_of_a_tasks_result(loop, pair):
    class Holder:
        pass

    async def body(holder):
        token = variable.set(holder)
        del holder
        loop.add_reader(pair[0], print)  # a sign of I/O: the loop polls
        loop.remove_reader(pair[0])
        variable.reset(token)
        return Last(lambda: loop.call_soon(loop.stop))

    holder = Holder()
    holder.task = loop.create_task(body(holder))
    del holder
    assert prompt(loop)


def test_scheduled_by_the_death_of_a_context(loop):
    """A variable's value lives as long as the context of the last callback."""

    def last():
        variable.set(Last(lambda: loop.call_soon(loop.stop)))

    contextvars.copy_context().run(loop.call_soon, last)
    assert prompt(loop)


def test_written_by_a_finalizer(loop):
    """What a transport is given on the way to sleep is sent before it."""
    left, right = socket.socketpair()
    right.setblocking(False)
    transport, _ = loop.run_until_complete(
        loop.create_connection(asyncio.Protocol, sock=left)
    )

    def last():
        variable.set(Last(lambda: transport.write(b"x")))

    loop.add_reader(right, loop.stop)
    contextvars.copy_context().run(loop.call_soon, last)
    assert prompt(loop)
    loop.remove_reader(right)
    transport.close()
    right.close()
    loop.run_until_complete(asyncio.sleep(0))


class Emits(logging.Handler):
    """Calls something for each record."""

    def __init__(self, call):
        super().__init__()
        self.emit = lambda record: call()


def slow_callback(loop, pair, last):
    """Debug mode's log of a slow callback."""
    handler = Emits(last)
    logging.getLogger("asyncio").addHandler(handler)
    loop.set_debug(True)
    loop.slow_callback_duration = 0.001
    loop.call_soon(time.sleep, 0.005)
    return handler


def removed_reader(loop, pair, last):
    loop.add_reader(pair[0], AtDeath(last))
    loop.call_soon(loop.remove_reader, pair[0])


def replaced_reader(loop, pair, last):
    loop.add_reader(pair[0], AtDeath(last))
    loop.call_soon(loop.add_reader, pair[0], print)


def cancelled_timer(loop, pair, last):
    loop.call_soon(loop.call_later(1e6, AtDeath(last)).cancel)


def exception_handler(loop, pair, last):
    loop.set_exception_handler(lambda loop, context: last())
    loop.call_soon(divmod, 1, 0)


def former_exception_handler(loop, pair, last):
    loop.set_exception_handler(AtDeath(last))
    loop.call_soon(loop.set_exception_handler, None)


def lost_protocol(loop, pair, last):
    class Protocol(asyncio.Protocol):
        def connection_lost(self, exc):
            self.last = AtDeath(last)

    async def connect():
        transport, _ = await loop.create_connection(Protocol, sock=pair[0])
        transport.abort()

    return loop.create_task(connect())


def garbage(loop, pair, last):
    op = AtDeath(last)
    op.itself = op
    loop.call_soon(gc.collect)


class AtDeath(Last):
    def __call__(self, *args):
        pass


def from_a_thread(loop):
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(loop.stop,))
    thread.start()
    thread.join()


SCHEDULES = {
    "call_soon": lambda loop: loop.call_soon(loop.stop),
    "call_later": lambda loop: loop.call_later(0.001, loop.stop),
    "stop": lambda loop: loop.stop(),
    "a thread": from_a_thread,
}
PREPARES = [
    *(slow_callback, removed_reader, replaced_reader, cancelled_timer, garbage),
    *(exception_handler, former_exception_handler, lost_protocol),
]


@pytest.mark.parametrize("how", SCHEDULES)
@pytest.mark.parametrize("prepare", PREPARES)
def test_scheduled_behind_the_last_callback(loop, pair, logs, prepare, how):
    done = []

    def last():
        if not done:
            done.append(True)
            SCHEDULES[how](loop)

    kept = prepare(loop, pair, last)
    try:
        assert prompt(loop)
    finally:
        loop.set_debug(False)
        loop.set_exception_handler(None)
        if prepare is slow_callback:
            logging.getLogger("asyncio").removeHandler(kept)
        elif prepare is replaced_reader:
            loop.remove_reader(pair[0])
        elif prepare is lost_protocol:
            loop.run_until_complete(kept)
        logs.take()
    assert done


SIGNAL_IN_THE_CLOCK = """
import os, signal, socket, time
loop = new_event_loop()
began = time.monotonic()
left = right = None
if KEPT:
    # the wake-up fd is somebody else's, so the loop's poll is not ended by it
    left, right = socket.socketpair()
    left.setblocking(False)
    signal.set_wakeup_fd(left.fileno(), warn_on_full_buffer=False)
signal.signal(signal.SIGUSR1, lambda *_: loop.call_soon(loop.stop))
plain = loop.time
armed = []
def now():
    value = plain()
    if armed:
        armed.pop()
        os.kill(os.getpid(), signal.SIGUSR1)
    return value
loop.time = now
timer = loop.call_later(3, loop.stop)
loop.call_soon(lambda: loop.call_soon(armed.append, True))
loop.run_forever()
print("prompt" if time.monotonic() - began < 1.5 else "late")
timer.cancel()
loop.close()
signal.set_wakeup_fd(-1)
if left:
    left.close()
    right.close()
"""


@pytest.mark.parametrize("kept", [False, True])
def test_a_signal_handler_that_schedules(fast_kind, kept):
    source = SIGNAL_IN_THE_CLOCK.replace("KEPT", str(kept))
    assert child_says(fast_kind, source) == "prompt\n"


SIGNAL_IN_C = """
import functools, os, signal, socket, time
loop = new_event_loop()
began = time.monotonic()
left, right = socket.socketpair()
left.setblocking(False)
signal.set_wakeup_fd(left.fileno(), warn_on_full_buffer=False)
signal.signal(signal.SIGUSR1, lambda *_: loop.call_soon(loop.stop))
timer = loop.call_later(3, loop.stop)
# no Python code runs between the signal and the poll
loop.call_soon(functools.partial(os.kill, os.getpid(), signal.SIGUSR1))
loop.run_forever()
print("prompt" if time.monotonic() - began < 1.5 else "late")
timer.cancel()
loop.close()
signal.set_wakeup_fd(-1)
if left:
    left.close()
    right.close()
"""


def test_a_signal_that_came_in_c_code(loop_kind):
    assert child_says(loop_kind, SIGNAL_IN_C) == "prompt\n"


def test_no_current_task_after_an_iteration(loop):
    """Also where nothing follows that would take it back."""

    async def nothing():
        seen.append(asyncio.current_task())

    seen = []
    task = loop.create_task(nothing())
    asyncio._set_running_loop(loop)
    try:
        loop._run_once()
    finally:
        asyncio._set_running_loop(None)
    assert seen == [task]
    assert asyncio.current_task(loop) is None
    assert task.done()
