"""timeout(), timeout_at(), Timeout and wait_for(), beside asyncio's."""

import asyncio
import contextvars
import copy
import gc
import inspect
import pickle
import re
import sys
import traceback
import warnings
import weakref

import pytest

import fastloop
from fastloop import aio
from tests.support import child_says, late_3_11


def told(error):
    """An exception, with those it came of."""
    chain = []
    while error is not None:
        cause = type(error.__cause__).__name__
        chain.append(
            (type(error).__name__, str(error), cause, error.__suppress_context__)
        )
        error = error.__context__
    return chain


async def outcome(awaitable):
    """What awaiting it comes to."""
    try:
        return await awaitable
    except BaseException as error:
        return told(error)


def live(loop):
    return [handle for handle in loop._scheduled if not handle.cancelled()]


# ---- the class ----


def test_a_subclass_of_asyncios():
    assert issubclass(aio.Timeout, asyncio.Timeout)
    assert isinstance(aio.timeout_at(None), aio.Timeout)
    assert aio.Timeout.__name__ == aio.Timeout.__qualname__ == "Timeout"
    for member in vars(asyncio.Timeout):
        assert hasattr(aio.Timeout, member), member


def test_signatures():
    for name in ("timeout", "timeout_at", "wait_for"):
        ours, theirs = getattr(aio, name), getattr(asyncio, name)
        assert inspect.signature(ours) == inspect.signature(theirs)
        assert ours.__doc__ == theirs.__doc__
        assert ours.__name__ == name
    assert not inspect.iscoroutinefunction(aio.timeout)
    if sys.version_info >= (3, 12):
        assert inspect.iscoroutinefunction(aio.wait_for)


@late_3_11
def test_states(run, mod):
    async def main():
        loop = asyncio.get_running_loop()
        timeout = mod.timeout_at(None)
        seen = [(repr(timeout), timeout.when(), timeout.expired())]
        with pytest.raises(RuntimeError, match=r"^Timeout has not been entered$"):
            timeout.reschedule(None)
        async with timeout as entered:
            assert entered is timeout
            seen.append((repr(timeout), timeout.when(), timeout.expired()))
            timeout.reschedule(loop.time() + 10)
            seen.append(re.sub(r"\d+\.\d+", "N", repr(timeout)))
            assert timeout._timeout_handler in loop._scheduled
            assert timeout._task is asyncio.current_task()
            timeout.reschedule(None)
            assert timeout._timeout_handler is None
            timeout.reschedule(when=loop.time() + 5)
        assert live(loop) == []
        seen.append((repr(timeout), timeout.expired()))
        for _ in range(2):
            with pytest.raises(RuntimeError) as error:
                timeout.reschedule(None)
            seen.append(str(error.value))
        with pytest.raises(RuntimeError, match=r"^Timeout has already been entered$"):
            await timeout.__aenter__()
        timeout = mod.timeout(0)
        with pytest.raises(TimeoutError):
            async with timeout:
                await asyncio.sleep(5)
        seen.append((repr(timeout), timeout.expired()))
        with pytest.raises(RuntimeError) as error:
            timeout.reschedule(None)
        return [*seen, str(error.value)]

    assert run(main()) == [
        ("<Timeout [created]>", None, False),
        ("<Timeout [active] when=None>", None, False),
        "<Timeout [active] when=N>",
        ("<Timeout [finished]>", False),
        "Cannot change state of finished Timeout",
        "Cannot change state of finished Timeout",
        ("<Timeout [expired]>", True),
        "Cannot change state of expired Timeout",
    ]


@late_3_11
@pytest.mark.parametrize("delay", [-1, 0, 0.0, 1e-9, 0.01])
def test_expires(run, mod, delay):
    async def main():
        try:
            async with mod.timeout(delay) as timeout:
                await asyncio.sleep(10)
        except TimeoutError as error:
            return told(error), timeout.expired(), asyncio.current_task().cancelling()

    assert run(main()) == (
        [
            ("TimeoutError", "", "CancelledError", True),
            ("CancelledError", "", "NoneType", False),
        ],
        True,
        0,
    )


