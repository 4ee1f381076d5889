"""Debug mode: what it refuses, what it logs, what it remembers."""

import asyncio
import functools
import gc
import logging
import re
import sys
import threading
import time
from unittest import mock

import pytest

from tests.conftest import factory_of
from tests.support import at_speed, child_says, plain, run_child, run_once, run_until


@pytest.fixture
def loop(loop):
    loop.set_debug(True)
    yield loop
    if not loop.is_closed():
        loop.set_debug(False)


def slow(*args):
    time.sleep(0.02)


async def slow_step():
    time.sleep(0.02)
    await asyncio.sleep(0)


class TestOnAndOff:
    def test_get_and_set(self, loop):
        assert loop.get_debug() is True
        assert loop.set_debug(False) is None
        assert loop.get_debug() is False

    @pytest.mark.parametrize("debug", [None, False, True])
    def test_asyncio_run(self, run, debug):
        async def main():
            return asyncio.get_running_loop().get_debug()

        assert run(main(), debug=debug) is bool(debug)

    @pytest.mark.parametrize(
        ("flags", "env"),
        [
            (("-X", "dev"), {}),
            ((), {"PYTHONASYNCIODEBUG": "1"}),
        ],
        ids=["-X dev", "environment"],
    )
    def test_from_outside(self, loop_kind, flags, env):
        source = "loop = new_event_loop(); print(loop.get_debug()); loop.close()"
        assert child_says(loop_kind, source, flags=flags, **env) == "True\n"

    def test_off_by_default(self, loop_kind):
        source = "loop = new_event_loop(); print(loop.get_debug()); loop.close()"
        assert child_says(loop_kind, source) == "False\n"
        assert child_says(loop_kind, source, PYTHONASYNCIODEBUG="") == "False\n"

    def test_switched_while_running(self, loop):
        async def main():
            loop.set_debug(False)
            await asyncio.sleep(0)
            off = sys.get_coroutine_origin_tracking_depth()
            loop.set_debug(True)
            await asyncio.sleep(0)
            on = sys.get_coroutine_origin_tracking_depth()
            return off, on

        off, on = loop.run_until_complete(main())
        assert off == 0
        assert on > 0
        assert sys.get_coroutine_origin_tracking_depth() == 0


def test_a_new_loop_names_its_selector(loop_kind, caplog):
    with caplog.at_level(logging.DEBUG, "asyncio"):
        factory_of(loop_kind)().close()
    assert caplog.messages == ["Using selector: EpollSelector"]


class TestSlowCallbacks:
    def test_the_limit_is_100_ms(self, loop):
        assert loop.slow_callback_duration == 0.1
        loop.slow_callback_duration = 3
        assert loop.slow_callback_duration == 3

    def test_a_callback(self, loop, logs):
        loop.slow_callback_duration = 0.01
        loop.call_soon(slow, "argument")
        run_once(loop)
        [(level, text)] = logs.take()
        assert level == "WARNING"
        pattern = (
            r"Executing <Handle slow\('argument'\) at .*test_debug\.py:\d+ "
            r"created at .*test_debug\.py:\d+> took 0\.\d{3} seconds"
        )
        assert re.fullmatch(pattern, text)

    def test_told_to_the_logger_that_is_there(self, loop):
        loop.slow_callback_duration = 0.01
        with mock.patch("asyncio.base_events.logger") as logger:
            loop.call_soon(slow)
            run_once(loop)
        assert logger.warning.call_count == 1

    def test_a_timer(self, loop, logs):
        loop.slow_callback_duration = 0.01
        loop.call_later(0, slow)
        run_once(loop)
        assert logs.take_text().startswith("Executing <TimerHandle when=")

    def test_a_reader(self, loop, logs):
        import socket

        left, right = socket.socketpair()
        right.send(b"x")
        loop.slow_callback_duration = 0.01
        loop.add_reader(left, slow)
        run_once(loop)
        loop.remove_reader(left)
        left.close()
        right.close()
        assert "Executing <Handle slow() at" in logs.take_text()

    @at_speed  # else other steps are slow, too
    def test_a_task_step(self, loop, logs):
        loop.slow_callback_duration = 0.01
        task = loop.create_task(slow_step(), name="sleepy")
        loop.run_until_complete(task)
        pattern = (
            r"Executing <Task pending name='sleepy' coro=<slow_step\(\) running at "
            r".*test_debug\.py:\d+> cb=\[.*\] created at .*test_debug\.py:\d+> "
            r"took 0\.\d{3} seconds"
        )
        assert re.fullmatch(pattern, logs.take_text())

    def test_a_step_that_ends_the_task(self, loop, logs):
        async def last():
            time.sleep(0.02)

        loop.slow_callback_duration = 0.01
        loop.run_until_complete(loop.create_task(last()))
        assert "Executing <Task finished name=" in logs.take_text()

    def test_a_callback_that_raises(self, loop, logs):
        def fail():
            time.sleep(0.02)
            raise ValueError("slow and wrong")

        loop.slow_callback_duration = 0.01
        loop.call_soon(fail)
        run_once(loop)
        levels = [level for level, _ in logs.take()]
        assert levels == ["ERROR", "WARNING"]

    def test_fast_callbacks_are_not_logged(self, loop, logs):
        loop.slow_callback_duration = 10
        loop.call_soon(slow)
        run_once(loop)
        assert logs.take() == []

    def test_not_outside_debug_mode(self, loop, logs):
        loop.set_debug(False)
        loop.slow_callback_duration = 0.001
        loop.call_soon(slow)
        run_once(loop)
        assert logs.take() == []

    def test_an_assigned_clock_measures(self, loop, logs):
        now = 0.0
        loop.time = lambda: now

        def callback():
            nonlocal now
            now += 5

        loop.call_soon(callback)
        run_once(loop)
        assert "took 5.000 seconds" in logs.take_text()

    def test_a_step_over_100_ms(self, loop_factory, logs):
        """As the documents show it."""

        async def main():
            time.sleep(0.11)

        with asyncio.Runner(debug=True, loop_factory=loop_factory) as runner:
            runner.run(main())
        [(_, text)] = logs.take()
        assert re.search(r"Executing <Task .* took 0\.1\d\d seconds", text)


