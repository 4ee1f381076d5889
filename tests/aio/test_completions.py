"""as_completed(), beside asyncio's."""

import asyncio
import collections.abc
import contextvars
import gc
import inspect
import sys
import types
import warnings
import weakref

import pytest

from fastloop import _core, aio
from tests.aio.helpers import fail, turns, value
from tests.support import child_says

has_class = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="it is a generator before"
)


@pytest.fixture(autouse=True)
def in_c(mod):
    """Nothing of what follows is done by asyncio's code unseen."""
    assert mod is asyncio or mod.as_completed is not asyncio.as_completed


# ---- what it gives ----


def test_in_order_of_completion(run, mod):
    async def main():
        work = [value(n, 9 - n) for n in range(5)]
        return [await each for each in mod.as_completed(work)]

    assert run(main()) == [4, 3, 2, 1, 0]


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset, dict.fromkeys, iter])
def test_collections(run, mod, kind):
    async def main():
        work = kind([value(n, n) for n in range(3)])
        return [await each for each in mod.as_completed(work)]

    assert run(main()) == [0, 1, 2]


def test_a_generator(run, mod):
    async def main():
        work = (value(n, n) for n in range(3))
        return [await each for each in mod.as_completed(work)]

    if sys.version_info < (3, 12):  # which takes generators for coroutines
        with pytest.raises(TypeError, match="expect an iterable of futures, not gen"):
            run(main())
    else:
        assert run(main()) == [0, 1, 2]


def test_the_same_twice_is_one(run, mod):
    async def main():
        task = asyncio.create_task(value("once"))
        return [await each for each in mod.as_completed([task, task])]

    assert run(main()) == ["once"]


def test_nothing(run, mod):
    async def main():
        return list(mod.as_completed([])), list(mod.as_completed([], timeout=1))

    assert run(main()) == ([], [])


def test_what_was_done_before(run, mod):
    async def main():
        tasks = [asyncio.create_task(value(n)) for n in range(3)]
        await asyncio.wait(tasks)
        return {await each for each in mod.as_completed(tasks)}

    assert run(main()) == {0, 1, 2}


def test_exceptions(run, mod):
    async def main():
        seen = []
        cancelled = asyncio.get_running_loop().create_future()
        cancelled.cancel("so it is")
        work = [cancelled, fail(KeyError(1), 4), value(2, 6)]
        for each in mod.as_completed(work):
            try:
                seen.append(await each)
            except (KeyError, asyncio.CancelledError) as error:
                seen.append(repr(error))
        return seen

    assert run(main()) == ["CancelledError('so it is')", "KeyError(1)", 2]


def test_timeout(run, mod):
    async def main():
        never = [asyncio.create_task(turns(10**9)) for _ in range(2)]
        done = asyncio.get_running_loop().create_future()
        done.set_result(1)  # what is told of before any timer
        seen = []
        for each in mod.as_completed([*never, done], timeout=0.001):
            try:
                seen.append(await each)
            except TimeoutError as error:
                seen.append(str(error))
        told = [task._callbacks for task in never]
        for task in never:
            task.cancel()
        return seen, told

    assert run(main()) == ([1, "", ""], [None, None])


@pytest.mark.parametrize("timeout", [0, -1, 0.0])
def test_no_time(run, mod, timeout):
    async def main():
        future = asyncio.get_running_loop().create_future()
        [each] = mod.as_completed([future], timeout=timeout)
        with pytest.raises(TimeoutError):
            await each
        return future.done()

    assert run(main()) is False


def test_the_timer_goes_with_the_last(run, mod):
    async def main():
        loop = asyncio.get_running_loop()
        for each in mod.as_completed([value(1), value(2)], timeout=1000):
            await each
        return [handle for handle in loop._scheduled if not handle.cancelled()]

    assert run(main()) == []


def test_the_timer_is_seen(run, mod):
    async def main():
        loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(value(1))]
        for each in mod.as_completed(tasks, timeout=1000):
            handles = [h for h in loop._scheduled if not h.cancelled()]
            assert len(handles) == 1
            assert 999 < handles[0].when() - loop.time() < 1001
            await each

    run(main())


def test_several_wait_and_one_is_cancelled(run, mod):
    """What who is cancelled would have got goes to another."""

    async def main():
        futures = [asyncio.get_running_loop().create_future() for _ in range(2)]
        waits = [asyncio.ensure_future(each) for each in mod.as_completed(futures)]
        await turns()
        futures[0].set_result("first")
        await turns(1)
        waits[0].cancel()
        await turns()
        ends = [task.cancelled() or (task.done() and task.result()) for task in waits]
        futures[1].set_result("second")
        await turns()
        return ends, [task.cancelled() or task.result() for task in waits]

    assert run(main()) in (
        ([True, "first"], [True, "first"]),
        (["first", False], ["first", "second"]),
    )