def test_it_ends_before(run, mod):
    async def main():
        async with mod.timeout(0):  # there is no await in which it could expire
            pass
        async with mod.timeout(10):
            await asyncio.sleep(0)
        with pytest.raises(ZeroDivisionError) as error:
            async with mod.timeout(10):
                await asyncio.sleep(0)
                1 / 0  # noqa: B018
        assert told(error.value)[1:] == []
        assert live(asyncio.get_running_loop()) == []

    run(main())


def test_another_exception_comes_of_it(run, mod):
    """What asyncio makes of it differs by version."""

    async def main():
        try:
            async with mod.timeout(0):
                try:
                    await asyncio.sleep(10)
                finally:
                    raise KeyError("other")
        except KeyError as error:
            return told(error)

    async def in_group():
        try:
            async with mod.timeout(0):
                try:
                    await asyncio.sleep(10)
                except asyncio.CancelledError:
                    try:
                        raise KeyError("inner")
                    except KeyError as error:
                        inner = error
                    raise ExceptionGroup("both", [inner])  # noqa: B904
        except ExceptionGroup as error:
            return told(error), told(error.exceptions[0])

    names = [kind for kind, *_ in run(main())]
    if hasattr(asyncio.Timeout, "_insert_timeout_error"):
        assert names == ["KeyError", "TimeoutError", "CancelledError"]
    else:
        assert names == ["KeyError", "CancelledError"]
    group, inner = ([kind for kind, *_ in chain] for chain in run(in_group()))
    if hasattr(asyncio.Timeout, "_insert_timeout_error"):
        assert group == ["ExceptionGroup", "TimeoutError", "CancelledError"]
        assert inner == ["KeyError", "TimeoutError", "CancelledError"]
    else:
        assert group == ["ExceptionGroup", "CancelledError"]
        assert inner == ["KeyError", "CancelledError"]


def test_cancelled_from_outside(run, mod):
    async def body():
        async with mod.timeout(10):
            await asyncio.sleep(10)

    async def main():
        task = asyncio.create_task(body())
        await asyncio.sleep(0)
        task.cancel("outside")
        with pytest.raises(asyncio.CancelledError, match="outside"):
            await task
        # both at once: the cancellation wins
        task = asyncio.create_task(both())
        await asyncio.sleep(0)
        return await outcome(task)

    async def both():
        async with mod.timeout(10) as timeout:
            asyncio.current_task().cancel("outside")
            timeout.reschedule(0)
            await asyncio.sleep(0)

    run(main())


def test_nested(run, mod):
    async def main():
        async with mod.timeout(10) as outer:
            try:
                async with mod.timeout(0.001) as inner:
                    await asyncio.sleep(10)
            except TimeoutError:
                assert (outer.expired(), inner.expired()) == (False, True)
            with pytest.raises(TimeoutError):
                async with mod.timeout(0.001), mod.timeout(10) as inner:
                    await asyncio.sleep(10)
            assert not inner.expired()
        return asyncio.current_task().cancelling()

    assert run(main()) == 0


def test_outside_of_a_task(loop, mod):
    timeout = mod.timeout_at(None)
    with pytest.raises(RuntimeError, match="no running event loop"):
        mod.timeout(1)
    entering = timeout.__aenter__()
    with pytest.raises(RuntimeError, match="no running event loop"):
        entering.send(None)
    told_of = []

    def callback():
        try:
            timeout.__aenter__().send(None)
        except BaseException as error:
            told_of.append(str(error))
        coro = mod.wait_for(asyncio.sleep(0), 1)
        try:
            coro.send(None)
        except BaseException as error:
            told_of.append(str(error))
        loop.stop()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what wait_for did not come to await
        loop.call_soon(callback)
        loop.run_forever()
        gc.collect()
    assert told_of[0] == "Timeout should be used inside a task"


def test_what_is_no_time(run, mod):
    async def main():
        for make in (mod.timeout, mod.timeout_at):
            with pytest.raises(TypeError):
                async with make("soon"):
                    pass
            with pytest.raises(TypeError):
                make()
            with pytest.raises(TypeError):
                make(1, 2)
        async with mod.timeout(delay=5), mod.timeout_at(when=None):
            pass
        async with mod.timeout(10**9), mod.timeout(float("inf")):
            await asyncio.sleep(0)
        with pytest.raises(OverflowError):
            mod.timeout(10**400)

    run(main())


