"""run_forever, run_until_complete, stop, and running where it isn't allowed."""

import asyncio
import contextvars
import threading

import pytest

from tests.support import run_once


def test_run_forever_runs_until_stop(loop):
    seen = []

    def tick(n):
        seen.append(n)
        if n == 3:
            loop.stop()
        else:
            loop.call_soon(tick, n + 1)

    loop.call_soon(tick, 1)
    assert loop.run_forever() is None
    assert seen == [1, 2, 3]


def test_stop_before_run_makes_one_iteration(loop):
    seen = []
    loop.call_soon(seen.append, "first")
    loop.call_soon(lambda: loop.call_soon(seen.append, "second"))
    loop.stop()
    loop.run_forever()
    assert seen == ["first"]
    run_once(loop)
    assert seen == ["first", "second"]


def test_stop_lets_the_iteration_finish(loop):
    seen = []
    loop.call_soon(loop.stop)
    loop.call_soon(seen.append, "same iteration")
    loop.call_soon(lambda: loop.call_soon(seen.append, "next"))
    loop.run_forever()
    assert seen == ["same iteration"]


def test_stop_twice_stops_once(loop):
    loop.call_soon(loop.stop)
    loop.call_soon(loop.stop)
    loop.run_forever()
    seen = []
    loop.call_soon(lambda: loop.call_soon(seen.append, 1))
    loop.call_soon(lambda: loop.call_soon(loop.stop))
    loop.run_forever()
    assert seen == [1]


def test_stop_from_a_timer(loop):
    loop.call_later(0.001, loop.stop)
    loop.run_forever()


def test_is_running_and_the_running_loop(loop):
    seen = []

    def look():
        seen.append((loop.is_running(), asyncio.get_running_loop() is loop))
        seen.append(loop._thread_id == threading.get_ident())

    loop.call_soon(look)
    run_once(loop)
    assert seen == [(True, True), True]
    assert loop._thread_id is None
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_run_until_complete_returns_the_result(loop):
    async def main():
        await asyncio.sleep(0)
        return "result"

    assert loop.run_until_complete(main()) == "result"


def test_run_until_complete_raises_what_was_raised(loop):
    class Mine(Exception):
        pass

    async def main():
        raise Mine("reason")

    with pytest.raises(Mine, match="reason"):
        loop.run_until_complete(main())


def test_run_until_complete_of_a_future(loop):
    future = loop.create_future()
    loop.call_later(0.001, future.set_result, 5)
    assert loop.run_until_complete(future) == 5


def test_run_until_complete_of_a_done_future(loop):
    future = loop.create_future()
    future.set_result(6)
    assert loop.run_until_complete(future) == 6


def test_run_until_complete_of_an_awaitable(loop):
    class Later:
        def __await__(self):
            yield from asyncio.sleep(0).__await__()
            return 7

    assert loop.run_until_complete(Later()) == 7


def test_run_until_complete_of_rubbish(loop):
    for rubbish in (None, 5, print, "text"):
        with pytest.raises(TypeError):
            loop.run_until_complete(rubbish)


def test_run_until_complete_of_another_loops_future(loop, loop_factory):
    other = loop_factory()
    future = other.create_future()
    with pytest.raises(ValueError, match="loop"):
        loop.run_until_complete(future)
    other.close()


def test_stop_before_the_future_is_done(loop):
    future = loop.create_future()
    loop.call_soon(loop.stop)
    with pytest.raises(RuntimeError, match="Event loop stopped before Future complet"):
        loop.run_until_complete(future)
    # The stopped run left no callback that would stop a later one.
    future.set_result(None)
    seen = []
    loop.call_soon(lambda: loop.call_soon(seen.append, 1))
    loop.call_soon(lambda: loop.call_soon(loop.stop))
    loop.run_forever()
    assert seen == [1]


