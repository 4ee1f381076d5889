"""sleep(), beside asyncio's, and the timers that are no handles."""

import asyncio
import contextvars
import gc
import inspect
import pickle
import sys
import warnings
import weakref

import pytest

import fastloop
from fastloop import aio
from tests.support import child_says, own_types

# ---- what it answers ----


@pytest.mark.parametrize("delay", [0, 0.0, -1, -0.5, False, 0.001, True])
def test_result(run, mod, delay):
    async def main():
        delay_s = delay if delay is not True else 0.002
        assert await mod.sleep(delay_s) is None
        assert await mod.sleep(delay_s, "result") == "result"
        assert await mod.sleep(delay_s, result="named") == "named"
        assert await mod.sleep(delay=delay_s) is None

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 13), reason="it is no error before")
def test_nan(run, mod):
    async def main():
        with pytest.raises(ValueError, match=r"Invalid delay: NaN \(not a number\)"):
            await mod.sleep(float("nan"))

    run(main())


@pytest.mark.parametrize("delay", ["1", None, 1j, object()])
def test_no_number(run, mod, delay):
    async def main():
        with pytest.raises(TypeError, match="not supported"):
            await mod.sleep(delay)

    run(main())


def test_other_numbers(run, mod):
    from decimal import Decimal
    from fractions import Fraction

    class Delay(float):
        def __le__(self, other):
            compared.append(other)
            return super().__le__(other)

    compared = []

    async def main():
        await mod.sleep(Delay(0.001))
        await mod.sleep(Fraction(1, 1000), 2)
        with pytest.raises(TypeError, match="unsupported operand"):
            await mod.sleep(Decimal("0.1"))
        with pytest.raises(OverflowError):
            await mod.sleep(10**400)

    run(main())
    assert compared == [0]


def test_wrong_arguments(mod):
    for args in ((), (1, 2, 3)):
        with pytest.raises(TypeError, match=r"sleep\(\) "):
            mod.sleep(*args)
    with pytest.raises(TypeError, match="unexpected keyword argument 'x'"):
        mod.sleep(1, x=2)


def test_outside_of_a_loop(mod):
    coro = mod.sleep(1)
    with pytest.raises(RuntimeError, match="no running event loop"):
        coro.send(None)
    coro = mod.sleep(0, "now")
    assert coro.send(None) is None
    with pytest.raises(StopIteration) as stop:
        coro.send("ignored")
    assert stop.value.value == "now"


def test_turns(run, mod):
    """One turn for sleep(0), whatever else is ready."""
    events = []

    async def player(name, number):
        for step in range(number):
            events.append((name, step))
            await mod.sleep(0)

    async def main():
        await asyncio.gather(player("a", 3), player("b", 2), player("c", 4))

    run(main())
    assert events == [
        ("a", 0), ("b", 0), ("c", 0), ("a", 1), ("b", 1), ("c", 1), ("a", 2),
        ("c", 2), ("c", 3),
    ]  # fmt: skip


# ---- as a coroutine ----


def test_as_a_coroutine(mod):
    assert inspect.iscoroutinefunction(mod.sleep) or sys.version_info < (3, 12)
    coro = mod.sleep(1)
    assert asyncio.iscoroutine(coro)
    assert inspect.isawaitable(coro)
    assert (coro.__name__, coro.__qualname__) == ("sleep", "sleep")
    assert str(inspect.signature(mod.sleep)) == "(delay, result=None)"
    assert mod.sleep.__module__ == "asyncio.tasks"
    coro.close()
    assert pickle.dumps(asyncio.sleep)


def test_taken_wherever_a_coroutine_is(run, mod):
    async def main():
        assert await asyncio.create_task(mod.sleep(0, 1)) == 1
        assert await asyncio.ensure_future(mod.sleep(0, 2)) == 2
        assert await asyncio.gather(mod.sleep(0, 3), mod.sleep(0.001, 4)) == [3, 4]
        assert await asyncio.wait_for(mod.sleep(0, 5), 5) == 5
        return await asyncio.shield(mod.sleep(0, 6))

    assert run(main()) == 6
    assert run(mod.sleep(0, 7)) == 7


def test_never_awaited(mod):
    with pytest.warns(RuntimeWarning, match="coroutine 'sleep' was never awaited"):
        mod.sleep(1)
        gc.collect()