def test_subclasses(run, mod):
    calls = []

    class Mine(mod.Timeout):
        extra = 1

        def _on_timeout(self):
            calls.append("expires")
            super()._on_timeout()

        def reschedule(self, when):
            calls.append(when is None)
            super().reschedule(when)

    async def main():
        with pytest.raises(TimeoutError):
            async with Mine(asyncio.get_running_loop().time() + 0.001) as timeout:
                timeout.note = "mine"
                await asyncio.sleep(10)
        return timeout.expired(), timeout.note, vars(timeout)["note"]

    assert run(main()) == (True, "mine", "mine")
    assert calls == [False, "expires"]


def test_replaced_methods(run, mod, monkeypatch):
    calls = []
    expire = mod.Timeout._on_timeout
    monkeypatch.setattr(
        mod.Timeout, "_on_timeout", lambda self: (calls.append(self), expire(self))
    )

    async def main():
        with pytest.raises(TimeoutError):
            async with mod.timeout(0.001) as timeout:
                await asyncio.sleep(10)
        assert calls == [timeout]

    run(main())


def test_its_handler(run, mod):
    """Who looks sees a handle, and may use it."""

    async def main():
        loop = asyncio.get_running_loop()
        async with mod.timeout(5) as timeout:
            handle = timeout._timeout_handler
            assert isinstance(handle, asyncio.TimerHandle)
            assert handle is timeout._timeout_handler
            assert handle.when() == timeout.when()
            assert "_on_timeout" in repr(handle)
            handle.cancel()
            assert live(loop) == []
            timeout.reschedule(loop.time() + 6)
            assert timeout._timeout_handler is not handle
        with pytest.raises(TimeoutError):
            async with mod.timeout(5) as timeout:
                timeout._timeout_handler._run()
                assert timeout._timeout_handler is None
                await asyncio.sleep(5)
        with pytest.raises(TimeoutError):
            async with mod.timeout(0) as timeout:
                assert "_on_timeout" in repr(timeout._timeout_handler)
                await asyncio.sleep(5)
        async with mod.timeout(0) as timeout:
            timeout._timeout_handler.cancel()
            await asyncio.sleep(0.01)
        async with mod.timeout(0) as timeout:
            timeout.reschedule(None)
            await asyncio.sleep(0.01)

    run(main())


def test_a_future_of_ones_own_is_cancelled_in_a_context(run, mod):
    """As the handle's callback does it, in a copy of that of who entered."""
    variable = contextvars.ContextVar("variable", default="none")
    seen = []

    class Future(asyncio.Future):
        def cancel(self, msg=None):
            seen.append(variable.get())
            variable.set("changed")
            return super().cancel(msg)

    async def main():
        variable.set("entered")
        with pytest.raises(TimeoutError):
            async with mod.timeout(0.001):
                variable.set("later")
                await Future()
        return variable.get()

    assert run(main()) == "later"
    assert seen == ["entered"]


def test_its_clock_is_replaced(loop_factory, mod):
    spare = loop_factory()
    spare.close()

    class Loop(type(spare)):
        now = 0.0

        def time(self):
            return self.now

    loop = Loop()

    async def main():
        task = asyncio.create_task(waiting())
        await asyncio.sleep(0)
        loop.now += 3600.0
        with pytest.raises(TimeoutError):
            await task

    async def waiting():
        async with mod.timeout(3600) as timeout:
            assert timeout.when() == 3600.0
            await loop.create_future()

    loop.run_until_complete(main())
    loop.close()


def test_debug_mode(run, mod):
    async def main():
        async with mod.timeout(5) as timeout:
            assert timeout._timeout_handler._source_traceback
        with pytest.raises(TimeoutError):
            await mod.wait_for(asyncio.sleep(5), 0.001)

    run(main(), debug=True)


def test_the_collector_and_the_loops_end(loop_factory, mod):
    loop = loop_factory()

    async def main():
        timeout = mod.timeout(1000)
        await timeout.__aenter__()
        timeout.cycle = timeout
        return weakref.ref(timeout)

    seen = loop.run_until_complete(main())
    gc.collect()
    assert seen() is not None, "its timer holds it"
    loop.close()
    del loop
    gc.collect()
    assert seen() is None


def test_copies(mod):
    timeout = mod.timeout_at(5)
    twin = copy.copy(timeout)
    assert (twin.when(), twin._task, repr(twin)) == (5, None, "<Timeout [created]>")