class TestWrongThread:
    @pytest.mark.parametrize("name", ["call_soon", "call_later", "call_at"])
    def test_refused(self, loop, name):
        caught = []

        def work():
            args = () if name == "call_soon" else (0,)
            try:
                getattr(loop, name)(*args, print)
            except RuntimeError as exc:
                caught.append(str(exc))
            loop.call_soon_threadsafe(loop.stop)

        thread = threading.Thread(target=work)
        loop.call_soon(thread.start)
        loop.run_forever()
        thread.join()
        assert caught == [
            "Non-thread-safe operation invoked on an event loop other than the "
            "current one"
        ]

    def test_allowed_while_the_loop_does_not_run(self, loop):
        seen = []
        thread = threading.Thread(target=loop.call_soon, args=(seen.append, 1))
        thread.start()
        thread.join()
        run_once(loop)
        assert seen == [1]


class TestWrongCallbacks:
    NAMES = ("call_soon", "call_soon_threadsafe", "call_later", "call_at")

    @pytest.mark.parametrize("name", NAMES)
    def test_no_callable(self, loop, name):
        args = (0,) if name in ("call_later", "call_at") else ()
        where = "call_at" if name == "call_later" else name
        with pytest.raises(TypeError) as info:
            getattr(loop, name)(*args, 5)
        assert str(info.value) == (
            f"a callable object was expected by {where}(), got 5"
        )

    @pytest.mark.parametrize("name", NAMES)
    def test_coroutines(self, loop, name):
        args = (0,) if name in ("call_later", "call_at") else ()
        where = "call_at" if name == "call_later" else name
        coroutine = slow_step()
        for callback in (slow_step, coroutine):
            with pytest.raises(TypeError) as info:
                getattr(loop, name)(*args, callback)
            assert str(info.value) == f"coroutines cannot be used with {where}()"
        coroutine.close()


class TestSourceTracebacks:
    def last_frame(self, handle):
        frame = handle._source_traceback[-1]
        return frame.name, frame.filename

    @pytest.mark.parametrize("name", TestWrongCallbacks.NAMES)
    def test_handles_know_where_they_were_made(self, loop, name):
        args = (0,) if name in ("call_later", "call_at") else ()
        handle = getattr(loop, name)(*args, slow)
        assert self.last_frame(handle) == (
            "test_handles_know_where_they_were_made",
            __file__,
        )
        assert f"created at {__file__}:" in repr(handle)
        handle.cancel()
        assert f"created at {__file__}:" in repr(handle)
        assert "slow()" in repr(handle)

    def test_the_stack_is_limited(self, loop):
        def deep(n):
            return deep(n - 1) if n else loop.call_soon(print)

        # Ten frames, less those of asyncio's own methods.
        assert 7 <= len(deep(50)._source_traceback) <= 10

    def test_reports_say_where(self, loop, logs):
        def fail():
            raise ValueError("wrong")

        handle = loop.call_soon(fail)
        run_once(loop)
        text = logs.take_text()
        assert "Object created at (most recent call last):" in text
        assert "test_reports_say_where" in text
        del handle

    def test_the_context_has_the_traceback(self, loop):
        contexts = []
        loop.set_exception_handler(lambda loop, context: contexts.append(context))
        handle = loop.call_soon(lambda: 1 / 0)
        run_once(loop)
        assert contexts[0]["source_traceback"] is handle._source_traceback
        contexts.clear()

    def test_reports_by_hand_name_the_handle(self, loop, logs):
        """What is reported from within a callback tells where that was made."""
        loop.call_soon(loop.call_exception_handler, {"message": "from a callback"})
        run_once(loop)
        text = logs.take_text()
        assert text.startswith("from a callback\nhandle_traceback: Handle created at")
        assert "test_reports_by_hand_name_the_handle" in text

    def test_futures_and_tasks(self, loop):
        loop.slow_callback_duration = 10
        future = loop.create_future()
        task = loop.create_task(slow_step())
        for made in (future, task):
            names = [frame.name for frame in made._source_traceback]
            assert "test_futures_and_tasks" in names[-2:]
        loop.run_until_complete(task)

    def test_none_outside_debug_mode(self, loop):
        loop.set_debug(False)
        assert loop.call_soon(slow)._source_traceback is None
        assert loop.create_future()._source_traceback is None


