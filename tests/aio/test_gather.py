"""gather, beside asyncio's."""

import asyncio
import contextvars
import gc
import inspect
import pickle
import sys
import weakref

import pytest

from fastloop import aio
from tests.aio.helpers import fail, turns, value
from tests.support import own_types

# ---- the function ----


@own_types
def test_as_asyncios_function():
    ours, theirs = aio.gather, asyncio.gather
    assert ours is not theirs
    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert repr(ours).startswith("<function gather at 0x")
    assert not inspect.iscoroutinefunction(ours)


@pytest.mark.parametrize("name", ["nothing", "return_exception"])
def test_other_keywords(run, mod, name):
    async def main():
        with pytest.raises(TypeError, match="unexpected keyword"):
            mod.gather(**{name: 1})
        with pytest.raises(TypeError, match="unexpected keyword"):
            mod.gather(asyncio.get_running_loop().create_future(), **{name: 1})

    run(main())


def test_results_in_order(run, mod):
    async def main():
        assert await mod.gather() == []
        assert await mod.gather(*[value(i, after=3 - i) for i in range(4)]) == [
            0, 1, 2, 3,
        ]  # fmt: skip
        assert await mod.gather(value(1), return_exceptions=True) == [1]

    run(main())


def test_all_kinds_of_arguments(run, mod):
    class Awaitable:
        def __await__(self):
            yield from turns(1).__await__()
            return "awaitable"

    class Mine(asyncio.Future):
        pass

    async def main():
        loop = asyncio.get_running_loop()
        future, mine = loop.create_future(), Mine()
        stock = asyncio.futures.Future(loop=loop)
        pure = asyncio.futures._PyFuture(loop=loop)
        task = asyncio.create_task(value("task", after=2))
        coro = value("coroutine")
        outer = mod.gather(
            future,
            mine,
            stock,
            pure,
            task,
            coro,
            coro,
            future,
            Awaitable(),
            mod.gather(),
        )
        for each in (future, mine, stock, pure):
            each.set_result(type(each).__name__)
        got = await outer
        assert [got[i] for i in (1, 2, 3)] == ["Mine", "Future", "Future"]
        assert got[4:] == [
            "task", "coroutine", "coroutine", got[0], "awaitable", [],
        ]  # fmt: skip
        for wrong in (1, None, "text", value):
            with pytest.raises(TypeError, match="required"):
                mod.gather(wrong)
        with pytest.raises(TypeError, match="unhashable"):
            mod.gather([])

    run(main())


def test_equal_arguments_are_one(run, mod):
    class Equal(asyncio.Future):
        def __eq__(self, other):
            return True

        def __hash__(self):
            return 1

    async def main():
        one, two = Equal(), Equal()
        outer = mod.gather(one, two)
        one.set_result(1)
        assert await outer == [1, 1]

    run(main())


def test_the_outer_future(run, mod):
    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        outer = mod.gather(future, value(1))
        assert isinstance(outer, asyncio.Future)
        assert isinstance(outer, asyncio.tasks._GatheringFuture)
        assert asyncio.isfuture(outer)
        assert type(outer).__name__ == "_GatheringFuture"
        assert repr(outer).startswith("<_GatheringFuture pending")
        assert outer.get_loop() is loop
        assert outer._children[0] is future
        assert outer._cancel_requested is False
        outer._cancel_requested = True
        outer._cancel_requested = False
        outer.anything = 1
        assert weakref.ref(outer)() is outer
        future.set_result(None)
        assert await outer == [None, 1]
        with pytest.raises(asyncio.InvalidStateError):
            outer.set_result(1)
        with pytest.raises(TypeError):
            pickle.dumps(outer)

    run(main())


# ---- exceptions ----


def test_children_replaced(run, mod):
    async def main():
        outer = mod.gather(value(1, after=1))
        children, outer._children = outer._children, ()
        assert outer.cancel() is False
        assert await outer == [1]
        assert len(children) == 1

    run(main())