@late_3_11
def test_the_current_task_is_foreign(run, mod):
    """A task of another kind is asked by its methods."""

    class Task(asyncio.Task):
        def cancelling(self):
            asked.append("cancelling")
            return super().cancelling()

        def uncancel(self):
            asked.append("uncancel")
            return super().uncancel()

    asked = []

    async def main():
        task = Task(body(), loop=asyncio.get_running_loop())
        with pytest.raises(TimeoutError):
            await task

    async def body():
        async with mod.timeout(0.001):
            await asyncio.sleep(10)

    run(main())
    assert asked == ["cancelling", "uncancel"]


def test_tracebacks_end_in_the_users_lines(run):
    async def main():
        try:
            async with aio.timeout(0):
                await asyncio.sleep(5)
        except TimeoutError as error:
            return traceback.extract_tb(error.__traceback__)

    (frame,) = run(main())
    assert frame.name == "main"


# ---- wait_for ----


def test_wait_for_results(run, mod):
    async def value(what):
        await asyncio.sleep(0)
        return what

    class Awaitable:
        def __await__(self):
            return (yield from value("own").__await__())

    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_soon(future.set_result, "future")
        done = loop.create_future()
        done.set_result("done")
        results = []
        for timeout in (None, 5, 5.0):
            results.append(await mod.wait_for(value("coroutine"), timeout))
            results.append(await mod.wait_for(asyncio.create_task(value(1)), timeout))
            results.append(await mod.wait_for(Awaitable(), timeout=timeout))
            results.append(await mod.wait_for(fut=done, timeout=timeout))
            results.append(await mod.wait_for(future, timeout))
        for timeout in (0, -1):
            results.append(await mod.wait_for(done, timeout))
            results.append(await outcome(mod.wait_for(value("late"), timeout)))
        assert live(loop) == []
        return results

    late = [
        ("TimeoutError", "", "CancelledError", True),
        ("CancelledError", "", "NoneType", False),
    ]
    assert run(main()) == [
        *["coroutine", 1, "own", "done", "future"] * 3, "done", late, "done", late,
    ]  # fmt: skip


@pytest.mark.parametrize("timeout", [0.001, 1e-9])
def test_wait_for_ends(run, mod, timeout):
    ended = []

    async def stubborn():
        try:
            await asyncio.sleep(10)
        finally:
            ended.append(1)
            await asyncio.sleep(0)
            ended.append(2)

    async def main():
        with pytest.raises(TimeoutError) as error:
            await mod.wait_for(stubborn(), timeout)
        assert told(error.value)[0] == ("TimeoutError", "", "CancelledError", True)
        assert ended in ([], [1, 2])
        future = asyncio.get_running_loop().create_future()
        with pytest.raises(TimeoutError):
            await mod.wait_for(future, timeout)
        assert future.cancelled()

    run(main())


def test_wait_for_that_is_cancelled(run, mod):
    events = []

    async def body():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError as error:
            events.append(str(error))
            raise

    async def main():
        task = asyncio.create_task(mod.wait_for(body(), 10))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel("why")
        with pytest.raises(asyncio.CancelledError):
            await task
        future = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(mod.wait_for(future, 10))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert future.cancelled()
        assert live(asyncio.get_running_loop()) == []

    run(main())
    assert len(events) == 1


def test_wait_for_exceptions(run, mod):
    async def fails():
        await asyncio.sleep(0)
        raise KeyError("body")

    async def main():
        loop = asyncio.get_running_loop()
        failed = loop.create_future()
        failed.set_exception(ValueError("future"))
        got = [
            await outcome(mod.wait_for(fails(), 5)),
            await outcome(mod.wait_for(failed, 5)),
            await outcome(mod.wait_for(fails(), None)),
        ]
        with pytest.raises(TypeError):
            await mod.wait_for(5, 5)
        with pytest.raises(TypeError):
            await mod.wait_for(failed, "5")
        failed.exception()
        if sys.version_info >= (
            3,
            12,
        ):  # the timer of 3.11's is left for what can't wait
            assert live(loop) == []
        return got

    key = [("KeyError", "'body'", "NoneType", False)]
    assert run(main()) == [key, [("ValueError", "future", "NoneType", False)], key]


