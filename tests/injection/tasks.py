"""Futures and tasks, most of them used in ways that are refused."""

import asyncio
import contextlib
import contextvars
import io
import sys
import warnings

import fastloop
from tests.injection.registry import program, with_coroutine, with_loop
from tests.leaks.scenarios import fail, nothing, run_once


class Odd(asyncio.AbstractEventLoop):
    """Neither ours nor asyncio's."""

    def __init__(self):
        self.queue = []

    def get_debug(self):
        return False

    def is_running(self):
        return True

    def call_soon(self, callback, *args, context=None):
        self.queue.append((callback, args))

    def run(self):
        while self.queue:
            callback, args = self.queue.pop(0)
            callback(*args)

    def call_exception_handler(self, context):
        raise context.get("exception") or RuntimeError(context["message"])


@program
def on_another_loop():
    loop = Odd()
    future = fastloop.Future(loop=loop)
    future.add_done_callback(nothing)
    future.set_result(1)
    loop.run()

    async def sleeper():
        await asyncio.sleep(0)

    asyncio._set_running_loop(loop)
    try:
        task = fastloop.Task(sleeper(), loop=loop)
        loop.run()
        task.result()
        if sys.version_info >= (3, 12):
            fastloop.Task(sleeper(), loop=loop, eager_start=True)
            loop.run()
    finally:
        asyncio._set_running_loop(None)
        loop.queue.clear()


@with_loop
def futures_by_hand(loop):
    asyncio.set_event_loop(loop)
    try:
        fastloop.Future()
    finally:
        asyncio.set_event_loop(None)
    future = fastloop.Future(loop=loop)
    with contextlib.suppress(RuntimeError):
        future.__init__(loop=loop)
    for callback in (nothing, fail, nothing):
        future.add_done_callback(callback)
    future.add_done_callback(nothing, context=contextvars.copy_context())
    future.remove_done_callback(nothing)
    repr(future), future._callbacks, future.get_loop()
    future.cancel("why")
    with contextlib.suppress(asyncio.CancelledError):
        future.result()
    with contextlib.suppress(asyncio.CancelledError):
        future.exception()
    stop = fastloop.Future(loop=loop)
    with contextlib.suppress(TypeError):
        stop.set_exception(StopIteration())
    stop.cancel()
    failed = fastloop.Future(loop=loop)
    failed.set_exception(ValueError)
    failed.exception()
    loop.set_debug(True)
    lost = fastloop.Future(loop=loop)
    lost.set_exception(ValueError())
    del lost
    loop.set_debug(False)
    waiting = iter(fastloop.Future(loop=loop))
    next(waiting)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(ValueError):
            waiting.throw(ValueError, "text", None)
    waiting = iter(fastloop.Future(loop=loop))
    with contextlib.suppress(ValueError):
        waiting.throw(ValueError, (1, 2))
    iter(fastloop.Future(loop=loop)).close()
    run_once(loop)


@with_coroutine
async def tasks_by_hand():
    loop = asyncio.get_running_loop()

    async def sleeper():
        await asyncio.sleep(0)

    class Name:
        def __str__(self):
            return "name"

    task = fastloop.Task(sleeper(), loop=loop, name=Name())
    task.set_name(5)
    task.get_name(), repr(task)
    task.get_stack(limit=5)
    task.print_stack(file=io.StringIO())
    await task
    context = contextvars.copy_context()
    await loop.create_task(sleeper(), name="x", context=context)
    task = loop.create_task(sleeper())
    task.cancel("why")
    with contextlib.suppress(asyncio.CancelledError):
        await task
    waiting = loop.create_task(asyncio.sleep(100))
    await asyncio.sleep(0)
    waiting.add_done_callback(nothing)
    waiting.remove_done_callback(nothing)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting


@with_coroutine
async def eager_tasks():
    if sys.version_info < (3, 12):
        return
    loop = asyncio.get_running_loop()

    async def sleeper(n):
        for _ in range(n):
            await asyncio.sleep(0)

    loop.set_task_factory(asyncio.eager_task_factory)
    await asyncio.gather(*(sleeper(n) for n in range(3)))
    loop.set_task_factory(None)
    await fastloop.Task(sleeper(0), loop=loop, eager_start=True)
    await fastloop.Task(sleeper(1), loop=loop, eager_start=True)
    if sys.version_info >= (3, 14):
        await loop.create_task(sleeper(1), eager_start=True)


class Yields:
    """An awaitable that yields whatever it was given."""

    def __init__(self, value):
        self.value = value

    def __await__(self):
        return (yield self.value)


