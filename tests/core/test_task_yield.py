"""What the coroutine of a task may yield."""

import asyncio
import gc

import pytest

from tests.support import lasting_repr


async def nothing():
    pass


async def forever():
    await asyncio.get_running_loop().create_future()


class Yielder:
    """An awaitable that yields what it was made with."""

    def __init__(self, value):
        self.value = value

    def __await__(self):
        return (yield self.value)


def test_awaiting_itself(kit):
    async def narcissus():
        await task

    task = kit.task(narcissus())
    with pytest.raises(RuntimeError, match="Task cannot await on itself"):
        kit.run(task)


def test_awaiting_a_future_of_another_loop(kit):
    other = asyncio.new_event_loop()

    async def wait(future):
        await future

    for future in (kit.Future(loop=other), asyncio.Future(loop=other)):
        with pytest.raises(RuntimeError, match="attached to a different loop"):
            kit.run(wait(future))
    other.close()


@pytest.mark.parametrize("rubbish", [1, "text", object(), print], ids=lasting_repr)
def test_awaiting_rubbish(kit, rubbish):
    async def wait():
        await Yielder(rubbish)

    with pytest.raises(RuntimeError, match="Task got bad yield"):
        kit.run(wait())


def test_yielding_a_generator(kit):
    async def wait():
        await Yielder(x for x in ())

    with pytest.raises(RuntimeError, match="yield from for generator in task"):
        kit.run(wait())


def test_yielding_a_future_without_await(kit):
    async def wait(future):
        await Yielder(future)

    for future in (kit.future(), asyncio.Future(loop=kit.loop)):
        with pytest.raises(RuntimeError, match="yield was used instead of yield from"):
            kit.run(wait(future))


def test_yielding_a_done_future(kit):
    future = kit.future()
    future.set_result(3)
    future._asyncio_future_blocking = True

    async def wait():
        await Yielder(future)
        return "on"

    assert kit.run(wait()) == "on"


def test_a_coroutine_awaited_twice(kit):
    coro = asyncio.sleep(0)

    async def wait():
        await coro

    kit.run(wait())
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        kit.run(wait())
    twice = forever()
    first, second = kit.task(twice), kit.task(twice)
    kit.turn(2)
    second.cancel()
    kit.turn(2)
    assert second.done()
    first.cancel()
    kit.turn(2)
    assert first.done()
    for task in (first, second):
        if not task.cancelled():
            task.exception()


class Foreign:
    """A future of nobody's, with the documented face."""

    def __init__(self, loop, answers=()):
        self.loop = loop
        self._asyncio_future_blocking = False
        self.callbacks = []
        self.cancelled_with = []

    def get_loop(self):
        return self.loop

    def add_done_callback(self, callback, *, context):
        self.callbacks.append((callback, context))

    def cancel(self, msg=None):
        self.cancelled_with.append(msg)
        return False

    def finish(self, result):
        self.result = result
        for callback, context in self.callbacks:
            self.loop.call_soon(callback, self, context=context)

    def __await__(self):
        self._asyncio_future_blocking = True
        yield self
        return self.result()


def test_a_foreign_future(kit):
    foreign = Foreign(kit.loop)

    async def wait():
        return await foreign

    task = kit.task(wait())
    kit.turn()
    assert task._fut_waiter is foreign
    assert foreign._asyncio_future_blocking is False
    ((callback, _),) = foreign.callbacks
    assert callback.__self__ is task
    task.cancel("m")
    assert foreign.cancelled_with == ["m"]
    assert task._must_cancel
    task.uncancel()
    foreign.finish(lambda: 5)
    if task._must_cancel:
        with pytest.raises(asyncio.CancelledError):
            kit.run(task)
    else:
        assert kit.run(task) == 5


def test_a_foreign_future_that_fails(kit):
    foreign = Foreign(kit.loop)

    async def wait():
        return await foreign

    def fail():
        raise KeyError("k")

    task = kit.task(wait())
    kit.turn()
    foreign.finish(fail)
    with pytest.raises(KeyError):
        kit.run(task)


def test_a_foreign_future_whose_attributes_fail(kit):
    class Bad:
        @property
        def _asyncio_future_blocking(self):
            raise LookupError("no such thing")

    async def wait():
        await Yielder(Bad())

    with kit.reports() as reports:
        task = kit.task(wait())
        kit.turn(2)
    assert not task.done()
    assert [type(report["exception"]) for report in reports] == [LookupError]
    task._log_destroy_pending = False
    reports.clear()
    del task
    gc.collect()
    assert asyncio.all_tasks(kit.loop) == set()


def test_own_and_stock_await_each_other(kit):
    import fastloop

    Futures = [asyncio.Future, fastloop.Future]
    Tasks = [asyncio.Task, fastloop.Task]

    async def wait(awaitable):
        return await awaitable

    for Future in Futures:
        for Task in Tasks:
            for Other in Tasks:
                future = Future(loop=kit.loop)
                inner = Task(wait(future), loop=kit.loop)
                outer = Other(wait(inner), loop=kit.loop)
                kit.loop.call_later(0, future.set_result, "x")
                assert kit.run(outer) == "x"
                future = Future(loop=kit.loop)
                inner = Task(wait(future), loop=kit.loop)
                outer = Other(wait(inner), loop=kit.loop)
                kit.turn(3)
                outer.cancel("m")
                with pytest.raises(asyncio.CancelledError):
                    kit.run(outer)
                assert inner.cancelled()
                assert future.cancelled()
