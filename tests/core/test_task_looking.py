"""Looking at tasks; how they die; subclasses; asyncio's helpers."""

import asyncio
import gc
import inspect
import io
import sys
import weakref

import pytest

from tests.support import own_types


async def nothing():
    pass


async def forever():
    await asyncio.get_running_loop().create_future()


def test_repr(kit):
    future = kit.future()

    async def wait():
        await future

    task = kit.task(wait(), name="waiter")
    assert repr(task).startswith("<Task pending name='waiter' coro=<")
    kit.turn()
    text = repr(task)
    assert "running at" in text
    assert "wait_for=<Future pending cb=[Task.task_wakeup()]>" in text
    task.cancel()
    assert repr(task).startswith("<Task cancelling name='waiter'")
    kit.turn(2)
    assert repr(task).startswith("<Task cancelled name='waiter' coro=<")
    done = kit.task(nothing(), name="done")
    kit.run(done)
    assert "finished name='done'" in repr(done)
    assert "done, defined at" in repr(done)


def test_stack(kit):
    async def wait():
        await forever()

    task = kit.task(wait())
    kit.turn()
    (frame,) = task.get_stack()
    assert frame.f_code is wait.__code__
    assert task.get_stack(limit=0) == []
    out = io.StringIO()
    task.print_stack(file=out, limit=5)
    assert "Stack for <Task pending" in out.getvalue()
    assert "await forever()" in out.getvalue()
    task.cancel()
    kit.turn(2)
    assert task.get_stack() == []

    async def fail():
        raise ValueError("x")

    failed = kit.task(fail())
    kit.turn()
    assert [f.f_code for f in failed.get_stack()][-1] is fail.__code__
    out = io.StringIO()
    failed.print_stack(file=out)
    assert "Traceback for" in out.getvalue()
    assert "ValueError: x" in out.getvalue()
    failed.exception()
    for wrong in (lambda: task.get_stack(1), lambda: task.print_stack(lines=1)):
        with pytest.raises(TypeError):
            wrong()


def test_not_for_tasks(kit):
    task = kit.task(nothing())
    with pytest.raises(RuntimeError, match="does not support set_result"):
        task.set_result(1)
    with pytest.raises(RuntimeError, match="does not support set_exception"):
        task.set_exception(ValueError())
    kit.run(task)


def test_signatures(kit):
    for name in ("cancel", "get_stack", "print_stack", "set_name", "result"):
        ours = inspect.signature(getattr(kit.Task, name))
        theirs = inspect.signature(getattr(asyncio.Task, name))
        assert [p.name for p in ours.parameters.values()] == [
            p.name for p in theirs.parameters.values()
        ]
    assert list(inspect.signature(kit.Task).parameters)[:4] == [
        "coro",
        "loop",
        "name",
        "context",
    ]


def test_destroyed_pending(kit):
    with kit.reports() as reports:
        future = kit.future()

        async def wait(future):
            await future

        task = kit.task(wait(future), name="lost")
        kit.turn()
        del task, future
        gc.collect()
    (report,) = reports
    assert report["message"] == "Task was destroyed but it is pending!"
    assert report["task"].get_name() == "lost"
    report["task"]._log_destroy_pending = False


class Forgetful:
    """A future that keeps nobody who waits for it."""

    _asyncio_future_blocking = False

    def __init__(self, loop):
        self.get_loop = lambda: loop

    def __await__(self):
        self._asyncio_future_blocking = True
        yield self

    def add_done_callback(self, callback, *, context=None):
        pass


@pytest.mark.parametrize("subclass", [False, True])
@pytest.mark.parametrize("how", ["the last reference", "the collector", "by hand"])
def test_destroyed_pending_and_kept_by_its_report(kit, how, subclass):
    """It is among all tasks still; where asyncio has a WeakSet of them, not if the
    collector found it: its weak references went first."""
    seen = []

    async def wait():
        await Forgetful(kit.loop)

    def report(loop, context):
        seen.append(context["task"])
        seen.append(context["task"] in asyncio.all_tasks(loop))

    kind = type("Mine", (kit.Task,), {}) if subclass else kit.Task
    kit.loop.set_exception_handler(report)
    task = kind(wait(), loop=kit.loop)
    kit.turn()
    if how == "by hand":
        task.__del__()
    elif how == "the collector":
        cycle = [task]
        cycle.append(cycle)
        task.add_done_callback(cycle.append)
        del cycle
    del task
    gc.collect()
    kit.loop.set_exception_handler(None)
    task, in_report = seen
    collected = how == "the collector" and sys.version_info < (3, 14)
    assert in_report is not collected
    assert (task in asyncio.all_tasks(kit.loop)) is not collected
    task._log_destroy_pending = False
    del task
    seen.clear()
    gc.collect()
    assert asyncio.all_tasks(kit.loop) == set()