def test_order_of_callbacks(run, mod):
    """What is told of a future's end before and after its callback is."""

    async def main():
        future = asyncio.get_running_loop().create_future()
        events = []
        future.add_done_callback(lambda _: events.append("before"))
        [each] = mod.as_completed([future])
        future.add_done_callback(lambda _: events.append("after"))
        task = asyncio.ensure_future(each)
        task.add_done_callback(lambda _: events.append("had"))
        await turns(1)
        future.set_result(None)
        for _ in range(4):
            await turns(1)
            events.append("turn")
        return events

    assert run(main()) == ["before", "after", "turn", "turn", "had", "turn", "turn"]


def test_in_the_context_of_the_caller(run, mod):
    var = contextvars.ContextVar("var", default="none")

    class Watched(asyncio.Future):
        def remove_done_callback(self, fn):
            seen.append(var.get())
            return super().remove_done_callback(fn)

    seen = []

    async def main():
        future = Watched()
        var.set("ours")
        [each] = mod.as_completed([future], timeout=0.001)
        var.set("later")
        with pytest.raises(TimeoutError):
            await each

    run(main())
    assert seen == ["ours"]


# ---- what it refuses ----


@pytest.mark.parametrize("kind", ["future", "coroutine", "generator coroutine"])
def test_awaitables(run, mod, kind):
    async def main():
        @types.coroutine
        def old():
            yield

        made = {
            "future": asyncio.get_running_loop().create_future,
            "coroutine": turns,
            "generator coroutine": old,
        }[kind]()
        try:
            with pytest.raises(TypeError) as caught:
                list(mod.as_completed(made))
        finally:
            if kind == "coroutine":
                made.close()
        return str(caught.value)

    if kind == "generator coroutine" and sys.version_info < (3, 12):
        pytest.skip("asyncio takes its None for an awaitable")
    message = run(main())
    assert message.startswith(("expect", "An asyncio.Future"))


def test_arguments(mod):
    for args, keywords in (
        ((), {}),
        (([], 1), {}),
        (([],), {"x": 1}),
        (([],), {"timeout": 1, "x": 1}),
    ):
        with pytest.raises(TypeError, match=r"as_completed\(\) "):
            mod.as_completed(*args, **keywords)


@pytest.mark.parametrize("fs", [1, None, [[]], [1]])
def test_no_futures(run, mod, fs):
    async def main():
        with pytest.raises(TypeError) as caught:
            list(mod.as_completed(fs))
        with pytest.raises(TypeError) as wanted:
            list(asyncio.as_completed(fs))
        assert str(caught.value) == str(wanted.value)

    run(main())


def test_a_timeout_that_is_none(run, mod):
    async def main():
        future = asyncio.get_running_loop().create_future()
        with pytest.raises(TypeError) as caught:
            list(mod.as_completed([future], timeout="1"))
        with pytest.raises(TypeError) as wanted:
            list(asyncio.as_completed([future], timeout="1"))
        assert str(caught.value) == str(wanted.value)

    run(main())


def test_a_future_of_another_loop(run, mod, loop_factory):
    other = loop_factory()
    future = other.create_future()

    async def main():
        with pytest.raises(ValueError, match="different loop than the one specified"):
            list(mod.as_completed([future]))

    run(main())
    other.close()


def test_without_a_loop(mod):
    """Asked outside of a loop, it says what asyncio's says."""
    said = child_says(
        "asyncio",
        f"""
import asyncio, warnings
from fastloop import aio

async def work():
    pass

warnings.simplefilter("ignore")
coro = work()
try:
    print(len(list({mod.__name__.rpartition(".")[2]}.as_completed([coro]))))
except RuntimeError as error:
    print(error)
coro.close()
""",
    )
    if sys.version_info >= (3, 14):
        assert said == "There is no current event loop in thread 'MainThread'.\n"
    else:
        assert said == "1\n"


# ---- to the eye ----


def test_the_function(mod):
    assert mod.as_completed.__name__ == "as_completed"
    assert mod.as_completed.__module__ == "asyncio.tasks"
    assert mod.as_completed.__doc__ == asyncio.as_completed.__doc__
    wanted = inspect.signature(asyncio.as_completed)
    assert inspect.signature(mod.as_completed) == wanted


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="a generator before")
def test_a_generator_function(run, mod):
    async def main():
        coro = value(1)
        made = mod.as_completed([coro])
        assert inspect.isgenerator(made)
        assert inspect.isgeneratorfunction(mod.as_completed)
        made.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        coro.close()
        await turns(1)

    run(main())


