"""Scenarios of what fastloop has above the loop; scenarios.py imports them."""

import asyncio
import contextlib
import socket
import warnings

import fastloop
from fastloop import aio
from tests.leaks.scenarios import scenario, with_coroutine


async def waits_and_is_woken(waiting, wake):
    """Two tasks that wait; the first is cancelled, the other woken."""
    tasks = [asyncio.create_task(waiting()) for _ in range(2)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    wake()
    _, lost = await asyncio.wait(tasks, timeout=0.5)
    for task in lost:  # of one that failed
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


@with_coroutine
async def locks():
    lock, event, semaphore = aio.Lock(), aio.Event(), aio.Semaphore(value=1)
    bounded = aio.BoundedSemaphore(1)
    async with lock, semaphore, bounded:
        await waits_and_is_woken(lock.acquire, lock.release)
        await waits_and_is_woken(event.wait, event.set)
        await waits_and_is_woken(semaphore.acquire, semaphore.release)
        await waits_and_is_woken(bounded.acquire, bounded.release)
    event.clear()
    for thing in (lock, event, semaphore, bounded):
        repr(thing), thing.__getstate__(), thing._waiters, thing._loop
        thing.cycle = thing
    event.is_set(), semaphore.locked(), bounded._bound_value
    for release in (lock.release, bounded.release):
        with contextlib.suppress(RuntimeError, ValueError):
            release()
    with contextlib.suppress(ValueError):
        aio.Semaphore(-1)
    lock.acquire().close()
    with contextlib.suppress(ValueError):
        lock.acquire().throw(ValueError)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lock.acquire()


@with_coroutine
async def sleeps():
    loop = asyncio.get_running_loop()
    assert await aio.sleep(0, "a") == "a"
    assert await aio.sleep(0.001, result=object())
    for delay in (0, 0.001, 50):
        coro = aio.sleep(delay, object())
        coro.send(None)
        repr(coro), coro.__name__
        with contextlib.suppress(ValueError):
            coro.throw(ValueError)
        coro = aio.sleep(delay)
        coro.send(None)
        loop._scheduled  # noqa: B018
        coro.close()
        task = asyncio.create_task(aio.sleep(delay))
        await aio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    with contextlib.suppress(TypeError):
        await aio.sleep("1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        aio.sleep(1)


@with_coroutine
async def timeouts():
    loop = asyncio.get_running_loop()
    for delay in (0, 0.001):
        with contextlib.suppress(TimeoutError):
            async with aio.timeout(delay) as timeout:
                await aio.sleep(5)
    async with aio.timeout_at(loop.time() + 50) as timeout:
        repr(timeout), timeout.when(), timeout.expired()
        timeout.reschedule(None)
        timeout.reschedule(loop.time() + 60)
        timeout._timeout_handler.cancel()
        timeout.reschedule(loop.time() - 1)
        timeout._timeout_handler.cancel()
        timeout._timeout_handler = timeout._timeout_handler
    for use in (lambda: timeout.reschedule(5), lambda: aio.timeout(), aio.Timeout):
        with contextlib.suppress(RuntimeError, TypeError):
            use()
    with contextlib.suppress(RuntimeError):
        await timeout.__aenter__()
    timeout.cycle = timeout
    timeout = aio.Timeout(5)
    await timeout.__aenter__()
    with contextlib.suppress(asyncio.CancelledError, TimeoutError):
        timeout._on_timeout()
        await aio.sleep(5)
    with contextlib.suppress(TimeoutError):
        await timeout.__aexit__(None, None, None)
    asyncio.current_task().uncancel()
    await Stepwise()


class Stepwise:
    """An awaitable that goes on by what __await__() of ours returns."""

    def __await__(self):
        return (yield from aio.sleep(0).__await__())


@with_coroutine
async def waits_for():
    loop = asyncio.get_running_loop()
    await aio.wait_for(aio.sleep(0), 5)
    await aio.wait_for(aio.sleep(0), timeout=None)
    for delay in (0, 0.001):
        for make in (loop.create_future, lambda: asyncio.sleep(5)):
            with contextlib.suppress(TimeoutError):
                await aio.wait_for(make(), delay)
    task = asyncio.create_task(aio.wait_for(asyncio.sleep(5), 50))
    await aio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    with contextlib.suppress(TypeError):
        await aio.wait_for(5, 5)
    coro = aio.wait_for(loop.create_future(), 5)
    coro.send(None)
    coro.close()


@scenario
def loops_that_end_while_somebody_sleeps():
    for close in (True, False):
        loop = fastloop.new_event_loop()
        coros = [aio.sleep(delay, object()) for delay in (0.001, 10)]

        async def main(coros=coros):
            for coro in coros:
                coro.send(None)

        loop.run_until_complete(main())
        if close:
            loop.close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            del loop
        for coro in coros:
            coro.close()


@with_coroutine
async def conditions():
    condition = aio.Condition()

    async def wait():
        async with condition:
            await condition.wait_for(lambda: True)
            await condition.wait()

    tasks = [asyncio.create_task(wait()) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    async with condition:
        condition.notify(1)
        condition.notify(n=1)
        condition.notify_all()
        repr(condition)
    await asyncio.wait(tasks)
    condition.release = condition.locked
    condition.cycle = condition
    with contextlib.suppress(RuntimeError):
        condition.notify()


@with_coroutine
async def locks_of_subclasses():
    class Mine(aio.Lock):
        def release(self):
            super().release()

    lock = Mine()
    async with lock:
        await waits_and_is_woken(lock.acquire, lock.release)
    semaphore = aio.Semaphore(0)
    semaphore._wake_up_next = lambda: False
    semaphore._value = 1 << 100
    async with semaphore:
        repr(semaphore)


async def enter():
    async with asyncio.Lock(), asyncio.Semaphore():
        await asyncio.Queue().join()


@scenario
def accelerated():
    fastloop.accelerate()
    try:
        fastloop.run(enter())
        with contextlib.suppress(RuntimeError):
            asyncio.Lock().release()
    finally:
        fastloop.decelerate()


@with_coroutine
async def queues():
    for queue in (aio.Queue(1), aio.PriorityQueue(1), aio.LifoQueue(maxsize=1)):
        await queue.put(1)
        with contextlib.suppress(asyncio.QueueFull):
            queue.put_nowait(2)
        await waits_and_is_woken(lambda q=queue: q.put(3), queue.get_nowait)
        await queue.get()
        await waits_and_is_woken(queue.get, lambda q=queue: put_two(q))
        while not queue.empty():
            queue.get_nowait()
        with contextlib.suppress(asyncio.QueueEmpty):
            queue.get_nowait()
        await waits_and_is_woken(queue.join, lambda q=queue: finish(q))
        with contextlib.suppress(ValueError):
            queue.task_done()
        repr(queue), queue.qsize(), queue.empty(), queue.full(), queue.maxsize
        repr((queue._getters, queue._putters, queue._finished, queue._queue))
        queue.__getstate__()
        queue.put_nowait(queue)


def put_two(queue):
    queue._maxsize = 2
    queue.put_nowait(4)
    queue.put_nowait(5)


def finish(queue):
    while queue._unfinished_tasks:
        queue.task_done()


@with_coroutine
async def shielded_and_waited_for():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    outer = aio.shield(future)
    repr(future)
    future.set_result(outer)
    await outer
    cancelled = aio.shield(loop.create_future())
    cancelled.cancel()
    await asyncio.sleep(0)
    with contextlib.suppress(KeyError):
        await aio.shield(ends(KeyError()))
    tasks = [asyncio.create_task(ends(i)) for i in range(3)]
    await aio.wait(tasks, timeout=5)
    future = loop.create_future()
    await aio.wait([future], timeout=0)
    await aio.wait([future, tasks[0]], return_when=asyncio.FIRST_COMPLETED)
    waiting = asyncio.create_task(aio.wait([future], return_when="FIRST_EXCEPTION"))
    await asyncio.sleep(0)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    with contextlib.suppress(ValueError):
        await aio.wait([])
    aio.wait([future]).__await__().close()


@with_coroutine
async def groups():
    async with aio.TaskGroup() as group:
        for i in range(3):
            group.create_task(ends(i))
        repr(group), group._tasks, group.__getstate__(), group._on_task_done
        group.cycle = group
    for error in KeyError(), asyncio.CancelledError():
        try:
            async with aio.TaskGroup() as group:
                group.create_task(ends(error))
                group.create_task(
                    asyncio.sleep(1 if isinstance(error, KeyError) else 0)
                )
        except* KeyError:
            pass
    coro = ends(1)
    with contextlib.suppress(RuntimeError):
        aio.TaskGroup().create_task(coro)
    coro.close()

    async def grouping():
        async with aio.TaskGroup() as group:
            group.create_task(asyncio.sleep(1))

    task = asyncio.create_task(grouping())
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def ends(result):
    await asyncio.sleep(0)
    if isinstance(result, BaseException):
        raise result
    return result


@with_coroutine
async def gathered():
    future = asyncio.get_running_loop().create_future()
    outer = aio.gather(ends(1), future, ends(KeyError()), return_exceptions=True)
    repr(outer), outer._children, outer._cancel_requested
    outer.cycle = outer
    future.set_result(outer)
    for result in await outer:
        if isinstance(result, MemoryError):  # put there by tests/injection
            raise result
    with contextlib.suppress(KeyError):
        await aio.gather(ends(KeyError()), ends(1))
    cancelled = aio.gather(ends(1), ends(2))
    cancelled.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await cancelled
    for child in cancelled._children:  # may have failed instead
        with contextlib.suppress(asyncio.CancelledError):
            await child
    for wrong in ([], 1):
        with contextlib.suppress(TypeError):
            aio.gather(ends(1), wrong)
    await aio.gather()
    await asyncio.sleep(0)


class NoPause:
    def pause_reading(self):
        raise NotImplementedError

    def resume_reading(self):
        pass


async def reads_and_is_fed(read, feed):
    """One that is cancelled, a second one, and one that is woken."""
    tasks = [asyncio.create_task(read())]
    await asyncio.sleep(0)
    if not tasks[0].done():
        with contextlib.suppress(RuntimeError):
            await read()
    tasks[0].cancel()
    await asyncio.wait(tasks)
    tasks.append(asyncio.create_task(read()))
    await asyncio.sleep(0)
    feed()
    _, lost = await asyncio.wait(tasks, timeout=0.5)
    for task in lost:  # of one that failed
        task.cancel()
    await asyncio.wait(tasks)
    with contextlib.suppress(KeyError, asyncio.IncompleteReadError):
        for task in tasks:
            if not task.cancelled():
                task.result()


@with_coroutine
async def readers():
    reader = aio.StreamReader(limit=4, loop=asyncio.get_running_loop())
    reader.set_transport(NoPause())
    reader.feed_data(b"ab\n" + bytes(600) + b"\n1\n2")
    await reader.readline(), await reader.readexactly(100), await reader.read(50)
    for separator in (b"\n1", b"x", b"", None):
        with contextlib.suppress(asyncio.LimitOverrunError, ValueError, TypeError):
            await reader.readuntil(separator)
    for _ in range(2):
        with contextlib.suppress(ValueError):
            await reader.readline()
    reader._buffer.clear()
    for read in (reader.readline, reader.readuntil, lambda: reader.read(5)):
        await reads_and_is_fed(read, lambda: reader.feed_data(b"c\n"))
    await reads_and_is_fed(reader.read, reader.feed_eof)
    reader._eof = False
    await reads_and_is_fed(lambda: reader.readexactly(3), reader.feed_eof)
    repr(reader), reader._buffer, reader.__getstate__(), reader.at_eof()
    [line async for line in reader]
    with contextlib.suppress(asyncio.IncompleteReadError):
        await reader.readexactly(3)
    reader._eof = False
    error = KeyError()
    await reads_and_is_fed(reader.__anext__, lambda: reader.set_exception(error))
    for end in (error, asyncio.IncompleteReadError(b"a", 1), None):
        reader.set_exception(end)
        with contextlib.suppress(KeyError):
            await reader.readline()
        reader._eof = True
    reader.exception()
    reader.cycle = reader
    with contextlib.suppress(ValueError, TypeError):
        aio.StreamReader(0)
    aio.StreamReader()


@with_coroutine
async def completions():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    it = iter(aio.as_completed([ends(1), ends(KeyError()), future], timeout=0.01))
    for each in it:
        with contextlib.suppress(KeyError, TimeoutError):
            await each
    future.set_result(None)
    for each in aio.as_completed([future, ends(2)], timeout=50):
        await each
    for wrong in ([1], 1, future):
        with contextlib.suppress(TypeError):
            list(aio.as_completed(wrong))
    waits = aio.as_completed([loop.create_future()], timeout=50)
    for each in waits:
        task = asyncio.ensure_future(each)
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    if hasattr(waits, "__anext__"):
        waits._handle_timeout(), waits._timeout_handle.cancel()
        with contextlib.suppress(KeyError, TypeError, ValueError):
            waits._handle_completion(future)  # too late
        waits.__getstate__(), waits._todo, waits._todo_left, waits._done
        waits.cycle = waits
        async for each in aio.as_completed([future, ends(3)]):
            each.result()
        with contextlib.suppress(StopAsyncIteration):
            await anext(waits)


class Stack(aio.Queue):
    def _init(self, maxsize):
        self._queue = []

    def _put(self, item):
        self._queue.append(item)

    def _get(self):
        return self._queue.pop()


@with_coroutine
async def queues_of_subclasses():
    queue = Stack(1)
    await queue.put(object())
    with contextlib.suppress(asyncio.QueueFull):
        queue.put_nowait(1)
    joining = asyncio.ensure_future(queue.join())
    await asyncio.sleep(0)
    await queue.get()
    queue.task_done()
    await joining
    queue._finished = None
    for use in (lambda: queue.put(object()), queue.join):
        with contextlib.suppress(AttributeError):
            await use()


@with_coroutine
async def waits_for_a_task():
    loop = asyncio.get_running_loop()
    with contextlib.suppress(TimeoutError):
        await aio.wait_for(loop.create_future(), 0.001)
    with contextlib.suppress(KeyError):
        await aio.wait_for(ends(KeyError()), 50)

    async def goes_on():
        try:
            await asyncio.sleep(50)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            raise

    for n_cancels in (1, 2):
        task = asyncio.ensure_future(aio.wait_for(goes_on(), 50))
        for _ in range(n_cancels):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await asyncio.sleep(0)
    await asyncio.sleep(0)


class Passive:
    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *_: None

    def is_closing(self):
        return True


@with_coroutine
async def writers():
    loop = asyncio.get_running_loop()
    reader = aio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    writer = aio.StreamWriter(Passive(), protocol, reader, loop)
    writer.write(b"a"), writer.writelines([b"b"]), writer.write_eof()
    writer.can_write_eof(), writer.close(), writer.is_closing()
    writer.get_extra_info("a"), writer.get_extra_info("a", 1)
    repr(writer), writer.__getstate__(), writer.transport, writer._complete_fut
    await writer.drain()
    protocol.pause_writing()
    await waits_and_is_woken(writer.drain, protocol.resume_writing)
    await waits_and_is_woken(writer.wait_closed, lambda: protocol.connection_lost(None))
    for error in (KeyError("a"), KeyError, "none"):
        reader._exception = error
        with contextlib.suppress(KeyError, TypeError):
            await writer.drain()
    writer.cycle = writer
    with contextlib.suppress(TypeError):
        writer.write()
    with contextlib.suppress(TypeError):
        writer.write(data=b"a", other=1)


@with_coroutine
async def long_reads():
    """What comes for a long read(): taken as it is, and looked at before that."""
    loop = asyncio.get_running_loop()
    reader = aio.StreamReader(loop=loop)
    protocol = aio.StreamReaderProtocol(reader, loop=loop)
    left, right = socket.socketpair()
    with left, right:
        transport, _ = await loop.create_connection(lambda: protocol, sock=left)
        try:
            right.send(bytes(40_000))
            await reader.readexactly(40_000)
            for looks in (False, True):
                task = asyncio.ensure_future(reader.read(1 << 17))
                await asyncio.sleep(0)
                right.send(bytes(40_000))
                while reader._waiter is not None and not task.done():
                    await asyncio.sleep(0)
                if looks:
                    assert len(reader._buffer) == 40_000
                assert len(await task) == 40_000
        finally:
            transport.close()
            await asyncio.sleep(0)


def refuses(reader, writer):
    raise KeyError("refused")


async def comes(reader, writer):
    await asyncio.sleep(0)


@with_coroutine
async def stream_protocols():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    for callback in (None, refuses, comes, lambda *_: None):
        reader = aio.StreamReader(loop=loop)
        protocol = aio.StreamReaderProtocol(reader, callback, loop=loop)
        with contextlib.suppress(KeyError):
            protocol.connection_made(Passive())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        protocol.data_received(b"a"), protocol.data_received(data=b"b")
        protocol.pause_writing()
        await waits_and_is_woken(protocol._drain_helper, protocol.resume_writing)
        await protocol._drain_helper()
        protocol.__getstate__(), protocol.eof_received()
        protocol.cycle = protocol
        if callback is None:
            protocol._get_close_waiter(None)
        protocol.connection_lost(KeyError("lost") if callback is comes else None)
        await asyncio.wait([protocol._get_close_waiter(None)])
    with contextlib.suppress(TypeError):
        protocol.connection_lost()
    with contextlib.suppress(TypeError):
        aio.StreamReaderProtocol()
    loop.set_exception_handler(None)