def test_destroyed_pending_can_be_silenced(kit):
    with kit.reports() as reports:
        task = kit.task(forever())
        kit.turn()
        task._log_destroy_pending = False
        del task
        gc.collect()
    assert reports == []


def test_never_retrieved(kit):
    async def fail():
        raise ValueError("lost")

    with kit.reports() as reports:
        task = kit.task(fail())
        kit.turn()
        del task
        gc.collect()
    (report,) = reports
    assert report["message"] == "Task exception was never retrieved"
    reports.clear()


def test_a_done_task_is_freed_at_once(kit):
    gone = []

    async def finish():
        await asyncio.sleep(0)

    task = kit.task(finish())
    weakref.finalize(task, gone.append, 1)
    del task
    gc.disable()
    try:
        kit.turn(3)
        assert gone == [1]
    finally:
        gc.enable()


def test_cycles_are_collected(kit):
    async def hold(thing):
        holder = thing
        await asyncio.sleep(0)
        return holder

    box = []
    task = kit.task(hold(box))
    box.append(task)
    task.me = task
    task.add_done_callback(lambda t, task=task: task)
    kit.turn(3)
    reference = weakref.ref(task)
    del task, box
    gc.collect()
    assert reference() is None


def test_init_again(kit):
    ran = []

    async def run(name):
        ran.append(name)

    task = kit.task(run("first"))
    kit.turn()
    assert task.done()
    coro = run("second")
    try:
        task.__init__(coro, loop=kit.loop)
    except RuntimeError:
        coro.close()
        return
    assert not task.done()
    kit.turn()
    assert task.done()
    assert ran == ["first", "second"]


@own_types
def test_init_again_fails_while_it_runs(fast_loop):
    """In a thread without a loop. asyncio's task has none then either, and crashes."""

    async def main():
        coro = nothing()
        with pytest.raises(RuntimeError):
            await asyncio.to_thread(asyncio.current_task().__init__, coro)
        coro.close()
        await asyncio.sleep(0)
        return asyncio.current_task().get_loop()

    assert fast_loop.run_until_complete(main()) is fast_loop


def test_a_subclass(kit):
    class Sub(kit.Task):
        def __init__(self, coro, **keywords):
            self.made = True
            super().__init__(coro, **keywords)

        def cancel(self, msg=None):
            self.cancelled_with = msg
            return super().cancel(msg)

    async def wait(awaitable):
        return await awaitable

    future = kit.future()
    inner = Sub(wait(future), loop=kit.loop, name="sub")
    outer = kit.task(wait(inner))
    kit.turn(2)
    assert inner in asyncio.all_tasks(kit.loop)
    outer.cancel("m")
    with pytest.raises(asyncio.CancelledError):
        kit.run(outer)
    assert inner.cancelled_with == "m"
    assert repr(inner).startswith("<Sub cancelled name='sub'")


def test_a_subclass_that_skips_init(kit):
    class Sub(kit.Task):
        def __init__(self):
            pass

    task = Sub()
    assert not task.done()
    assert task.get_name() is None
    assert task._coro is None
    for ask in (task.get_stack, lambda: repr(task), lambda: task.__await__()):
        with pytest.raises(RuntimeError, match="not initialized"):
            ask()


def test_a_subclass_that_overrides_privates(kit):
    class Sub(kit.Task):
        _state = "odd"
        _coro = None
        _fut_waiter = None
        _must_cancel = property(lambda self: 1 / 0)
        _loop = "no loop"
        _callbacks = ()

        def _make_cancelled_error(self):
            return 1 / 0

    async def wait():
        await forever()

    task = Sub(wait(), loop=kit.loop)
    kit.turn()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        kit.run(task)


def test_asyncios_helpers(kit):
    async def work(i):
        await asyncio.sleep(0)
        if i == 3:
            raise ValueError(i)
        return i

    async def main():
        results = await asyncio.gather(*map(work, range(3)))
        failed = await asyncio.gather(*map(work, range(5)), return_exceptions=True)
        done, pending = await asyncio.wait([kit.task(work(i)) for i in range(3)])
        shielded = await asyncio.shield(work(1))
        in_time = await asyncio.wait_for(work(2), 5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await forever()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work(i)) for i in range(3)]
        first = [await each for each in asyncio.as_completed([work(7)])]
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(work(3))
                group.create_task(forever())
        return (
            results,
            type(failed[3]),
            len(done),
            pending,
            shielded,
            in_time,
            [task.result() for task in tasks],
            first,
        )

    assert kit.run(main()) == (
        [0, 1, 2],
        ValueError,
        3,
        set(),
        1,
        2,
        [0, 1, 2],
        [7],
    )
