"""The private names of asyncio that real packages read, write or call, by name.

One test for each habit; the packages that have it are named.
"""

import asyncio
import asyncio.base_events
import sys
import threading
import weakref

import pytest


@pytest.fixture
def task(loop):
    """A task of the loop's that waits for a future of the loop's."""

    async def waits(future):
        await future

    task = loop.create_task(waits(loop.create_future()))
    loop.run_until_complete(asyncio.sleep(0))
    yield task
    task.cancel()


def test_what_a_cancel_scope_reads(loop, task):
    """anyio, aioconsole."""
    assert task._must_cancel is False
    assert isinstance(task._fut_waiter, asyncio.Future)
    assert not task._fut_waiter.done() and not task._fut_waiter.cancelled()
    task.cancel()
    assert task._fut_waiter is None or task._fut_waiter.cancelled()


def test_a_cancellation_that_waits_for_the_task_to_start(loop):
    """anyio."""

    async def nothing():
        pass

    task = loop.create_task(nothing())
    assert task._fut_waiter is None
    task.cancel()
    assert task._must_cancel is True


def test_the_callbacks_of_a_task(loop, task):
    """anyio, fsspec: None, or a list of pairs."""
    assert task._callbacks is None
    task.add_done_callback(print)
    ((callback, context),) = task._callbacks
    assert callback is print and context is not None
    task.remove_done_callback(print)


def test_the_callback_of_run_until_complete(loop):
    """anyio looks for asyncio's own function among a root task's callbacks."""

    async def look():
        callbacks = asyncio.current_task()._callbacks
        return [callback for callback, _ in callbacks]

    expected = asyncio.base_events._run_until_complete_cb
    assert loop.run_until_complete(look()) == [expected]


def test_the_loop_and_the_coroutine_of_a_task(loop, task):
    """anyio, prefect, aioconsole; fsspec, mode, aiomonitor."""
    assert task._loop is loop and task._fut_waiter._loop is loop
    assert task._coro is task.get_coro()
    assert task._coro.__name__ == "waits"


@pytest.mark.parametrize("end", ["pending", "result", "exception", "cancelled"])
def test_the_state_of_a_future(loop, end):
    """aiomonitor, async_lru."""
    future = loop.create_future()
    error = ValueError()
    if end == "result":
        future.set_result(1)
    elif end == "exception":
        future.set_exception(error)
        future.exception()
    elif end == "cancelled":
        future.cancel()
    states = {"pending": "PENDING", "cancelled": "CANCELLED"}
    assert future._state == states.get(end, "FINISHED")
    assert future._exception is (error if end == "exception" else None)
    assert future._result == (1 if end == "result" else None)


def test_where_a_future_was_made(loop):
    """Sentry, tornado, aiohttp."""
    assert loop.create_future()._source_traceback is None
    loop.set_debug(True)
    traceback = loop.create_future()._source_traceback
    assert "test_where_a_future_was_made" in [frame.name for frame in traceback[-2:]]
    del traceback[-1]
    loop.set_debug(False)


def test_settings_of_a_task(loop, task):
    """tornado, asyncio.gather, nest_asyncio; asyncio's futures of other loops."""
    assert task._log_destroy_pending is True
    task._log_destroy_pending = False
    assert task._log_destroy_pending is False
    task._asyncio_future_blocking = True
    assert task._asyncio_future_blocking is True
    task._asyncio_future_blocking = False
    assert task._log_traceback is False
    assert task._cancel_message is None
    assert isinstance(task._make_cancelled_error(), asyncio.CancelledError)
    if sys.version_info >= (3, 14):
        assert task._asyncio_awaited_by is None


def test_attributes_of_ones_own(loop, task):
    """playwright, aiomonitor, faust; weak references: anyio, tornado."""
    task.__pw_caller_frame__ = "kept"
    task._beacon = 1
    assert (task.__pw_caller_frame__, task._beacon) == ("kept", 1)
    for thing in (task, loop.create_future(), loop):
        assert weakref.ref(thing)() is thing
        assert thing in {thing}


def test_foreign_tasks_run(loop):
    """aiomonitor, granian, temporalio, faust subclass asyncio's types."""

    class Future(asyncio.Future):
        pass

    class Task(asyncio.Task):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self._orig_coro = args[0]

    async def works():
        future = Future(loop=loop)
        loop.call_soon(future.set_result, 42)
        return await future

    task = Task(works(), loop=loop)
    assert loop.run_until_complete(task) == 42
    assert task._orig_coro is task._coro


