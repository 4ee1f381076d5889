"""Task, of asyncio and of fastloop, on loops of both."""

import asyncio
import contextvars
import gc
import sys
import types

import pytest

from tests.support import lasting_repr

number = contextvars.ContextVar("number", default=0)


async def nothing():
    pass


async def forever():
    await asyncio.get_running_loop().create_future()


def test_a_new_task(kit):
    coro = nothing()
    task = kit.task(coro)
    assert not task.done()
    assert task.get_loop() is kit.loop
    assert task.get_coro() is coro
    assert task._coro is coro
    assert task._fut_waiter is None
    assert task._must_cancel is False
    assert task._log_destroy_pending is True
    assert task.cancelling() == 0
    assert task._state == "PENDING"
    assert kit.run(task) is None
    assert task._state == "FINISHED"
    assert task.get_coro() is coro


def test_result_and_exception(kit):
    async def add(a, b):
        await asyncio.sleep(0)
        return a + b

    async def fail():
        await asyncio.sleep(0)
        raise ValueError("x")

    assert kit.run(add(1, 2)) == 3
    task = kit.task(fail())
    with pytest.raises(ValueError, match="x"):
        kit.run(task)
    assert isinstance(task.exception(), ValueError)
    assert task._exception is task.exception()


def test_steps_are_one_iteration_each(kit):
    trace = []

    async def count(name):
        for i in range(3):
            trace.append((name, i))
            await asyncio.sleep(0)

    tasks = [kit.task(count(name)) for name in "ab"]
    for i in range(3):
        kit.turn()
        assert trace == [(name, j) for j in range(i + 1) for name in "ab"]
    kit.turn()
    assert all(task.done() for task in tasks)


def test_a_wake_up_takes_its_turn(kit):
    trace = []
    future = kit.future()

    async def wait():
        await future
        trace.append("woken")

    kit.task(wait())
    kit.turn()
    kit.loop.call_soon(trace.append, "before")
    kit.loop.call_soon(future.set_result, None)
    kit.loop.call_soon(trace.append, "after")
    kit.turn()
    assert trace == ["before", "after"]
    kit.turn()
    assert trace == ["before", "after", "woken"]


@pytest.mark.parametrize("value", [None, (1, 2), StopIteration(1), ValueError()])
def test_what_a_coroutine_returns(kit, value):
    async def give():
        return value

    assert kit.run(give()) is value


def test_names(kit):
    first, second = kit.task(nothing()), kit.task(nothing())
    kind, _, n = first.get_name().partition("-")
    assert kind == "Task"
    assert second.get_name() == f"Task-{int(n) + 1}"
    named = kit.task(nothing(), name=17)
    assert named.get_name() == "17"
    named.set_name(["x"])
    assert named.get_name() == "['x']"

    class Text(str):
        def __str__(self):
            return "shown"

    named.set_name(Text("hidden"))
    assert named.get_name() == "shown"
    kit.turn()


def test_context(kit):
    seen = []

    async def look():
        seen.append(number.get())
        number.set(number.get() + 1)
        await asyncio.sleep(0)
        seen.append(number.get())

    number.set(1)
    task = kit.task(look())
    number.set(5)
    kit.run(task)
    context = contextvars.copy_context()
    task = kit.task(look(), context=context)
    if sys.version_info >= (3, 12):
        assert task.get_context() is context
    kit.run(task)
    assert seen == [1, 2, 5, 6]
    assert context[number] == 6
    assert number.get() == 5


def test_current_task(kit):
    seen = []

    async def look():
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())
        kit.loop.call_soon(lambda: seen.append(asyncio.current_task()))
        await asyncio.sleep(0)

    task = kit.task(look())
    kit.run(task)
    assert seen == [task, task, None]
    assert asyncio.current_task(kit.loop) is None


def test_current_task_between_tasks_and_callbacks(kit):
    seen = []

    async def look(name):
        for _ in range(3):
            assert asyncio.current_task().get_name() == name
            kit.loop.call_soon(lambda: seen.append(asyncio.current_task()))
            await asyncio.sleep(0)

    for name in "abc":
        kit.task(look(name), name=name)
    kit.turn(5)
    assert seen == [None] * 9


def test_all_tasks(kit):
    tasks = {kit.task(forever()) for _ in range(3)}
    assert asyncio.all_tasks(kit.loop) == tasks
    kit.turn()
    assert asyncio.all_tasks(kit.loop) == tasks
    one = next(iter(tasks))
    one.cancel()
    kit.turn(2)
    assert asyncio.all_tasks(kit.loop) == tasks - {one}
    for task in tasks:  # nobody else holds them
        task.cancel()
    kit.turn(2)


@pytest.mark.parametrize("what", [1, nothing, print, iter([])], ids=lasting_repr)
def test_no_coroutine(kit, what):
    with kit.reports() as reports:
        with pytest.raises(TypeError, match="a coroutine was expected, got"):
            kit.task(what)
        gc.collect()
    assert reports == []


def test_a_coroutine_of_another_kind(kit):
    class Coroutine:
        def __init__(self):
            self.steps = [None, None]

        def send(self, value):
            if not self.steps:
                raise StopIteration("done")
            return self.steps.pop()

        def throw(self, *args):
            raise args[0]

        def close(self):
            pass

        def __await__(self):
            return self

    import collections.abc

    collections.abc.Coroutine.register(Coroutine)
    assert kit.run(kit.task(Coroutine())) == "done"
    task = kit.task(Coroutine())
    kit.turn()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        kit.run(task)


def test_a_generator_based_coroutine(kit):
    @types.coroutine
    def legacy():
        yield
        return 3

    async def wait():
        return await legacy()

    assert kit.run(wait()) == 3


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_exits_leave_the_loop(kit, error):
    async def leave():
        await asyncio.sleep(0)
        raise error("now")

    told = []
    task = kit.task(leave())
    task.add_done_callback(told.append)
    with pytest.raises(error):
        kit.loop.run_forever()
    assert isinstance(task.exception(), error)
    kit.turn()
    assert told == [task]
    assert asyncio.current_task(kit.loop) is None


def test_stop_iteration_from_a_coroutine(kit):
    async def stop():
        raise StopIteration(1)

    with pytest.raises(RuntimeError, match="coroutine raised StopIteration"):
        kit.run(stop())


def test_exceptions_that_are_hard_to_look_at(kit):
    class Shy(Exception):
        def __init__(self, *args):
            if args:
                raise LookupError("cannot be made")

        def __repr__(self):
            raise ValueError("no repr")

    async def fail():
        raise Shy("x")

    with pytest.raises(LookupError):
        kit.run(fail())

    async def fail_shy():
        raise Shy

    task = kit.task(fail_shy())
    with pytest.raises(Shy):
        kit.run(task)
    with pytest.raises(ValueError, match="no repr"):
        repr(task)