def test_first_exception(run, mod, logs):
    async def main():
        tasks = [
            asyncio.create_task(fail(ValueError(1), after=1)),
            asyncio.create_task(fail(ValueError(2), after=2)),
            asyncio.create_task(value(3, after=3)),
        ]
        outer = mod.gather(*tasks)
        with pytest.raises(ValueError, match="1") as caught:
            await outer
        assert caught.value is tasks[0].exception()
        assert not tasks[2].done()
        assert outer.exception() is caught.value
        await turns(4)
        assert outer.cancel() is False
        assert tasks[2].result() == 3

    run(main())
    gc.collect()
    assert logs.take() == []


def test_return_exceptions(run, mod):
    async def main():
        cancelled = asyncio.create_task(value(1, after=9))
        await turns(1)
        cancelled.cancel()
        future = asyncio.get_running_loop().create_future()
        future.cancel("because")
        got = await mod.gather(
            fail(KeyError(1)), value(2), cancelled, future, return_exceptions=1
        )
        assert [type(each) for each in got] == [
            KeyError, int, asyncio.CancelledError, asyncio.CancelledError,
        ]  # fmt: skip
        assert (got[2].args, got[3].args) == (("",), ("because",))

    run(main())


def test_exceptions_nobody_asked_for(run, mod, logs):
    async def main():
        mod.gather(fail(ValueError("unseen"), after=1), fail(KeyError("seen"), after=2))
        await turns(5)

    run(main())
    gc.collect()
    (line,) = logs.take()
    assert "_GatheringFuture exception was never retrieved" in line[1]
    assert "unseen" in line[1]


def test_an_argument_that_is_refused(run, mod, logs):
    async def main():
        failing = asyncio.create_task(fail(ValueError("noted"), after=1))
        with pytest.raises(TypeError):
            mod.gather(failing, 1)
        await turns(3)
        assert failing.done()

    run(main())
    gc.collect()
    assert logs.take() == []  # the callback has looked at it


def test_exceptions_that_leave_the_loop(loop, mod):
    async def main():
        await mod.gather(fail(SystemExit(3), after=1), value(1))

    with pytest.raises(SystemExit):
        loop.run_until_complete(main())


# ---- cancelling ----


def test_cancelling_the_outer_future(run, mod):
    async def main():
        loop = asyncio.get_running_loop()
        future, task = loop.create_future(), asyncio.create_task(value(1, after=9))
        outer = mod.gather(future, task)
        await turns(1)
        assert outer.cancel(msg="enough") is True
        assert outer._cancel_requested is True
        assert not outer.done()
        with pytest.raises(asyncio.CancelledError) as caught:
            await outer
        assert caught.value.args == ("enough",)
        assert future.cancelled()
        assert not outer.cancelled()
        assert outer.cancel() is False
        await turns(2)
        assert task.cancelled()

    run(main())


def test_cancelled_by_its_task(run, mod):
    async def main():
        inner = [asyncio.create_task(value(i, after=9)) for i in range(2)]

        async def gathering(return_exceptions):
            return await mod.gather(*inner, return_exceptions=return_exceptions)

        task = asyncio.create_task(gathering(True))
        await turns(2)
        task.cancel("this")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert all(each.cancelled() for each in inner)

    run(main())


def test_cancelled_children_are_an_exception(run, mod):
    async def main():
        future = asyncio.get_running_loop().create_future()
        outer = mod.gather(future, value(1))
        future.cancel("child")
        with pytest.raises(asyncio.CancelledError, match="child"):
            await outer
        assert not outer.cancelled()

    run(main())


def test_children_that_refuse_to_be_cancelled(run, mod):
    async def stubborn():
        try:
            await turns(9)
        except asyncio.CancelledError:
            return "went on"

    async def main():
        outer = mod.gather(stubborn(), return_exceptions=True)
        await turns(1)
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer

    run(main())


def test_cancel_after_all_are_done(run, mod):
    async def main():
        future = asyncio.get_running_loop().create_future()
        outer = mod.gather(future)
        future.set_result(1)
        assert outer.cancel() is False
        assert await outer == [1]

    run(main())


# ---- loops ----


