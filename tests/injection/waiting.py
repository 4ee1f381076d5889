"""What waits for futures and for time, with futures and loops of other kinds."""

import asyncio
import asyncio.futures
import asyncio.tasks
import contextlib
import contextvars

import fastloop
from fastloop import _core, aio
from tests.injection.detours import told
from tests.injection.registry import program, with_coroutine
from tests.leaks.scenarios_aio import Stack

STOCK = asyncio.Task
OWN = asyncio.CancelledError, KeyError, TimeoutError


async def ends(how, turns=1):
    for _ in range(turns):
        await aio.sleep(0)
    if isinstance(how, BaseException):
        raise how
    return how


def of_others(loop):
    """A future and a task in Python, which no C code knows."""
    future = asyncio.futures._PyFuture(loop=loop)
    task = asyncio.tasks._PyTask(ends(KeyError(1)), loop=loop)
    return future, task


async def gathered_and_waited():
    loop = asyncio.get_running_loop()
    for end in "set_result", "cancel":
        future, task = of_others(loop)
        outer = aio.gather(future, task, ends(2), return_exceptions=True)
        await aio.sleep(0)
        getattr(future, end)(*[3][: end == "set_result"])
        await outer
    future, task = of_others(loop)
    outer = aio.gather(future, task)
    await aio.sleep(0)
    outer.cancel()
    with contextlib.suppress(*OWN):
        await outer
    future, task = of_others(loop)
    done, _ = await aio.wait([future, task], timeout=0.001)
    future.cancel()
    await aio.wait([future, *done])
    future, task = of_others(loop)
    shields = aio.shield(future), aio.shield(task)
    await aio.sleep(0)
    shields[0].cancel()
    for shield in shields:
        with contextlib.suppress(*OWN):
            await shield
    future.set_exception(KeyError(2))
    future.exception()
    future, task = of_others(loop)
    with contextlib.suppress(*OWN):
        await aio.wait_for(future, 0.001)
    with contextlib.suppress(*OWN):
        await aio.wait_for(task, 9)


@program
def futures_of_others():
    fastloop.run(gathered_and_waited())


@program
def futures_of_others_on_asyncios_loop():
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(gathered_and_waited())
        runner.run(helpers())


async def helpers():
    async with aio.TaskGroup() as group:
        group.create_task(ends(1))
    try:
        async with aio.TaskGroup() as group:
            group.create_task(ends(KeyError()))
            group.create_task(aio.sleep(9))
    except* KeyError:
        pass
    await aio.sleep(0.0001, 7)
    with contextlib.suppress(TimeoutError):
        async with aio.timeout(0.0001):
            await aio.sleep(9)
    await aio.gather(ends(1), ends(2))
    with contextlib.suppress(TimeoutError):
        await aio.wait_for(aio.sleep(9), 0.0001)


@program
def helpers_on_ours():
    fastloop.run(helpers())


@with_coroutine
async def children_that_are_done():
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    done.set_result(1)
    cancelled = loop.create_future()
    cancelled.cancel("why")
    without = loop.create_future()
    without.cancel()
    coro = ends(2)
    outer = aio.gather(
        done, done, cancelled, without, coro, coro, return_exceptions=True
    )
    await outer
    waits = loop.create_future()
    outer = aio.gather(waits, waits, ends(3), return_exceptions=True)
    waits.cancel("later")
    await outer
    loop.set_task_factory(lambda loop, coro, **how: STOCK(coro, loop=loop, **how))
    await aio.gather(ends(1), ends(2))
    loop.set_task_factory(None)
    coro = ends(1)
    with contextlib.suppress(TypeError):
        await aio.wait([coro])
    coro.close()
    with contextlib.suppress(TypeError):
        aio.wait()
    with contextlib.suppress(TypeError):
        aio.shield()
    with contextlib.suppress(TypeError):
        aio.timeout_at()


@with_coroutine
async def awaited_by_hand():
    for end in "next", "send", "throw", "close":
        iterator = aio.sleep(0.001).__await__()
        if end == "next":
            await stepped(iterator)
        else:
            future = next(iterator)
            future.cancel()
            with contextlib.suppress(*OWN, StopIteration):
                match end:
                    case "send":
                        iterator.send(None)
                    case "throw":
                        iterator.throw(KeyError(1))
            iterator.close()


class Stepped:
    def __init__(self, iterator):
        self.iterator = iterator

    def __await__(self):
        return (yield from self.iterator)


async def stepped(iterator):
    return await Stepped(iterator)


