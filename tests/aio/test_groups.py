"""shield, wait and TaskGroup, beside asyncio's."""

import asyncio
import gc
import inspect
import sys
import weakref

import pytest

from fastloop import aio
from tests.aio.helpers import fail, turns, value
from tests.support import child_says, own_types


@own_types
@pytest.mark.parametrize("name", ["shield", "wait"])
def test_as_asyncios_functions(name):
    ours, theirs = getattr(aio, name), getattr(asyncio, name)
    assert ours is not theirs
    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
    for attribute in ("__name__", "__qualname__", "__module__", "__doc__"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    assert inspect.iscoroutinefunction(ours) is inspect.iscoroutinefunction(theirs)


# ---- shield ----


def test_shield_passes_on(run, mod):
    async def main():
        assert await mod.shield(value(1)) == 1
        with pytest.raises(ValueError, match="this"):
            await mod.shield(fail(ValueError("this")))
        inner = asyncio.create_task(value(1, after=5))
        outer = mod.shield(inner)
        await turns(1)
        inner.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer
        assert outer.cancelled()
        done = asyncio.get_running_loop().create_future()
        done.set_result(1)
        assert mod.shield(done) is done
        with pytest.raises(TypeError):
            mod.shield(1)
        with pytest.raises(TypeError):
            mod.shield()

    run(main())


def test_shield_shields(run, mod):
    async def main():
        inner = asyncio.create_task(value(1, after=5))

        async def waiting():
            await mod.shield(inner)

        task = asyncio.create_task(waiting())
        await turns(2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not inner.done()
        assert await inner == 1

    run(main())


def test_shield_cancelled_before_an_exception(run, mod, logs):
    async def main():
        inner = asyncio.create_task(fail(ValueError("late"), after=3))
        outer = mod.shield(inner)
        outer.cancel()
        await turns(5)
        assert inner.done()

    run(main())
    gc.collect()
    text = "".join(line for _, line in logs.take())
    logged = hasattr(asyncio.tasks, "_log_on_exception")
    assert ("ValueError exception in shielded future" in text) is logged


def test_shield_of_a_foreign_future(run, mod):
    async def main():
        loop = asyncio.get_running_loop()
        for make in (asyncio.futures._PyFuture, asyncio.futures.Future):
            inner = make(loop=loop)
            outer = mod.shield(inner)
            inner.set_result(5)
            assert await outer == 5
            inner = make(loop=loop)
            outer = mod.shield(inner)
            outer.cancel()
            await turns(2)
            assert not inner._callbacks or sys.version_info >= (3, 13)
            inner.cancel()
            await turns(2)

    run(main())


def test_shield_leaves_no_cycle(run, mod):
    async def main():
        inner = asyncio.get_running_loop().create_future()
        outer = mod.shield(inner)
        inner.set_result(1)
        await outer
        await turns(2)
        gone = weakref.ref(inner), weakref.ref(outer)
        del inner, outer
        assert [each() for each in gone] == [None, None]

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


# ---- wait ----


@pytest.mark.parametrize(
    ("when", "n_done"),
    [("ALL_COMPLETED", 3), ("FIRST_COMPLETED", 1), ("FIRST_EXCEPTION", 2)],
)
def test_wait(run, mod, when, n_done):
    async def main():
        tasks = [
            asyncio.create_task(value(1, after=1)),
            asyncio.create_task(fail(KeyError(), after=3)),
            asyncio.create_task(value(2, after=9)),
        ]
        got = await mod.wait(tasks, return_when=getattr(asyncio, when))
        assert type(got) is tuple
        assert got == (set(tasks[:n_done]), set(tasks[n_done:]))
        assert all(not task._callbacks for task in tasks)
        await turns(10)
        tasks[1].exception()

    run(main())


def test_wait_collections(run, mod):
    async def main():
        task = asyncio.create_task(value(1))
        for some in ([task, task], (task,), {task}, frozenset([task]), {task: 1},
                     iter([task])):  # fmt: skip
            assert await mod.wait(some) == ({task}, set())

    run(main())


def test_wait_with_a_timeout(run, mod):
    async def main():
        future = asyncio.get_running_loop().create_future()
        assert await mod.wait([future], timeout=0) == (set(), {future})
        assert not future._callbacks
        task = asyncio.create_task(value(1))
        assert await mod.wait([task], timeout=100) == ({task}, set())

    run(main())


def test_wait_refuses(run, mod):
    async def main():
        future = asyncio.get_running_loop().create_future()
        coro = value(1)
        for wrong, error in (
            ([], ValueError), (set(), ValueError), (future, TypeError),
            (coro, TypeError), ([coro, future], TypeError), (1, TypeError),
        ):  # fmt: skip
            with pytest.raises(error):
                await mod.wait(wrong)
        coro.close()
        with pytest.raises(ValueError, match="Invalid return_when"):
            await mod.wait([future], return_when="never")
        with pytest.raises(TypeError):
            mod.wait()
        with pytest.raises(TypeError):
            mod.wait([future], 1)
        with pytest.raises(TypeError):
            mod.wait([future], other=1)
        assert not future._callbacks

    run(main())


def test_wait_cancelled(run, mod):
    async def main():
        futures = [asyncio.get_running_loop().create_future() for _ in range(3)]
        task = asyncio.create_task(asyncio.wait_for(mod.wait(futures, timeout=50), 60))
        await turns(2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert all(not future.done() and not future._callbacks for future in futures)

    run(main())


def test_wait_on_foreign_futures(run, mod):
    async def main():
        loop = asyncio.get_running_loop()
        stock, pure = asyncio.futures.Future(loop=loop), asyncio.futures._PyFuture()
        loop.call_soon(stock.set_result, 1)
        loop.call_soon(pure.set_exception, KeyError(1))
        done, _ = await mod.wait([stock, pure])
        assert done == {stock, pure}
        pure.exception()

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 14), reason="no call graph")
def test_call_graph(run, mod):
    async def main():
        me = asyncio.current_task()
        future = asyncio.get_running_loop().create_future()
        outer = mod.shield(future)
        assert future._asyncio_awaited_by == {me}
        outer.cancel()
        await turns(2)
        assert not future._asyncio_awaited_by
        waiting = asyncio.create_task(mod.wait([future]))
        await turns(2)
        assert future._asyncio_awaited_by == {waiting}
        future.set_result(1)
        await waiting
        assert not future._asyncio_awaited_by
        async with mod.TaskGroup() as group:
            task = group.create_task(turns(2))
            assert task._asyncio_awaited_by == {me}
        assert not task._asyncio_awaited_by

    run(main())


# ---- TaskGroup ----


def test_the_class():
    assert issubclass(aio.TaskGroup, asyncio.TaskGroup)
    assert isinstance(aio.TaskGroup(), asyncio.TaskGroup)
    assert type(aio.TaskGroup) is type
    assert aio.TaskGroup.__name__ == "TaskGroup"
    ours, theirs = aio.TaskGroup.create_task, asyncio.TaskGroup.create_task
    text = str(inspect.signature(ours)).replace("(self, /", "(self")
    assert text == str(inspect.signature(theirs))
    for name in vars(asyncio.TaskGroup()):
        assert hasattr(aio.TaskGroup(), name), name
    assert hasattr(aio.TaskGroup(), "_cancel_on_enter") is hasattr(
        asyncio.TaskGroup(), "_cancel_on_enter"
    )


def test_group_waits(run, mod):
    async def main():
        async with mod.TaskGroup() as group:
            tasks = [group.create_task(value(i, after=i)) for i in range(3)]
            named = group.create_task(value(9), name="named")
            assert repr(group) == "<TaskGroup tasks=4 entered>"
            assert group._tasks == {*tasks, named}
        assert [task.result() for task in tasks] == [0, 1, 2]
        assert named.get_name() == "named"
        assert (group._tasks, group._exiting) == (set(), True)
        with pytest.raises(RuntimeError, match=r"(already been|been already) entered"):
            async with group:
                pass
        coro = value(1)
        with pytest.raises(RuntimeError, match="is finished"):
            group.create_task(coro)
        coro.close()
        async with mod.TaskGroup():
            pass

    run(main())


def test_group_fails(run, mod):
    async def main():
        with pytest.raises(BaseExceptionGroup) as caught:
            async with mod.TaskGroup() as group:
                group.create_task(fail(KeyError(1), after=1))
                slow = group.create_task(value(1, after=9))
                await turns(9)
        assert [type(each) for each in caught.value.exceptions] == [KeyError]
        assert caught.value.__suppress_context__
        assert slow.cancelled()
        with pytest.raises(BaseExceptionGroup):
            async with mod.TaskGroup() as group:
                group.create_task(fail(KeyError(1), after=1))
        left = asyncio.current_task().cancelling()
        assert left == (0 if sys.version_info >= (3, 13) else 1)
        with pytest.raises(BaseExceptionGroup):
            async with mod.TaskGroup() as group:
                raise ValueError(1)
        await turns(2)

    run(main())


def test_group_cancelled_from_outside(run, mod):
    async def main():
        tasks = []

        async def grouping():
            async with mod.TaskGroup() as group:
                tasks.append(group.create_task(value(1, after=9)))

        task = asyncio.create_task(grouping())
        await turns(2)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert tasks[0].cancelled()

    run(main())


def test_group_errors_that_leave_the_loop(loop, mod):
    async def main():
        async with mod.TaskGroup() as group:
            group.create_task(fail(SystemExit(3), after=1))
            group.create_task(value(1, after=5))

    with pytest.raises(SystemExit):
        loop.run_until_complete(main())
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    with pytest.raises(SystemExit):
        loop.run_until_complete(asyncio.wait(tasks))
    loop.run_until_complete(turns())
    for task in tasks:
        assert task.cancelled() or task.exception()


def test_group_refuses_before_and_without(run, mod):
    coro = value(1)
    with pytest.raises(RuntimeError, match="has not been entered"):
        mod.TaskGroup().create_task(coro)
    coro.close()

    async def main():
        entering = mod.TaskGroup().__aenter__()
        assert inspect.isawaitable(entering)
        entering.close()
        with pytest.raises(TypeError):
            mod.TaskGroup(1)

    run(main())


def test_group_subclasses(run, mod):
    class Mine(mod.TaskGroup):
        seen = ()

        def _on_task_done(self, task):
            self.seen += (task,)
            super()._on_task_done(task)

        def create_task(self, coro, **kwargs):
            return super().create_task(coro, **kwargs)

    async def main():
        async with Mine() as group:
            task = group.create_task(value(1, after=1))
        assert group.seen == (task,)

    run(main())


def test_group_attributes_are_live(run, mod):
    async def main():
        group = mod.TaskGroup()
        async with group:
            future = asyncio.get_running_loop().create_future()
            group._tasks.add(future)
            group.anything = 1
            asyncio.get_running_loop().call_soon(group._on_task_done, future)
            future.set_result(1)
        assert group._loop is asyncio.get_running_loop()
        async with mod.TaskGroup() as group:
            task = group.create_task(value(1, after=9))
            group._abort()
            assert group._aborting is True
        assert task.cancelled()

    run(main())


def test_group_and_a_task_factory(loop, mod):
    made = []

    def factory(loop, coro, **kwargs):
        made.append(asyncio.Task(coro, loop=loop, **kwargs))
        return made[-1]

    loop.set_task_factory(factory)

    async def main():
        async with mod.TaskGroup() as group:
            group.create_task(value(1))

    loop.run_until_complete(main())
    assert len(made) == 2


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no eager tasks")
def test_group_and_eager_tasks(loop, mod):
    loop.set_task_factory(asyncio.eager_task_factory)

    async def main():
        async with mod.TaskGroup() as group:
            task = group.create_task(value(1))
            assert task.done()
            group.create_task(value(2, after=2))
        with pytest.raises(BaseExceptionGroup):
            async with mod.TaskGroup() as group:
                group.create_task(fail(KeyError()))
                await turns(3)

    loop.run_until_complete(main())


@pytest.mark.skipif(sys.version_info < (3, 15), reason="no TaskGroup.cancel")
def test_group_cancel(run, mod):
    async def main():
        async with mod.TaskGroup() as group:
            task = group.create_task(value(1, after=9))
            await turns(1)
            group.cancel()
        assert task.cancelled()
        group = mod.TaskGroup()
        group.cancel()
        async with group:
            await turns(9)
            raise AssertionError
        assert asyncio.current_task().cancelling() == 0

    run(main())


def test_group_leaves_no_cycle(run, mod):
    async def main():
        async with mod.TaskGroup() as group:
            for i in range(3):
                group.create_task(value(i))
        await turns(1)
        gone = weakref.ref(group)
        del group
        assert gone() is None

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


def test_awaited_by_hand(mod):
    iterator = mod.TaskGroup().__aenter__().__await__()
    with pytest.raises(RuntimeError, match="no running event loop"):
        for _ in iterator:
            pass
    iterator = mod.wait([]).__await__()
    assert iter(iterator) is iterator
    with pytest.raises(KeyError):
        iterator.throw(KeyError())
    iterator.close()


def test_with_asyncios_own_types():
    source = (
        "import asyncio, fastloop\n"
        "from fastloop import aio\n"
        "async def main():\n"
        "    async with aio.TaskGroup() as group:\n"
        "        group.create_task(asyncio.sleep(0))\n"
        "    return aio.gather is asyncio.gather, aio.wait is asyncio.wait\n"
        "print(fastloop.run(main()))\n"
    )
    said = child_says("fastloop", source, FASTLOOP_STOCK_TYPES="1")
    assert said.strip() == "(True, True)"
