"""Cancelling tasks of asyncio and of fastloop."""

import asyncio
import contextlib

import pytest

import fastloop


async def nothing():
    pass


async def forever():
    await asyncio.get_running_loop().create_future()


def test_cancel_before_the_first_step(kit):
    ran = []

    async def run():
        ran.append(1)

    task = kit.task(run())
    assert task.cancel() is True
    assert task._must_cancel is True
    assert task.cancelling() == 1
    assert not task.cancelled()
    with pytest.raises(asyncio.CancelledError):
        kit.run(task)
    assert task.cancelled()
    assert ran == []
    assert task.cancel() is False


def test_cancel_while_waiting(kit):
    future = kit.future()

    async def wait():
        await future

    task = kit.task(wait())
    kit.turn()
    task.cancel("why")
    assert future.cancelled()
    with pytest.raises(asyncio.CancelledError) as caught:
        kit.run(task)
    assert caught.value.args == ("why",)
    assert task.cancelled()


def test_cancel_passes_through_awaited_tasks(kit):
    async def outer(depth):
        if depth:
            await kit.task(outer(depth - 1))
        else:
            await forever()

    task = kit.task(outer(5))
    kit.turn(8)
    task.cancel("deep")
    with pytest.raises(asyncio.CancelledError):
        kit.run(task)
    assert asyncio.all_tasks(kit.loop) == set()


def test_cancel_refused(kit):
    async def stubborn():
        try:
            await forever()
        except asyncio.CancelledError:
            return "no"

    task = kit.task(stubborn())
    kit.turn()
    task.cancel()
    assert kit.run(task) == "no"
    assert not task.cancelled()
    assert task.cancelling() == 1


def test_uncancel(kit):
    async def stay():
        try:
            await forever()
        except asyncio.CancelledError:
            counts.append(asyncio.current_task().uncancel())
        await asyncio.sleep(0)
        return asyncio.current_task().cancelling()

    counts = []
    task = kit.task(stay())
    kit.turn()
    task.cancel()
    task.cancel()
    assert task.cancelling() == 2
    assert kit.run(task) == 1
    assert counts == [1]
    assert task.uncancel() == 0
    assert task.uncancel() == 0


def test_uncancel_before_the_step(kit):
    stock = asyncio.Task(nothing(), loop=kit.loop)
    task = kit.task(nothing())
    for each in (stock, task):
        each.cancel()
        each.uncancel()
    assert task._must_cancel == stock._must_cancel
    kit.turn(2)
    assert task.cancelled() == stock.cancelled()


def test_cancel_itself(kit):
    async def suicide():
        asyncio.current_task().cancel("me")
        await asyncio.sleep(0)

    async def too_late():
        asyncio.current_task().cancel("me")
        return 1

    for coroutine in (suicide, too_late):
        task = kit.task(coroutine())
        with pytest.raises(asyncio.CancelledError) as caught:
            kit.run(task)
        assert caught.value.args == ("me",)


def test_cancel_when_the_future_is_done_already(kit):
    future = kit.future()

    async def wait():
        return await future

    task = kit.task(wait())
    kit.turn()
    future.set_result(1)
    assert task.cancel() is True
    with pytest.raises(asyncio.CancelledError):
        kit.run(task)


def test_cancelled_error_is_the_one_raised(kit):
    error = asyncio.CancelledError("mine")

    async def raise_it():
        raise error

    task = kit.task(raise_it())
    kit.turn()
    assert task.cancelled()
    with pytest.raises(asyncio.CancelledError) as caught:
        task.result()
    assert caught.value is error
    with pytest.raises(asyncio.CancelledError) as caught:
        task.result()
    assert caught.value is not error


def test_cancel_from_a_finalizer(kit):
    task = kit.task(forever())
    kit.turn()

    class Canceller:
        def __del__(self):
            task.cancel("dying")

    Canceller()
    with pytest.raises(asyncio.CancelledError):
        kit.run(task)


def test_cancel_while_running_then_waiting(kit):
    future = kit.future()

    async def wait():
        asyncio.current_task().cancel("now")
        await future

    task = kit.task(wait())
    with pytest.raises(asyncio.CancelledError):
        kit.run(task)
    assert future.cancelled()


KEPT = []  # what nobody else holds the collector may take


async def kept():
    KEPT.append(asyncio.get_running_loop().create_future())
    await KEPT[-1]


async def in_a_group():
    async with asyncio.TaskGroup() as group:
        group.create_task(kept())


WAITS = {
    "future": lambda: asyncio.get_running_loop().create_future(),
    "task": lambda: asyncio.create_task(kept()),
    "sleep": lambda: asyncio.sleep(60),
    "gather": lambda: asyncio.gather(kept(), kept()),
    "shield": lambda: asyncio.shield(kept()),
    "wait": lambda: asyncio.wait([asyncio.create_task(kept())]),
    "wait_for": lambda: asyncio.wait_for(kept(), 60),
    "queue": lambda: asyncio.Queue().get(),
    "event": lambda: asyncio.Event().wait(),
    "group": in_a_group,
}


@pytest.mark.parametrize("message", [(), ("enough",)])
@pytest.mark.parametrize("accelerated", [False, True])
@pytest.mark.parametrize("name", WAITS)
def test_the_context_is_what_is_handled_while_the_loop_runs(
    loop, name, accelerated, message
):
    seen = []

    async def waiting():
        try:
            await WAITS[name]()
        except asyncio.CancelledError as exc:
            while exc is not None:
                seen.append(exc)
                exc = exc.__context__
            raise

    if accelerated:
        fastloop.accelerate()
    outer = KeyError("outer")
    try:
        task = loop.create_task(waiting())
        loop.run_until_complete(asyncio.sleep(0))
        task.cancel(*message)
        with contextlib.suppress(asyncio.CancelledError):
            try:
                raise outer
            except KeyError:
                loop.run_until_complete(task)
    finally:
        fastloop.decelerate()
    for left in asyncio.all_tasks(loop):
        left.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(left)
    KEPT.clear()
    assert seen[-1] is outer