class TestReprs:
    def texts(self, loop):
        """Reprs of handles in each state, without what may differ."""

        class Thing:
            def method(self, *args):
                pass

            def __repr__(self):
                return "<a thing>"

        def handles():
            yield loop.call_soon(slow, 1, "text", [1, 2, 3])
            yield loop.call_soon(slow, "x" * 500)
            yield loop.call_at(7.5, slow, 1)
            yield loop.call_soon(Thing().method, 2)
            yield loop.call_soon(print, 3)
            yield loop.call_soon(functools.partial(slow, 4), 5)
            yield loop.call_soon(functools.partial(print, 6, end=""), 7)
            yield loop.call_soon(Thing)
            yield loop.call_soon(lambda: None)
            yield loop.call_soon(int, 9)

        for handle in handles():
            yield repr(handle)
            handle.cancel()
            yield repr(handle)

    @pytest.mark.parametrize("debug", [True, False])
    def test_of_handles(self, loop, debug):
        asyncios = asyncio.new_event_loop()
        asyncios.set_debug(debug)
        expected = [plain(text) for text in self.texts(asyncios)]
        asyncios.close()
        loop.set_debug(debug)
        got = [plain(text) for text in self.texts(loop)]
        assert got == expected
        assert ("created at" in expected[0]) is debug

    def test_of_a_handle_that_has_run(self, loop):
        handle = loop.call_soon(slow)
        before = repr(handle)
        run_once(loop)
        assert repr(handle) == before


class TestCoroutineOrigins:
    def test_a_coroutine_never_awaited_tells_where_it_was_made(self, loop_kind):
        source = """
import asyncio, gc
async def forgotten():
    pass
async def main():
    forgotten()
    gc.collect()
with asyncio.Runner(debug=True, loop_factory=new_event_loop) as runner:
    runner.run(main())
"""
        done = run_child(loop_kind, source, flags=("-W", "always"))
        assert done.returncode == 0
        text = "RuntimeWarning: coroutine 'forgotten' was never awaited"
        assert text in done.stderr
        assert "Coroutine created at (most recent call last)" in done.stderr

    def test_the_depth_is_restored(self, loop):
        assert sys.get_coroutine_origin_tracking_depth() == 0
        sys.set_coroutine_origin_tracking_depth(3)
        try:
            depths = []
            loop.call_soon(
                lambda: depths.append(sys.get_coroutine_origin_tracking_depth())
            )
            run_once(loop)
            assert depths[0] >= 10
            assert sys.get_coroutine_origin_tracking_depth() == 3
        finally:
            sys.set_coroutine_origin_tracking_depth(0)


def test_async_generators_in_debug_mode(run):
    """Finalizers of generators ran into trouble in another loop's debug mode."""

    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)

    async def main():
        for _ in range(20):
            generator = numbers()
            async for _ in generator:
                break
            del generator
        gc.collect()
        await asyncio.sleep(0.001)

    run(main(), debug=True)


def test_everything_runs_in_debug_mode(run):
    """The slow, careful paths give the same results."""

    async def child(n):
        await asyncio.sleep(0.001)
        return n

    async def main():
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 10
        seen = []
        loop.call_later(0, seen.append, 1)
        results = await asyncio.gather(*(child(n) for n in range(10)))
        results.append(await asyncio.to_thread(int, 10))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(10), 0.001)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"echo\n")
        results.append(await reader.readline())
        writer.close()
        await writer.wait_closed()
        return results, seen

    async def echo(reader, writer):
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def outer():
        nonlocal server
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            return await main()

    server = None
    results, seen = run(outer(), debug=True)
    assert results == [*range(11), b"echo\n"]
    assert seen == [1]


def test_close_in_debug_mode(loop):
    loop.call_soon(slow)
    loop.close()
    assert loop.is_closed()


def test_timers_in_debug_mode(loop):
    seen = []
    loop.slow_callback_duration = 10
    handles = [loop.call_later(0.001, seen.append, n) for n in range(10)]
    for handle in handles[::2]:
        handle.cancel()
    run_until(loop, lambda: len(seen) == 5)
    assert sorted(seen) == [1, 3, 5, 7, 9]
