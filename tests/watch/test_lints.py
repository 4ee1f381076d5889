"""What the watch finds suspect beside blocks, and what it must not."""

import asyncio
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import fastloop
from tests.watch.outside import look_while_it_runs

pytestmark = pytest.mark.usefixtures("fast_kind")
LIMIT_S = 0.02  # so the first check for a deadlock comes after 0.2 s
OWN_TASKS = fastloop.Task is not asyncio.Task
needs_own_tasks = pytest.mark.skipif(
    not OWN_TASKS, reason="asyncio's own tasks tell nobody"
)


@pytest.fixture
def lints(logs):
    """The first words of what is told, and the text; blocks are left out."""
    found = []

    class Handler(logging.Handler):
        def emit(self, record):
            kind, colon, text = record.getMessage().partition(": ")
            if colon and "blocked the loop" not in kind:
                found.append((kind, text))

    handler = Handler()
    logger = logging.getLogger("fastloop.watch")
    logger.addHandler(handler)
    with fastloop.watch(LIMIT_S):
        yield found
    logger.removeHandler(handler)
    logs.take()


def run(main):
    loop = fastloop.new_event_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def here(text):
    """The place in this file of the line that ends in a comment of that text."""
    with open(__file__) as file:
        for number, line in enumerate(file, 1):
            if line.rstrip().endswith(f"# {text}"):
                return f"{__file__}:{number}"
    raise LookupError(text)


def wait_for(lints, kind):
    end = time.monotonic() + 10
    while not any(one == kind for one, _ in lints):
        assert time.monotonic() < end, lints
        time.sleep(0.01)
    return [text for one, text in lints if one == kind]


# ---- a task that never yields ----


async def hogs(seconds):
    time.sleep(seconds)


def test_a_task_that_never_yields(lints):
    async def main():
        await asyncio.create_task(hogs(0.6), name="mine")

    with fastloop.task_figures():
        run(main())
        (text,) = wait_for(lints, "never yields")
    assert text.startswith("mine (hogs)")
    assert f", at {__file__}:" in text
    if OWN_TASKS:
        assert f", made at {__file__}:" in text


def test_a_name_is_no_line_of_its_own(lints):
    async def main():
        await asyncio.create_task(hogs(0.6), name="a\n\x1b[2Jforged")

    run(main())
    (text,) = wait_for(lints, "never yields")
    assert text.startswith("a??[2Jforged (hogs)")


def test_one_that_yields_and_a_callback_are_no_such_tasks(lints):
    async def main():
        for _ in range(10):
            time.sleep(0.05)
            await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        loop.call_soon(lambda: (time.sleep(0.4), done.set_result(None)))
        await done

    run(main())
    assert not lints


def test_a_coroutine_that_runs_is_not_asked_what_it_awaits(fast_kind):
    """Up to Python 3.12 that is any word of its frame."""
    look_while_it_runs("from fastloop._lints import _wait as look\n")


# ---- a task that is lost while it is pending ----


@needs_own_tasks
def test_a_task_that_is_lost(lints):
    async def waits_for_nobody():  # begins here
        await asyncio.get_running_loop().create_future()

    async def main():
        asyncio.create_task(waits_for_nobody(), name="mine")  # noqa: RUF006
        await asyncio.sleep(0)
        gc.collect()

    run(main())
    ((kind, text),) = lints
    assert kind == "lost"
    assert text.startswith("mine (test_a_task_that_is_lost.<locals>.waits_for_nobody)")
    assert f", of {here('begins here')}" in text


@needs_own_tasks
def test_one_that_is_done_or_was_cancelled_is_not_lost(lints):
    async def main():
        task = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        del task
        asyncio.create_task(asyncio.sleep(0))  # noqa: RUF006
        await asyncio.sleep(0.01)
        gc.collect()

    run(main())
    assert not lints


# ---- an exception that nobody retrieves ----


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr("fastloop._lints.LONG_S", 0.1)


async def fails():
    raise ValueError("mine")


@needs_own_tasks
@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("what", ["task", "future"])
def test_an_exception_that_nobody_retrieves(lints, what):
    async def main():
        loop = asyncio.get_running_loop()
        if what == "task":
            one = loop.create_task(fails(), name="mine")
        else:
            one = loop.create_future()
            one.set_exception(ValueError())
        while not lints:
            await asyncio.sleep(0.01)
        one.exception()

    run(main())
    ((kind, text),) = lints
    assert kind == "not retrieved"
    name = "mine (fails)" if what == "task" else "a Future"
    assert text.startswith(f"the ValueError of {name}")


@pytest.mark.usefixtures("soon")
def test_one_that_is_retrieved_in_time(lints):
    async def main():
        task = asyncio.create_task(fails())
        await asyncio.wait([task])
        task.exception()
        results = await asyncio.gather(fails(), fails(), return_exceptions=True)
        assert len(results) == 2
        await asyncio.sleep(0.3)
        del task

    run(main())
    assert not lints


# ---- deadlocks ----