@with_coroutine
async def timeouts_that_expire():
    async def late():
        async with aio.timeout(0.0001):
            try:
                await aio.sleep(9)
            except asyncio.CancelledError as error:
                raise KeyError("late") from error

    async def late_group():
        async with aio.timeout(0.0001):
            try:
                await aio.sleep(9)
            except asyncio.CancelledError as error:
                failure = KeyError("late")
                failure.__context__ = error
                raise ExceptionGroup("late", [failure]) from None

    for each in late, late_group:
        with contextlib.suppress(KeyError, TimeoutError, BaseExceptionGroup):
            await each()
        task = asyncio.Task(each(), context=contextvars.copy_context())
        await asyncio.wait([task])
        task.exception()
        task = asyncio.tasks._PyTask(each())
        await asyncio.wait([task])
        task.exception()


@with_coroutine
async def large_numbers():
    queue = aio.Queue()
    queue._unfinished_tasks = 10**30
    queue.put_nowait(1)
    queue.get_nowait()
    queue.task_done()
    queue._maxsize = 10**30
    queue.put_nowait(1)
    queue.full()
    semaphore = aio.Semaphore(1)
    semaphore._value = 10**30
    await semaphore.acquire()
    semaphore.release()
    semaphore._value = 0
    waiter = asyncio.futures._PyFuture()
    semaphore._waiters = type(semaphore._waiters or [])([waiter])
    repr(semaphore)
    semaphore.release()
    lock = aio.Lock()
    lock._locked = True
    lock._waiters = [asyncio.futures._PyFuture()]
    lock.release()
    _core._loops_run()


class Fussy(aio.Semaphore):
    """Its methods are looked up."""

    def _wake_up_next(self):
        return super()._wake_up_next()


class Several(aio.Queue):
    def _init(self, maxsize):
        self._queue = []

    def _put(self, item):
        self._queue.append(item)

    def _get(self):
        return self._queue.pop()

    def _wakeup_next(self, waiters):
        super()._wakeup_next(waiters)


@with_coroutine
async def methods_of_subclasses():
    semaphore = Fussy(1)
    async with semaphore:
        waits = asyncio.ensure_future(semaphore.acquire())
        await aio.sleep(0)
        repr(semaphore)
    await waits
    semaphore.release()
    queue = Several(1)
    puts = [asyncio.ensure_future(queue.put(n)) for n in range(3)]
    await aio.sleep(0)
    puts[1].cancel()
    queue.get_nowait()
    await puts[2]
    queue.get_nowait()
    gets = [asyncio.ensure_future(queue.get()) for _ in range(2)]
    await aio.sleep(0)
    queue.put_nowait(1)
    gets[0].cancel()
    await told(gets)


@with_coroutine
async def groups_with_a_list():
    class Tasks(set):
        pass

    group = aio.TaskGroup()
    try:
        async with group:
            group._tasks = Tasks()
            group.create_task(ends(1))
            await aio.sleep(0)
            group._errors.append(KeyError())
    except* KeyError:
        pass
    try:
        async with aio.TaskGroup() as group:
            group._errors.append(KeyError())
    except* KeyError:
        pass
    with contextlib.suppress(RuntimeError):
        await aio.gather(closes(), ends(1))


async def closes():
    raise RuntimeError("it does not begin")


class Quiet(asyncio.futures._PyFuture):
    """Asked for its loop, it has an attribute only."""

    def __getattribute__(self, name):
        if name == "get_loop":
            raise AttributeError(name)
        return super().__getattribute__(name)


class Runs:
    def run(self, callback, *args):
        return callback(*args)


@with_coroutine
async def odd_loops_and_contexts():
    loop = asyncio.get_running_loop()
    future = Quiet()
    loop.call_soon(future.set_result, 1, context=Runs())
    await aio.gather(future, future)
    future = Quiet()
    shield = aio.shield(future)
    future.set_result(1)
    await shield

    def refuses(loop, coro, **how):
        raise RuntimeError("no tasks here")

    loop.set_task_factory(refuses)
    try:
        with contextlib.suppress(RuntimeError):
            aio.gather(ends(1))
    finally:
        loop.set_task_factory(None)


@with_coroutine
async def permits_given_back():
    semaphore = aio.Semaphore(0)
    repr(semaphore)
    waits = asyncio.ensure_future(semaphore.acquire())
    await aio.sleep(0)
    semaphore.release()
    waits.cancel()
    await told([waits])
    semaphore.locked()