def test_what_it_is_an_instance_of(loop, task):
    """OpenTelemetry, debugpy, fsspec; tornado, anyio; motor, bokeh; aiohttp."""
    assert isinstance(task, asyncio.Task) and isinstance(task, asyncio.Future)
    assert isinstance(task._fut_waiter, asyncio.Future)
    assert isinstance(loop, asyncio.AbstractEventLoop)
    assert isinstance(loop, asyncio.BaseEventLoop)
    handle = loop.call_soon(print)
    handle.cancel()
    assert isinstance(handle, asyncio.Handle)


def test_attributes_of_the_loop_are_assigned(loop):
    """Home Assistant, Sentry, New Relic, temporalio."""
    made = []
    original = loop.create_task

    def create_task(*args, **kwargs):
        made.append(args)
        return original(*args, **kwargs)

    async def makes():
        await asyncio.create_task(asyncio.sleep(0))

    loop.create_task = create_task
    loop.run_until_complete(makes())
    assert len(made) == 2
    loop.time = lambda: 42.0
    assert loop.time() == 42.0
    del loop.time, loop.create_task
    for name in ("close", "set_default_executor", "_a_marker"):
        setattr(loop, name, made)
        assert getattr(loop, name) is made
        delattr(loop, name)


def test_the_thread_of_a_running_loop(loop):
    """Home Assistant reads it in the loop's dictionary, nest_asyncio as attribute."""

    async def look():
        return loop._thread_id, loop.__dict__["_thread_id"]

    assert loop.run_until_complete(look()) == (threading.get_ident(),) * 2
    assert loop._thread_id is None


def test_pending_timers(loop):
    """Home Assistant, at its end."""
    handle = loop.call_later(3600, print)
    assert list(loop._scheduled) == [handle]
    (found,) = loop._scheduled
    assert found._callback is print and found._args == () and not found._cancelled
    assert found._when == handle.when()
    handle.cancel()


def test_state_that_is_looked_at(loop):
    """prompt_toolkit, mode; sanic sets the last."""
    assert loop._signal_handlers == {}
    assert loop._default_executor is None
    assert loop._executor_shutdown_called is False
    assert loop._debug is False
    loop._check_closed()
    loop._check_callback(print, "call_soon")
    with pytest.raises(TypeError):
        loop._check_callback(None, "call_soon")
    loop._write_to_self()
    loop._call_soon(int, ("1",), None).cancel()
    loop._stopping = False
    assert loop._stopping is False


def test_a_handle_can_be_run(loop):
    """aiodebug, logfire, playwright, qasync."""
    seen = []
    handle = loop.call_soon(seen.append, 1)
    assert (handle._callback, handle._args) == (seen.append, (1,))
    assert handle._context is not None and handle._source_traceback is None
    handle._run()
    handle.cancel()
    assert seen == [1]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 has _all_tasks alone")
def test_the_registries_of_tasks(loop):
    """ddtrace, nest_asyncio."""

    async def look():
        task = asyncio.current_task()
        registered = getattr(asyncio.tasks, "_scheduled_tasks", None)
        known = registered is None or task in registered or sys.version_info >= (3, 14)
        return known and task in asyncio.all_tasks()

    assert loop.run_until_complete(look())
    assert hasattr(asyncio.tasks, "_eager_tasks")
    assert isinstance(asyncio.tasks._current_tasks, dict)


def test_a_future_that_was_never_initialized(loop):
    """granian's own future leaves out asyncio's `__init__`."""

    class Future(asyncio.Future):
        def __init__(self, value):
            self.value = value

        def __await__(self):
            return self.value
            yield

    async def waits():
        return await Future(42)

    assert loop.run_until_complete(waits()) == 42


def test_methods_that_drivers_look_for(loop):
    """asyncpg, telethon; aiohttp asks a transport whether TLS may go over it."""
    assert callable(loop.start_tls) and callable(loop.sock_connect)

    async def connect():
        async with await asyncio.start_server(
            lambda _, writer: writer.close(), "127.0.0.1", 0
        ) as server:
            address = server.sockets[0].getsockname()
            reader, writer = await asyncio.open_connection(*address)
            compatible = writer.transport._start_tls_compatible
            await reader.read()
            writer.close()
            await writer.wait_closed()
            return compatible

    assert loop.run_until_complete(connect()) is True
