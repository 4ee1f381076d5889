"""What the watch does beside its reports: lints, answers, names of rare steps."""

import asyncio
import gc
import logging
import socket
import threading
import time

import fastloop
from fastloop import _core, _watch, aio
from tests.injection.registry import program, with_coroutine, with_loop

logging.getLogger("fastloop.watch").addHandler(logging.NullHandler())


@with_coroutine
async def lints_of_futures_and_tasks():
    """An exception that nobody has asked for yet, and a task that is lost."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, report: None)

    async def waits():
        await loop.create_future()

    with fastloop.watch(60):
        future = loop.create_future()
        future.set_exception(ValueError())
        future.exception()
        asyncio.create_task(waits())  # noqa: RUF006
        await asyncio.sleep(0)
        gc.collect()
    loop.set_exception_handler(None)


@with_loop
def a_loop_that_is_stuck(loop):
    """As another thread finds it, and a call of that thread's that is unsafe."""
    wrong = []
    over = threading.Event()

    def work():
        try:
            end = time.monotonic() + 5
            while not _core._watch_stuck() and time.monotonic() < end:
                if over.wait(0.001):
                    break
            _core._watch_loops()
            loop.call_soon(int)
        except BaseException as exc:
            wrong.append(exc)
        finally:
            loop.call_soon_threadsafe(loop.stop)

    with fastloop.watch(60):
        thread = threading.Thread(target=work)
        thread.start()
        try:
            loop.run_forever()
        finally:
            over.set()
            thread.join()
    if wrong:
        raise wrong[0]


@program
def answers_through_the_socket():
    with fastloop.watch(60):
        path = _watch._current._socket
        if path:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(10)
                sock.connect(path)
                sock.sendall(b"s")
                while sock.recv(1 << 16):
                    pass


class Slow(asyncio.Task):
    def cancel(self, msg=None):
        time.sleep(0.0015)
        return super().cancel(msg)


@with_coroutine
async def a_timer_whose_step_is_slow():
    async def limited():
        async with aio.timeout(0.001):
            await asyncio.Event().wait()

    task = Slow(limited(), loop=asyncio.get_running_loop())
    await asyncio.wait([task])
    if not isinstance(task.exception(), TimeoutError):
        raise task.exception()
    asyncio.get_running_loop().metrics()
