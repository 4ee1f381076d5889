"""Conditions, and coroutines that are looked at while they wait."""

import asyncio

from fastloop import aio
from tests.injection.registry import with_coroutine


class Overridden(aio.Condition):
    """Its methods are looked up."""

    async def wait(self):
        return await super().wait()

    def _notify(self, n):
        super()._notify(n)


def started(coro):
    """A task that tells at once of its fault, for which the others may wait in vain."""

    def tell(task):
        error = None if task.cancelled() else task.exception()
        if isinstance(error, MemoryError):
            task.get_loop().call_exception_handler({"exception": error})

    task = asyncio.ensure_future(coro)
    task.add_done_callback(tell)
    return task


async def ended(tasks):
    """Raises what one of them has raised, but for cancellations."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    failures = [task.exception() for task in tasks if not task.cancelled()]
    if any(failures):
        raise next(filter(None, failures))


async def turns(number=2):
    for _ in range(number):
        await asyncio.sleep(0)


async def wait_in(condition):
    async with condition:
        await condition.wait()


async def used(condition):
    """Notified, cancelled, cancelled while it waits for the lock again."""
    tasks = [started(wait_in(condition)) for _ in range(4)]
    try:
        await turns(3)
        tasks[0].cancel()
        async with condition:
            condition.notify()
            tasks[2].cancel()
            await turns()
            tasks[1].cancel()
            tasks[2].cancel()
            await turns()
        await turns()
    finally:
        await ended(tasks)


@with_coroutine
async def conditions_waited_for():
    await used(aio.Condition())


@with_coroutine
async def conditions_of_a_subclass():
    condition = Overridden()
    await used(condition)
    times = iter([False, False, True])

    async def met():
        async with condition:
            await condition.wait_for(lambda: next(times))

    tasks = [started(met())]
    try:
        for _ in range(2):
            await turns(3)
            async with condition:
                condition.notify_all()
        await turns()
    finally:
        await ended(tasks)


@with_coroutine
async def conditions_whose_lock_is_taken_otherwise():
    """acquire() is the program's by the time that the lock is wanted again."""
    condition = aio.Condition()
    tries = iter([asyncio.CancelledError, KeyError, None])

    async def acquire():
        if (error := next(tries)) is not None:
            raise error
        await asyncio.sleep(0)
        return await condition._lock.acquire()

    async def wait():
        await condition._lock.acquire()
        try:
            await condition.wait()
        except (KeyError, asyncio.CancelledError) as error:
            if isinstance(error.__context__, MemoryError):  # came first
                raise error.__context__ from None
        if condition.locked():
            condition.release()

    tasks = [started(wait()) for _ in range(2)]
    try:
        await turns(3)
        async with condition:
            condition.notify_all()
            condition.acquire = acquire
        await turns(4)
    finally:
        await ended(tasks)


def look(coro):
    """Reads all that a coroutine tells, and of those that it awaits."""
    while hasattr(coro, "cr_code"):
        coro.cr_code, coro.cr_frame, coro.cr_origin, coro.cr_suspended  # noqa: B018
        coro = coro.cr_await


@with_coroutine
async def coroutines_looked_at():
    loop = asyncio.get_running_loop()
    lock, queue, future = aio.Lock(), aio.Queue(), loop.create_future()
    await lock.acquire()
    told, met = Overridden(), aio.Condition()
    await told.acquire()
    await met.acquire()
    coros = [
        aio.sleep(9), lock.acquire(), queue.get(), aio.wait([future], timeout=9),
        aio.wait_for(future, 9), aio.wait_for(queue.get(), None),
        told.wait(), aio.sleep(True), met.wait_for(bool),
    ]  # fmt: skip
    if hasattr(aio.as_completed([]), "__anext__"):
        coros.append(aiter(aio.as_completed([future])).__anext__())
    tasks = [started(coro) for coro in coros]
    try:
        for _ in range(3):
            for coro, task in zip(coros, tasks, strict=True):
                look(coro)
                task.get_stack()
                repr(task)
            await turns(1)
    finally:
        await ended(tasks)


@with_coroutine
async def queues_of_others_completed():
    """The iterator's queue is taken for one whose get() is called."""
    if hasattr(aio.as_completed([]), "__anext__"):
        future = asyncio.get_running_loop().create_future()
        iterator = aio.as_completed([future], timeout=9)
        iterator._done = asyncio.Queue()
        iterator._done.put_nowait(future)
        future.set_result(1)
        look(each := anext(iterator))
        await each


@with_coroutine
async def results_of_coroutines():
    """Awaited step by step, by who keeps the StopIteration."""
    lock = aio.Lock()
    await lock.acquire()
    lock.release()
    for _ in range(2):
        await lock.acquire()
        lock.release()
    kept = []
    for _ in range(2):
        iterator = lock.acquire().__await__()
        try:
            next(iterator)
        except StopIteration as stop:
            kept.append(stop)
        lock.release()