def test_a_task_stopped_half_way_goes_on_later(loop):
    seen = []

    async def main():
        seen.append("a")
        loop.stop()
        await asyncio.sleep(0)
        seen.append("b")
        return "end"

    task = loop.create_task(main())
    with pytest.raises(RuntimeError, match="stopped before"):
        loop.run_until_complete(task)
    assert loop.run_until_complete(task) == "end"
    assert seen == ["a", "b"]


def test_asyncios_own_callback_is_what_ends_the_run(loop):
    # anyio finds the root task of a run by this function.
    callbacks = []

    async def main():
        task = asyncio.current_task()
        callbacks.extend(callback for callback, _ in task._callbacks)

    loop.run_until_complete(main())
    assert callbacks == [asyncio.base_events._run_until_complete_cb]


def test_cancelled_run(loop):
    async def main():
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(main())


@pytest.mark.parametrize("how", ["run_forever", "run_until_complete"])
def test_running_twice_is_refused(loop, how):
    async def main():
        if how == "run_forever":
            loop.run_forever()
        else:
            loop.run_until_complete(loop.create_future())

    with pytest.raises(RuntimeError, match="This event loop is already running"):
        loop.run_until_complete(main())
    assert loop.run_until_complete(asyncio.sleep(0, "still works")) == "still works"


def test_running_one_loop_inside_another_is_refused(loop, loop_factory):
    other = loop_factory()

    async def main():
        other.run_forever()

    text = "Cannot run the event loop while another loop is running"
    with pytest.raises(RuntimeError, match=text):
        loop.run_until_complete(main())
    assert not other.is_running()
    other.call_soon(other.stop)
    other.run_forever()
    other.close()


def test_running_in_two_threads_is_refused(loop):
    caught = []

    def again():
        with pytest.raises(RuntimeError, match="already running") as info:
            loop.run_forever()
        caught.append(type(info.value))
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=again)
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()
    assert caught == [RuntimeError]


def test_a_loop_may_move_between_threads(loop):
    seen = []

    def work():
        loop.call_soon(seen.append, threading.get_ident())
        run_once(loop)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    work()
    assert len(set(seen)) == 2


def test_asyncio_run_and_runner(loop_factory):
    async def add(a, b):
        await asyncio.sleep(0)
        return a + b

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(add(1, 2)) == 3
        assert runner.run(add(3, 4)) == 7


def test_a_runner_keeps_one_context(loop_factory):
    number = contextvars.ContextVar("number", default=0)

    async def step():
        number.set(number.get() + 1)
        return number.get()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert [runner.run(step()) for _ in range(3)] == [1, 2, 3]
        assert runner.run(step(), context=contextvars.copy_context()) == 1
    assert number.get() == 0


def test_run_cleans_up(run):
    seen = []

    async def background():
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def numbers():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            seen.append("generator closed")

    async def main():
        task = asyncio.create_task(background())
        generator = numbers()
        await anext(generator)
        await asyncio.to_thread(seen.append, "thread ran")
        return task, generator, asyncio.get_running_loop()

    task, _, loop = run(main())
    assert seen == ["thread ran", "cancelled", "generator closed"]
    assert task.cancelled()
    assert loop.is_closed()


def test_run_inside_run_is_refused(run):
    async def inner():
        raise AssertionError("must not run")

    async def main():
        coroutine = inner()
        with pytest.raises(RuntimeError, match="cannot be called from a running event"):
            asyncio.run(coroutine)
        coroutine.close()

    run(main())


def test_callbacks_run_after_base_exception(loop):
    """A run that ends with SystemExit goes on where it stopped."""
    seen = []

    def leave():
        raise SystemExit(3)

    for callback in (lambda: seen.append(1), leave, lambda: seen.append(2)):
        loop.call_soon(callback)
    loop.call_soon(loop.stop)
    with pytest.raises(SystemExit):
        loop.run_forever()
    assert seen == [1]
    assert not loop.is_running()
    loop.run_forever()
    assert seen == [1, 2]