def a_generator():
    yield


@with_coroutine
async def strange_awaits():
    loop = asyncio.get_running_loop()
    other = Odd()
    for value in (
        1,
        a_generator(),
        loop.create_future(),
        fastloop.Future(loop=other),
        asyncio.Future(loop=other),
    ):
        with contextlib.suppress(RuntimeError):
            await Yields(value)
    foreign = fastloop.Future(loop=other)
    foreign._asyncio_future_blocking = True
    with contextlib.suppress(RuntimeError):
        await Yields(foreign)
    foreign = asyncio.futures._PyFuture(loop=other)
    foreign._asyncio_future_blocking = True
    with contextlib.suppress(RuntimeError):
        await Yields(foreign)

    async def itself():
        task = asyncio.current_task()
        task._asyncio_future_blocking = True
        await Yields(task)

    with contextlib.suppress(RuntimeError):
        await loop.create_task(itself())


@with_coroutine
async def foreign_futures():
    loop = asyncio.get_running_loop()

    class Old(asyncio.futures._PyFuture):
        get_loop = None

    for kind in (asyncio.Future, asyncio.futures._PyFuture):
        future = kind(loop=loop)
        loop.call_soon(future.set_result, None)
        await future
        future = kind(loop=loop)
        waiting = loop.create_task(wait_for(future))
        await asyncio.sleep(0)
        waiting.cancel("why")
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        future = kind(loop=loop)

        async def cancel_then_wait(future=future):
            asyncio.current_task().cancel()
            await future

        with contextlib.suppress(asyncio.CancelledError):
            await loop.create_task(cancel_then_wait())
    own = loop.create_future()

    async def cancel_then_wait_for_own():
        asyncio.current_task().cancel("why")
        await own

    with contextlib.suppress(asyncio.CancelledError):
        await loop.create_task(cancel_then_wait_for_own())
    duck = Duck(loop)
    loop.call_soon(duck.finish)
    await duck


async def wait_for(future):
    await future


class Duck:
    """A future without get_loop, as Python 3.6's were."""

    def __init__(self, loop):
        self._loop = loop
        self._asyncio_future_blocking = False
        self.callbacks = []

    def add_done_callback(self, callback, *, context=None):
        self.callbacks.append(callback)

    def finish(self):
        for callback in self.callbacks:
            self._loop.call_soon(callback, self)

    def result(self):
        return None

    def cancel(self, msg=None):
        return False

    def __await__(self):
        self._asyncio_future_blocking = True
        yield self


@program
def destroyed_pending():
    loop = fastloop.new_event_loop()
    task = loop.create_task(asyncio.sleep(1))
    run_once(loop)
    loop.close()
    del task, loop


@program
def a_stray_step():
    """A task that is done is stepped, and woken, again."""
    steps = []

    class Spy(fastloop.Loop):
        def call_soon(self, callback, *args, context=None):
            steps.append((callback, args))
            return super().call_soon(callback, *args, context=context)

    loop = Spy()
    try:
        loop.run_until_complete(tasks_with_waiting())
        for callback, args in list(steps):
            loop.call_soon(callback, *args)
        run_once(loop)
    finally:
        loop.close()


async def tasks_with_waiting():
    future = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(wait_for(future))
    await asyncio.sleep(0)
    future.set_result(None)
    await waiting


@with_loop
def a_stray_entry(loop):
    """A task is done when its place in the queue is reached."""
    future = loop.create_future()
    task = loop.create_task(wait_for(future))
    run_once(loop)
    if task.done():  # by a failure
        task.result()
    wakeup, _ = future._callbacks[0]
    loop.call_soon(future.set_result, None)
    loop.call_soon(wakeup, future)
    run_once(loop)
    run_once(loop)
    task.result()


@with_loop
def late_async_generators(loop):
    async def numbers():
        yield 1

    async def main():
        async for _ in numbers():
            pass

    loop.run_until_complete(loop.shutdown_asyncgens())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loop.run_until_complete(main())


@with_coroutine
async def awaited_by_several():
    future = asyncio.get_running_loop().create_future()
    waiting = [asyncio.create_task(wait_for(future)) for _ in range(3)]
    await asyncio.sleep(0)
    getattr(future, "_asyncio_awaited_by", None)
    future.set_result(None)
    await asyncio.gather(*waiting)
    one = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(wait_for(one))
    await asyncio.sleep(0)
    getattr(one, "_asyncio_awaited_by", None)
    one.set_result(None)
    await waiting