def test_the_warning_has_its_coroutine(mod):
    """By which tracemalloc says where it was made."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        mod.sleep(1)
        gc.collect()
    (warning,) = found
    assert asyncio.iscoroutine(warning.source)
    warning.source.close()


@pytest.mark.parametrize("delay", [0, 0.001])
def test_awaited_twice(run, mod, delay):
    async def main():
        coro = mod.sleep(delay)
        await coro
        with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
            await coro

    run(main())


@pytest.mark.parametrize("delay", [0, 10])
def test_throw_and_close(run, mod, delay):
    async def main():
        loop = asyncio.get_running_loop()
        coro = mod.sleep(delay)
        coro.send(None)
        assert len(loop._scheduled) == bool(delay)
        with pytest.raises(KeyError, match="thrown"):
            coro.throw(KeyError("thrown"))
        live = [h for h in loop._scheduled if not h.cancelled()]
        assert live == []
        coro = mod.sleep(delay)
        coro.send(None)
        coro.close()
        coro.close()
        assert [h for h in loop._scheduled if not h.cancelled()] == []
        coro = mod.sleep(delay)
        coro.send(None)
        del coro
        gc.collect()
        assert [h for h in loop._scheduled if not h.cancelled()] == []

    run(main())


# ---- cancelled ----


@pytest.mark.parametrize("delay", [0, 10])
@pytest.mark.parametrize("n_turns", [0, 1])
def test_cancelled(run, mod, delay, n_turns):
    async def main():
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(mod.sleep(delay))
        for _ in range(n_turns):
            await asyncio.sleep(0)
        task.cancel("why")
        with pytest.raises(asyncio.CancelledError, match="why"):
            await task
        assert [h for h in loop._scheduled if not h.cancelled()] == []

    run(main())


def test_the_timer_fires_after_the_cancellation(run, mod):
    async def main():
        task = asyncio.create_task(mod.sleep(0.001))
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        until = loop.time() + 0.01
        while loop.time() < until:
            pass
        task.cancel()  # both are in one turn
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


def test_its_future_is_set_by_hand(run, mod, logs):
    """The timer then finds it done, as asyncio's does."""

    async def main():
        coro = mod.sleep(0.001, "timer")
        coro.send(None).set_result("hand")
        await asyncio.sleep(0.01)
        with pytest.raises(StopIteration) as stop:
            coro.send(None)
        assert stop.value.value == "hand"

    run(main())
    ((level, text),) = logs.take()
    assert level == "ERROR"
    assert text.startswith("Exception in callback _set_result_unless_cancelled(")


# ---- the loop and its timers ----


def test_order_beside_other_timers(fast_loop, mod):
    """Equal deadlines go in the order of the calls, also when the clock is replaced."""
    events = []

    async def sleeper(name, when, loop):
        await mod.sleep(when - loop.time())
        events.append(name)

    async def main():
        loop = asyncio.get_running_loop()
        now = loop.time()
        loop.time = lambda: now
        tasks = [asyncio.create_task(sleeper(i, now + 1, loop)) for i in range(3)]
        await asyncio.sleep(0)
        loop.call_at(now + 1, events.append, "handle")
        tasks += [asyncio.create_task(sleeper(9, now + 1, loop))]
        await asyncio.sleep(0)
        loop.time = lambda: now + 2
        await asyncio.gather(*tasks)
        del loop.time
        tasks = [asyncio.create_task(mod.sleep(0.02)) for i in range(4)]
        for number, task in enumerate(tasks):
            task.add_done_callback(lambda _, number=number: events.append(number))
        await asyncio.sleep(0)
        if look:
            assert len(loop._scheduled) == 4
        await asyncio.wait(tasks)

    for look in (False, True):  # noqa: B007
        fast_loop.run_until_complete(main())
        assert events == ["handle", 0, 1, 2, 9, 0, 1, 2, 3]
        events.clear()


def test_who_looks_sees_handles(run, mod):
    async def main():
        loop = asyncio.get_running_loop()
        before = loop.time()
        tasks = [asyncio.create_task(mod.sleep(delay, delay)) for delay in (50, 0.5, 5)]
        await asyncio.sleep(0)
        handles = sorted(loop._scheduled)
        assert [type(h).__name__ for h in handles] == ["TimerHandle"] * 3
        assert all(isinstance(h, asyncio.TimerHandle) for h in handles)
        assert [round(h.when() - before) for h in handles] in ([0, 5, 50], [1, 5, 50])
        assert "_set_result_unless_cancelled" in repr(handles[0])
        for handle, result in zip(handles, (0.5, 5, 50), strict=True):
            assert handle._args[0]._state == "PENDING"
            assert handle._args[1] == result
            assert handle._callback is asyncio.futures._set_result_unless_cancelled
        handles[1].cancel()
        handles[2]._run()  # as clocks of tests do
        done, _ = await asyncio.wait(tasks, timeout=0.6)
        assert sorted(task.result() for task in done) == [0.5, 50]
        tasks[2].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[2]
        assert [h for h in loop._scheduled if not h.cancelled()] == []

    run(main())