def test_a_deadlock():
    program = f"""
import asyncio, logging, sys, threading, time
logging.basicConfig(format="%(message)s", stream=sys.stdout)
import fastloop

async def waits(event):
    await event.wait()

async def main():
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, int)     # leaves an idle worker
    await asyncio.create_task(waits(asyncio.Event()), name="mine")

class Handler(logging.Handler):
    def emit(self, record):
        print(record.getMessage(), flush=True)
        import os
        os._exit(0)

logging.getLogger("fastloop.watch").addHandler(Handler())
fastloop.watch({LIMIT_S})
fastloop.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert "deadlock: no callback is ready" in done.stdout, done
    assert "2 tasks wait: Task-1 (main)" in done.stdout
    assert "mine (waits), at " in done.stdout


def test_a_deadlock_that_a_thread_of_c_could_end():
    """It says so, and does not say it again of a loop that was woken from there."""
    program = f"""
import asyncio, ctypes, fastloop, logging

class Handler(logging.Handler):
    def emit(self, record):
        print(record.getMessage(), flush=True)

logger = logging.getLogger("fastloop.watch")
logger.addHandler(Handler())
logger.propagate = False

class SigEvent(ctypes.Structure):
    _fields_ = [("value", ctypes.c_void_p), ("signal", ctypes.c_int),
                ("notify", ctypes.c_int), ("function", ctypes.c_void_p),
                ("rest", ctypes.c_char * 40)]

@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def wake(value):
    loop.call_soon_threadsafe(event.set)

async def main():
    global loop, event
    loop = asyncio.get_running_loop()
    # a timer for which the C library has a thread, which then calls
    libc, timer = ctypes.CDLL(None), ctypes.c_void_p()
    how = SigEvent(notify=2, function=ctypes.cast(wake, ctypes.c_void_p))
    assert libc.timer_create(1, ctypes.byref(how), ctypes.byref(timer)) == 0
    when = (ctypes.c_long * 4)(0, 0, 0, 700_000_000)
    for _ in range(3):
        event = asyncio.Event()
        assert libc.timer_settime(timer, 0, when, None) == 0
        await event.wait()

fastloop.watch({LIMIT_S})
fastloop.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    (line,) = done.stdout.splitlines()
    assert line.startswith("deadlock: no callback is ready"), done
    assert ", unless one of 1 that run no Python does, and 1 task waits: Task-1" in line


async def waits_for_a_thread():
    loop, event = asyncio.get_running_loop(), asyncio.Event()

    def work():
        time.sleep(0.8)
        loop.call_soon_threadsafe(event.set)

    thread = threading.Thread(target=work)
    thread.start()
    await event.wait()
    thread.join()


async def waits_for_a_job():
    await asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.8)


async def waits_to_serve():
    served = asyncio.Event()

    def serve(reader, writer):
        writer.close()
        served.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    connects = f"socket.create_connection({address!r})"
    program = f"import socket, time; time.sleep(0.8); {connects}"
    child = subprocess.Popen([sys.executable, "-c", program])
    await served.wait()
    server.close()
    await asyncio.sleep(0.05)
    child.wait()


async def waits_for_a_signal():
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR2, event.set)
    child = subprocess.Popen(["sh", "-c", f"sleep 0.8; kill -USR2 {os.getpid()}"])
    await event.wait()
    child.wait()
    loop.remove_signal_handler(signal.SIGUSR2)


async def waits_for_a_handler():
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    before = signal.signal(
        signal.SIGUSR2, lambda *args: loop.call_soon_threadsafe(event.set)
    )
    child = subprocess.Popen(["sh", "-c", f"sleep 0.8; kill -USR2 {os.getpid()}"])
    await event.wait()
    child.wait()
    signal.signal(signal.SIGUSR2, before)


async def waits_for_a_child():
    child = await asyncio.create_subprocess_exec("sleep", "0.8")
    await child.wait()


async def waits_for_a_timer():
    await asyncio.sleep(0.8)


@pytest.mark.parametrize(
    "main",
    [
        waits_for_a_thread,
        waits_for_a_job,
        waits_to_serve,
        waits_for_a_signal,
        waits_for_a_handler,
        waits_for_a_child,
        waits_for_a_timer,
    ],
)
def test_what_is_no_deadlock(lints, main):
    run(main())
    assert not lints


# ---- thread-unsafe calls ----


@pytest.mark.parametrize("what", ["call_soon", "future"])
def test_a_thread_unsafe_call(lints, what):
    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        started = loop.create_future()

        def work():
            time.sleep(0.1)
            if what == "call_soon":
                loop.call_soon(future.set_result, None)  # unsafe
            else:
                future.set_result(None)  # unsafe, too
            loop.call_soon_threadsafe(started.set_result, None)

        threading.Thread(target=work, name="mine").start()
        await future
        await started

    run(main())
    if what == "future" and not OWN_TASKS:
        return
    ((kind, text),) = lints
    assert kind == "thread-unsafe"
    assert text.startswith("thread mine called call_soon(")
    assert here("unsafe" if what == "call_soon" else "unsafe, too") in text


def test_calls_that_are_safe(lints):
    async def main():
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def work():
            time.sleep(0.1)
            future = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop)
            future.result()
            loop.call_soon_threadsafe(done.set)

        threading.Thread(target=work).start()
        await done.wait()
        loop.call_soon(int)
        await asyncio.sleep(0.05)

    run(main())
    assert not lints