def test_what_is_awaited(run, mod):
    async def main():
        it = iter(mod.as_completed([value(1), value(2, 3)]))
        one = next(it)
        assert asyncio.iscoroutine(one)
        assert one.__name__ == "_wait_for_one"
        assert one.__qualname__.endswith("._wait_for_one")
        assert await asyncio.create_task(one) == 1
        with pytest.raises(RuntimeError, match="cannot reuse already awaited"):
            await one
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            next(it)
            gc.collect()
        assert "_wait_for_one' was never awaited" in str(caught[0].message)
        assert next(it, None) is None

    run(main())


@has_class
def test_asynchronously(run, mod):
    async def main():
        tasks = [asyncio.create_task(value(n, 4 - n)) for n in range(3)]
        seen = []
        async for task in mod.as_completed(tasks):
            assert task.done()
            seen.append(tasks.index(task))
        async for task in mod.as_completed([value("made")]):
            assert isinstance(task, asyncio.Task)
            seen.append(task.result())
        async for task in mod.as_completed([fail(KeyError(1))]):
            with pytest.raises(KeyError):
                await task
        with pytest.raises(TimeoutError):
            async for _ in mod.as_completed([turns(10**9)], timeout=0.001):
                raise AssertionError
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        return seen

    assert run(main()) == [2, 1, 0, "made"]


@has_class
def test_the_class(run, mod):
    async def main():
        it = mod.as_completed([value(1), value(2)])
        assert isinstance(it, asyncio.tasks._AsCompletedIterator)
        assert isinstance(it, collections.abc.AsyncIterator)
        assert isinstance(it, collections.abc.Iterator)
        assert type(it).__name__ == "_AsCompletedIterator"
        assert repr(it).startswith("<asyncio.tasks._AsCompletedIterator object at 0x")
        assert iter(it) is it
        assert aiter(it) is it
        assert weakref.ref(it)() is it
        it.mine = 1
        assert it._todo_left == 2
        assert len(it._todo) == 2
        assert it._done.empty()
        assert it._timeout_handle is None
        if sys.version_info >= (3, 14):
            assert it._cur_task is asyncio.current_task()
        one = anext(it)
        assert one.__qualname__ == "_AsCompletedIterator.__anext__"
        await one
        assert it._todo_left == 1
        it._todo_left = 0
        assert list(it) == []
        with pytest.raises(StopAsyncIteration):
            await anext(it)
        await turns()

    run(main())


@has_class
def test_attributes_that_are_written(run, mod):
    """Odd values are found where asyncio's code would find them."""

    async def main():
        future = asyncio.get_running_loop().create_future()
        it = mod.as_completed([future], timeout=1000)
        assert not it._timeout_handle.cancelled()
        it._done = queue = asyncio.Queue()
        waits = asyncio.ensure_future(next(it))
        await turns()
        future.set_result("by another queue")
        await turns(2)
        assert await waits == "by another queue"
        assert queue.empty()
        future = asyncio.get_running_loop().create_future()
        listed = mod.as_completed([future])
        listed._todo = [future]
        future.set_result("of a list")
        assert await next(listed) == "of a list"
        assert listed._todo == []
        handled = mod.as_completed([asyncio.get_running_loop().create_future()])
        del handled._todo
        with pytest.raises((TypeError, AttributeError)):
            handled._handle_timeout()

    run(main())


def test_freed_without_a_collection(run):
    """Nor do exceptions outlive who got them. (asyncio's generator keeps them.)"""
    mod = aio

    class Error(Exception):
        pass

    async def main():
        async def fails():
            raise Error

        refs = []
        for each in mod.as_completed([fails(), value(1)], timeout=1000):
            try:
                await each
            except Error as error:
                refs.append(weakref.ref(error))
        del each
        await turns(2)
        return [ref() for ref in refs]

    gc.disable()
    try:
        assert run(main()) == [None]
    finally:
        gc.enable()


@pytest.mark.skipif(sys.version_info < (3, 14), reason="the call graph came then")
def test_who_awaits_whom(run, mod):
    async def main():
        async def waits():
            for each in mod.as_completed([future]):
                await each

        future = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(waits())
        await turns()
        assert future._asyncio_awaited_by == {task}
        future.set_result(None)
        await task
        assert future._asyncio_awaited_by is None

    run(main())


def test_ours_is_used():
    assert callable(_core.as_completed)
    assert aio.as_completed is not asyncio.as_completed