@with_coroutine
async def a_connection_that_joins():
    loop = asyncio.get_running_loop()

    class Twice(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            self.transport.write(b"1")
            self.transport.write(b"2")

    server = await loop.create_server(Twice, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for _ in range(3):
            writer.write(b"?")
            await reader.readexactly(2)
        writer.close()
        await writer.wait_closed()


@with_coroutine
async def completed():
    loop = asyncio.get_running_loop()
    foreign, task = of_others(loop)
    never = loop.create_future()
    work = [ends(1), ends(KeyError(2)), task, foreign, never]
    loop.call_soon(foreign.set_result, 3)
    for each in aio.as_completed(work, timeout=0.001):
        with contextlib.suppress(*OWN):
            await each
    for each in aio.as_completed((ends(n) for n in range(2)), timeout=9):
        await each
    for each in aio.as_completed([never]):
        waits = asyncio.ensure_future(each)
        await aio.sleep(0)
        waits.cancel()
        with contextlib.suppress(*OWN):
            await waits
    if hasattr(aio.as_completed([]), "__anext__"):
        async for each in aio.as_completed([ends(1), ends(2)]):
            await each
        it = aio.as_completed([never], timeout=9)
        it.__getstate__(), it._timeout_handle
        it._done = asyncio.Queue()
        waits = asyncio.ensure_future(anext(it))
        await aio.sleep(0)
        it._handle_timeout()
        with contextlib.suppress(*OWN):
            await waits
        it._timeout_handle.cancel()
    with contextlib.suppress(TypeError):
        list(aio.as_completed([1]))


@with_coroutine
async def joined():
    queue = Stack(1)
    await queue.put(1)
    joining = asyncio.ensure_future(queue.join())
    await aio.sleep(0)
    await queue.get()
    queue.task_done()
    await joining


@with_coroutine
async def waited_for_tasks():
    loop = asyncio.get_running_loop()

    async def goes_on():
        try:
            await aio.sleep(9)
        except asyncio.CancelledError:
            await aio.sleep(0)
            raise

    for n_cancels in (1, 2):
        task = asyncio.ensure_future(aio.wait_for(goes_on(), 9))
        for _ in range(n_cancels):
            await aio.sleep(0)
            await aio.sleep(0)
            task.cancel()
        with contextlib.suppress(*OWN):
            await task
        await aio.sleep(0)
    future, _ = of_others(loop)
    with contextlib.suppress(*OWN):
        await aio.wait_for(future, 0.001)


class Pauses:
    def pause_reading(self):
        pass

    resume_reading = pause_reading


class Size(int):
    pass


async def fed(read, feed):
    task = asyncio.ensure_future(read())
    await aio.sleep(0)
    feed()
    await told([task])


@with_coroutine
async def readers_in_odd_states():
    loop = asyncio.get_running_loop()
    reader = aio.StreamReader(limit=10**30, loop=loop)
    reader.feed_data(bytes(9000))
    await reader.read(8900)
    reader._limit = 10
    await reader.read(100), await reader.read(0), await reader.readexactly(0)
    reader.set_transport(Pauses())
    reader.feed_data(bytes(21))
    with contextlib.suppress(ValueError):
        await reader.readline()
    reader.feed_data(bytes(21))
    await fed(lambda: reader.readexactly(22), lambda: reader.feed_data(b"1"))
    await fed(reader.read, lambda: setattr(reader, "_limit", 0))
    reader.feed_data(b"abc")
    reader._limit = Size(2)
    await fed(reader.read, reader.feed_eof)
    reader._limit = 2
    view = None

    def feed_and_view():
        nonlocal view
        reader._buffer.extend(b"xy")
        view = memoryview(reader._buffer)
        reader._wakeup_waiter()

    reader._eof = False
    with contextlib.suppress(BufferError):
        await fed(lambda: reader.read(2), feed_and_view)
    view = None

    def feed_oddly():
        other._limit = Size(2)
        other.feed_data(b"abcde")
        other.feed_eof()

    def fail_oddly():
        other._limit = Size(2)
        other.set_exception(asyncio.LimitOverrunError("too long", 0))

    other = aio.StreamReader(limit=10, loop=loop)
    await fed(other.read, feed_oddly)
    other = aio.StreamReader(limit=10, loop=loop)
    with contextlib.suppress(ValueError):
        await fed(other.readline, fail_oddly)
    loop.set_debug(True)
    ended = aio.StreamReader(loop=loop)
    loop.set_debug(False)
    ended.feed_eof()
    await ended.read(5), await ended.readline()
    with contextlib.suppress(asyncio.IncompleteReadError):
        await ended.readexactly(1)