def test_a_future_of_another_loop(loop, mod):
    other = asyncio.new_event_loop()
    try:
        foreign = other.create_future()

        async def main():
            mine = asyncio.get_running_loop().create_future()
            with pytest.raises(ValueError, match="different loop"):
                mod.gather(mine, foreign)
            if sys.version_info >= (3, 14):
                with pytest.raises(ValueError, match="different loop"):
                    mod.gather(foreign)
            else:
                outer = mod.gather(foreign)
                assert outer.get_loop() is other

        loop.run_until_complete(main())
    finally:
        other.close()


def test_without_a_running_loop(loop, mod):
    future = loop.create_future()
    outer = mod.gather(future)
    assert isinstance(outer, asyncio.tasks._GatheringFuture)
    future.set_result(1)
    assert loop.run_until_complete(outer) == [1]


def test_a_task_factory_is_asked(loop, mod):
    made = []

    def factory(loop, coro, **kwargs):
        made.append(asyncio.Task(coro, loop=loop, **kwargs))
        return made[-1]

    loop.set_task_factory(factory)

    async def main():
        await mod.gather(value(1), value(2))

    loop.run_until_complete(main())
    assert len(made) == 3


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no eager tasks")
def test_eager_tasks(loop, mod):
    loop.set_task_factory(asyncio.eager_task_factory)

    async def main():
        outer = mod.gather(value(1), value(2))
        assert outer.done()
        assert await outer == [1, 2]
        mixed = mod.gather(value(1), value(2, after=2), fail(KeyError()))
        assert isinstance(mixed.exception(), KeyError)
        await turns(4)

    loop.run_until_complete(main())


def test_done_children(run, mod):
    async def main():
        future = asyncio.get_running_loop().create_future()
        future.set_result(1)
        outer = mod.gather(future)
        assert outer.done() is (sys.version_info >= (3, 12))
        assert await outer == [1]

    run(main())


def test_debug_mode(run, mod):
    async def main():
        outer = mod.gather(value(1))
        assert "main" in [frame.name for frame in outer._source_traceback]
        assert "created at" in repr(outer)
        await outer

    run(main(), debug=True)


def test_callbacks_in_the_context_of_who_gathers(run, mod):
    variable = contextvars.ContextVar("variable", default=0)
    seen = []

    class Asking(asyncio.Future):
        def exception(self):
            seen.append(variable.get())
            return super().exception()

    async def main():
        future = Asking()
        variable.set(1)
        outer = mod.gather(future)
        variable.set(2)
        future.set_result(1)
        await outer

    run(main())
    assert seen
    assert set(seen) == {1}


# ---- what is left ----


def test_pending_children_may_die_unseen(run, mod):
    async def main():
        outer = mod.gather(value(1, after=100), value(2))
        assert [task._log_destroy_pending for task in outer._children] == [False] * 2
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer

    run(main())


def test_no_cycle_at_the_end(run, mod):
    async def main():
        outer = mod.gather(value(1), value(2))
        await outer
        await turns(1)
        gone = weakref.ref(outer)
        del outer
        assert gone() is None

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


def test_wakes_by_asyncios_own_methods(fast_loop, mod):
    async def main():
        future = fast_loop.create_future()
        outer = mod.gather(future)
        ((callback, context),) = future._callbacks
        assert callable(callback)
        assert isinstance(context, contextvars.Context)
        asyncio.Future.set_result(future, 5)
        assert await outer == [5]
        other = fast_loop.create_future()
        outer = mod.gather(other)
        assert asyncio.Future.cancel(other)
        with pytest.raises(asyncio.CancelledError):
            await outer

    fast_loop.run_until_complete(main())


@pytest.mark.skipif(sys.version_info < (3, 14), reason="no call graph")
def test_call_graph(run, mod):
    async def main():
        me = asyncio.current_task()
        future = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(value(1, after=3))
        outer = mod.gather(future, task)
        assert future._asyncio_awaited_by == {me}
        assert task._asyncio_awaited_by == {me}
        future.set_exception(KeyError())
        with pytest.raises(KeyError):
            await outer
        assert not future._asyncio_awaited_by
        await turns(1)
        assert not task._asyncio_awaited_by
        await turns(4)

    run(main())