def test_a_clock_of_its_own(loop_factory, mod):
    """A day passes at once where loop.time() says so."""

    spare = loop_factory()
    spare.close()

    class Loop(type(spare)):
        now = 0.0

        def time(self):
            return self.now

        def call_at(self, when, callback, *args, **kwargs):
            calls.append(when)
            return super().call_at(when, callback, *args, **kwargs)

    calls = []
    loop = Loop()

    async def main():
        task = asyncio.create_task(mod.sleep(86400, "day"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done()
        loop.now += 86400.0
        return await task

    assert loop.run_until_complete(main()) == "day"
    assert calls == [86400.0]
    loop.close()


def test_call_later_is_replaced(loop, mod):
    calls = []
    call_later = loop.call_later

    def instead(delay, callback, *args, **kwargs):
        calls.append((delay, callback.__name__, args[1:]))
        return call_later(0, callback, *args, **kwargs)

    loop.call_later = instead
    assert loop.run_until_complete(mod.sleep(3600, "early")) == "early"
    assert calls == [(3600, "_set_result_unless_cancelled", ("early",))]


def test_create_future_is_replaced(loop, mod):
    class Future(asyncio.Future):
        pass

    made = []
    loop.create_future = lambda: made.append(Future(loop=loop)) or made[-1]
    assert loop.run_until_complete(mod.sleep(0.001, "result")) == "result"
    assert [future.result() for future in made] == ["result"]


def test_debug_mode(run, mod):
    async def main():
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(mod.sleep(10))
        await asyncio.sleep(0)
        (handle,) = loop._scheduled
        assert handle._source_traceback
        task.cancel()
        await asyncio.wait([task])
        return await mod.sleep(0.001, 1)

    assert run(main(), debug=True) == 1


def test_the_loop_is_closed_while_it_sleeps(loop_factory, mod):
    loop = loop_factory()
    coro = mod.sleep(10, "never")

    async def main():
        coro.send(None)

    loop.run_until_complete(main())
    loop.close()
    coro.close()


def test_the_loop_dies_while_it_sleeps(loop_factory, mod):
    loop = loop_factory()
    coros = [mod.sleep(delay, object()) for delay in (0.5, 10, 1000)]

    async def main():
        for coro in coros:
            coro.send(None)

    loop.run_until_complete(main())
    with pytest.warns(ResourceWarning):
        del loop
        gc.collect()
        for coro in coros:
            coro.close()
        coros.clear()
        gc.collect()


def test_the_loop_keeps_a_sleeper_alive(run, mod):
    """Its timer holds the future, that the task, as asyncio's does."""

    async def main():
        task = asyncio.create_task(sleeper())
        seen = weakref.ref(task)
        del task
        await asyncio.sleep(0)
        gc.collect()
        assert seen() is not None
        await asyncio.sleep(0.02)
        assert events == ["awake"]
        gc.collect()
        assert seen() is None

    async def sleeper():
        await mod.sleep(0.005)
        events.append("awake")

    events = []
    run(main())


def test_the_result_is_let_go(run, mod):
    class Result:
        pass

    async def main():
        result = Result()
        seen = weakref.ref(result)
        task = asyncio.create_task(mod.sleep(10, result))
        await asyncio.sleep(0)
        del result
        gc.collect()
        assert seen() is not None
        task.cancel()
        await asyncio.wait([task])
        del task
        gc.collect()
        assert seen() is None

    run(main())


def test_timers_are_counted(fast_loop):
    async def main():
        tasks = [asyncio.create_task(aio.sleep(5)) for _ in range(3)]
        await aio.sleep(0)
        assert fast_loop.stats()["timers"] == 3
        tasks[0].cancel()
        await aio.sleep(0)
        assert fast_loop.stats()["timers"] == 2
        assert len(fast_loop._scheduled) == 2
        assert fast_loop.stats()["timers"] == 2
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert fast_loop.stats()["timers"] == 0

    fast_loop.run_until_complete(main())


def test_a_run_inside_of_a_step(fast_loop):
    """Who slept before waits where others are to wait."""
    events = []

    async def sleeper(name, delay):
        await aio.sleep(delay)
        events.append(name)

    async def main():
        old = asyncio.create_task(sleeper("old", 0.001))
        await aio.sleep(0)
        fast_loop.run_nested(sleeper("inner", 0.02), others="wait")
        events.append("outer")
        await old
        old = asyncio.create_task(sleeper("old", 0.001))
        await aio.sleep(0)
        fast_loop.run_nested(sleeper("inner", 0.02), others="run")
        await old

    fast_loop.run_until_complete(main())
    assert events == ["inner", "outer", "old", "old", "inner"]


def test_foreign_loops():
    pytest.importorskip("uvloop")
    source = """
import asyncio, uvloop
from fastloop import aio

async def main():
    assert await aio.sleep(0, 1) == 1
    assert await aio.sleep(0.001, 2) == 2
    task = asyncio.create_task(aio.sleep(10))
    await aio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    print(task.cancelled())

loop = uvloop.new_event_loop()
loop.run_until_complete(main())
loop.close()
"""
    assert child_says("asyncio", source).strip() == "True"


def test_names():
    assert aio.sleep is not asyncio.sleep
    assert aio.sleep.__doc__ == asyncio.sleep.__doc__
    fastloop.accelerate()
    try:
        assert asyncio.sleep is aio.sleep is asyncio.tasks.sleep
        assert pickle.loads(pickle.dumps(asyncio.sleep)) is aio.sleep
    finally:
        fastloop.decelerate()
    assert asyncio.sleep is asyncio.tasks.sleep is not aio.sleep


@own_types
def test_asyncios_own_timers_are_run_in_c(fast_loop):
    called = []

    def profile(frame, event, arg):
        if event == "call":
            called.append(frame.f_code.co_name)

    async def main():
        await asyncio.sleep(0.001)
        assert await asyncio.sleep(0.001, "result") == "result"
        await asyncio.wait_for(asyncio.sleep(0.001), 5)
        task = asyncio.create_task(asyncio.sleep(0.001))
        await asyncio.sleep(0)
        fast_loop.call_soon(task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(fast_loop.create_future(), 0.001)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001) as timeout:
                await fast_loop.create_future()
        assert timeout.expired()
        assert timeout._timeout_handler is None

    sys.setprofile(profile)
    try:
        fast_loop.run_until_complete(main())
    finally:
        sys.setprofile(None)
    assert "main" in called
    assert "_set_result_unless_cancelled" not in called
    assert "_on_timeout" not in called


class Waited(asyncio.Future):
    """Of another kind: what its cancel() does is the program's."""

    context = contextvars.ContextVar("context", default="none")

    def cancel(self, msg=None):
        self.seen = self.context.get()
        return super().cancel(msg)


def test_asyncios_own_timeout_and_what_it_cancels(loop, run, logs):
    """It is run as it stands where anything of it is not as it was made."""

    async def main():
        future = Waited()
        Waited.context.set("entered")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                Waited.context.set("awaited")
                await future
        assert future.seen == "entered"
        async with asyncio.timeout(0.001) as timeout:
            timeout._state = asyncio.timeouts._State.EXITED
            await asyncio.sleep(0.01)
            assert timeout._timeout_handler is not None
            timeout._state = asyncio.timeouts._State.ENTERED
        async with asyncio.timeout(0.001) as timeout:
            task, timeout._task = timeout._task, asyncio.create_task(asyncio.sleep(5))
            await asyncio.wait([timeout._task])
            assert timeout._task.cancelled()
            timeout._task = task
            timeout._state = asyncio.timeouts._State.ENTERED
        patched = asyncio.timeout(0.001)
        patched._on_timeout = done = asyncio.get_running_loop().create_future()
        patched._on_timeout = lambda: done.set_result("called")
        async with patched:
            assert await done == "called"

    run(main())
    ((level, text),) = logs.take()
    assert level == "ERROR"
    assert text.startswith("Exception in callback Timeout._on_timeout()")


def test_asyncios_own_timer_on_a_future_that_is_done(loop, logs):
    """Its callback is then called as it is."""

    async def main():
        coro = asyncio.sleep(0.001, "timer")
        coro.send(None).set_result("hand")
        await asyncio.sleep(0.01)
        coro.close()

    loop.run_until_complete(main())
    ((level, text),) = logs.take()
    assert level == "ERROR"
    assert text.startswith("Exception in callback _set_result_unless_cancelled(")
