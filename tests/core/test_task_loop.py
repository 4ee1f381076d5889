"""Eager tasks, and tasks whose loop does something else."""

import asyncio
import contextvars
import gc
import sys

import pytest

number = contextvars.ContextVar("number", default=0)
since_3_12 = pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")


async def nothing():
    pass


async def forever():
    await asyncio.get_running_loop().create_future()


@since_3_12
def test_eager_start(kit):
    trace = []

    async def eager(name, wait):
        trace.append((name, asyncio.current_task().get_name()))
        assert asyncio.current_task() in asyncio.all_tasks()
        if wait:
            await asyncio.sleep(0)
        trace.append(name)
        return name

    async def main():
        me = asyncio.current_task()
        done = kit.task(eager("a", False), eager_start=True, name="A")
        assert asyncio.current_task() is me
        assert done.done()
        if kit.ours or sys.version_info >= (3, 13):  # crashes asyncio's own in 3.12
            assert done.get_coro() is None
        assert done.result() == "a"
        waiting = kit.task(eager("b", True), eager_start=True, name="B")
        assert not waiting.done()
        assert trace == [("a", "A"), "a", ("b", "B")]
        assert waiting in asyncio.all_tasks()
        assert done not in asyncio.all_tasks()
        return await waiting

    assert kit.run(main()) == "b"


@since_3_12
def test_eager_start_that_fails(kit):
    async def fail():
        raise ValueError("x")

    async def leave():
        raise KeyboardInterrupt

    async def main():
        task = kit.task(fail(), eager_start=True)
        assert isinstance(task.exception(), ValueError)
        me = asyncio.current_task()
        with pytest.raises(KeyboardInterrupt):
            kit.task(leave(), eager_start=True)
        assert asyncio.current_task() is me

    with kit.reports() as reports:
        kit.run(main())
        gc.collect()
    assert [type(report["exception"]) for report in reports] == [KeyboardInterrupt]
    reports.clear()


@since_3_12
def test_eager_start_without_a_running_loop(kit):
    ran = []

    async def run():
        ran.append(1)

    task = kit.task(run(), eager_start=True)
    assert ran == []
    kit.run(task)
    assert ran == [1]


@since_3_12
def test_eager_start_in_its_context(kit):
    async def change():
        number.set(9)

    async def main():
        number.set(1)
        await kit.task(change(), eager_start=True)
        context = contextvars.copy_context()
        kit.task(change(), eager_start=True, context=context)
        return number.get(), context[number]

    assert kit.run(main()) == (1, 9)


@since_3_12
def test_eager_factory(kit):
    kit.loop.set_task_factory(asyncio.create_eager_task_factory(kit.Task))

    async def inner():
        return 1

    async def main():
        task = asyncio.create_task(inner())
        return type(task) is kit.Task, task.done(), await task

    assert kit.run(main()) == (True, True, 1)


@since_3_12
def test_asyncios_eager_factory(loop):
    """On a loop of ours it makes our tasks; get_task_factory() still names it."""
    import fastloop

    loop.set_task_factory(asyncio.eager_task_factory)
    assert loop.get_task_factory() is asyncio.eager_task_factory
    kind = fastloop.Task if isinstance(loop, fastloop.Loop) else asyncio.Task

    async def inner():
        return asyncio.current_task().get_name()

    async def main():
        task = asyncio.create_task(inner())
        named = asyncio.create_task(inner(), name="named")
        return type(task) is kind, task.done(), named.get_name(), named.done()

    assert loop.run_until_complete(main()) == (True, True, "named", True)


def test_a_patched_call_soon_sees_steps(kit):
    calls, call_soon = [], kit.loop.call_soon

    def spy(callback, *args, context=None):
        calls.append(callback)
        return call_soon(callback, *args, context=context)

    kit.loop.call_soon = spy
    task = kit.task(nothing())
    del kit.loop.call_soon
    assert [callback.__self__ for callback in calls] == [task]
    kit.run(task)


def test_debug_mode(kit, logs):
    kit.loop.set_debug(True)
    kit.loop.slow_callback_duration = -1.0

    async def slow():
        pass

    task = kit.task(slow(), name="slowpoke")
    kit.run(task)
    text = logs.take_text()
    assert "Executing <Task finished name='slowpoke' coro=<" in text
    assert "slow() done" in text
    assert "created at" in text
    assert "test_debug_mode" in [frame.name for frame in task._source_traceback]
    kit.loop.set_debug(False)


def test_tasks_alive_when_the_loop_closes(kit):
    future = kit.future()

    async def wait():
        await future

    waiting, ready = kit.task(wait()), kit.task(nothing())
    waiting._log_destroy_pending = ready._log_destroy_pending = False
    kit.loop.call_soon(kit.loop.stop)
    kit.loop.run_forever()
    kit.loop.close()
    for change in (lambda: future.set_result(1), waiting.cancel):
        try:
            change()
        except RuntimeError as error:
            assert "closed" in str(error)
    waiting.get_coro().close()


def test_steps_that_stop_the_loop(kit):
    trace = []

    async def stop():
        kit.loop.stop()
        trace.append(1)
        await asyncio.sleep(0)
        trace.append(2)

    task = kit.task(stop())
    kit.loop.run_forever()
    assert trace == [1]
    assert not task.done()
    with pytest.raises(RuntimeError, match="running"):
        kit.run(closing(kit.loop))
    assert trace == [1, 2]


async def closing(loop):
    loop.close()


def test_a_stray_step_is_reported(kit):
    steps, call_soon = [], kit.loop.call_soon

    def spy(callback, *args, context=None):
        steps.append(callback)
        return call_soon(callback, *args, context=context)

    kit.loop.call_soon = spy
    task = kit.task(nothing())
    del kit.loop.call_soon
    kit.run(task)
    (step,) = steps
    with kit.reports() as reports:
        kit.loop.call_soon(step)
        kit.turn()
    (report,) = reports
    assert "already done" in str(report["exception"])
    with pytest.raises(TypeError):
        step(1)
    with pytest.raises(TypeError):
        step(exc=1)


def test_a_nested_step_is_refused(kit):
    async def meddle():
        with pytest.raises(RuntimeError, match="Cannot enter into task"):
            steps[0]()

    steps, call_soon = [], kit.loop.call_soon

    def spy(callback, *args, context=None):
        steps.append(callback)
        return call_soon(callback, *args, context=context)

    kit.loop.call_soon = spy
    other = kit.task(nothing())
    del kit.loop.call_soon
    kit.run(kit.task(meddle()))
    kit.run(other)