def test_wait_for_by_hand(run, mod):
    """throw() and close() reach what it waits for."""
    events = []

    async def body():
        try:
            await asyncio.sleep(10)
        except BaseException as error:
            events.append(type(error).__name__)
            if isinstance(error, KeyError):
                await asyncio.sleep(10)
            raise

    async def main():
        coro = mod.wait_for(body(), 10)
        coro.send(None)
        assert coro.throw(KeyError("thrown")) is not None
        with pytest.raises(IndexError):
            coro.throw(IndexError("again"))
        coro = mod.wait_for(body(), 10)
        coro.send(None)
        coro.close()
        assert live(asyncio.get_running_loop()) == []

    if sys.version_info >= (3, 12):  # there it awaits in the same task
        run(main())
        assert events == ["KeyError", "GeneratorExit"]


def test_wait_for_a_coroutine_that_is_awaited_already(run, mod):
    async def body():
        await asyncio.sleep(0.01)

    async def main():
        coro = body()
        task = asyncio.create_task(coro)
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="coroutine is being awaited already"):
            await mod.wait_for(coro, 5)
        await task
        with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
            await mod.wait_for(coro, 5)

    if sys.version_info >= (3, 12):
        run(main())


def test_wait_for_never_awaited(mod):
    async def body():
        pass

    coro = body()
    with pytest.warns(RuntimeWarning, match="coroutine 'wait_for' was never awaited"):
        mod.wait_for(coro, 1)
        gc.collect()
    coro.close()


def test_awaitables_are_iterators_by_their_method_alone(run, mod):
    async def main():
        coro = mod.sleep(0, 5)
        with pytest.raises(TypeError, match="not iterable"):
            iter(coro)
        iterator = coro.__await__()
        assert iter(iterator) is iterator
        assert iterator.send(None) is None
        with pytest.raises(StopIteration) as stop:
            next(iterator)
        assert stop.value.value == 5
        iterator = mod.sleep(0).__await__()
        next(iterator)
        with pytest.raises(KeyError):
            iterator.throw(KeyError())
        iterator = mod.sleep(0).__await__()
        next(iterator)
        iterator.close()
        return await Own()

    class Own:
        def __await__(self):
            yield from mod.sleep(0).__await__()
            return (yield from mod.sleep(0.001, "own").__await__())

    assert run(main()) == "own"


def test_foreign_loops():
    pytest.importorskip("uvloop")
    source = """
import asyncio, uvloop
from fastloop import aio

async def main():
    for wait in (
        lambda: aio.wait_for(asyncio.sleep(5), 0.001),
        lambda: aio.wait_for(asyncio.get_running_loop().create_future(), 0.001),
        within,
    ):
        try:
            await wait()
        except TimeoutError:
            print("over")
    print(await aio.wait_for(asyncio.sleep(0, "in time"), 5))

async def within():
    async with aio.timeout(0.001):
        await asyncio.sleep(5)

loop = uvloop.new_event_loop()
loop.run_until_complete(main())
loop.close()
"""
    said = child_says("asyncio", source).split("\n")
    assert said == ["over", "over", "over", "in time", ""]


def test_names():
    names = ["timeout", "timeout_at", "Timeout"]
    fastloop.accelerate()
    try:
        for name in names:
            assert getattr(asyncio, name) is getattr(aio, name)
            assert getattr(asyncio.timeouts, name) is getattr(aio, name)
        assert asyncio.wait_for is aio.wait_for is asyncio.tasks.wait_for
        assert pickle.loads(pickle.dumps(asyncio.timeout)) is aio.timeout
    finally:
        fastloop.decelerate()
    for name in names:
        assert getattr(asyncio, name) is not getattr(aio, name)


# ---- whose task ----


def test_who_replaces_current_task_is_asked(mod, run, monkeypatch):
    """As asyncio's own tests do for tasks in Python, which C knows nothing of."""
    real, asked = asyncio.tasks.current_task, []

    def current_task(loop=None):
        asked.append(place)
        return real(loop)

    async def main():
        nonlocal place
        place = "timeout"
        async with mod.timeout(60):
            pass
        place = "group"
        async with mod.TaskGroup():
            pass

    place = None
    monkeypatch.setattr(asyncio.tasks, "current_task", current_task)
    run(main())
    assert asked == ["timeout", "group"]
    monkeypatch.undo()
    run(main())
    assert asked == ["timeout", "group"]
