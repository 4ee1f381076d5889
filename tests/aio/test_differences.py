"""What differs from asyncio's on purpose: docs/differences-from-asyncio.md."""

import asyncio
import gc
import inspect
import sys
import traceback
import weakref

import pytest

from fastloop import aio
from tests.support import own_types


def test_not_what_inspect_calls_a_coroutine(run):
    for coro in aio.Lock().acquire(), aio.sleep(1):
        assert asyncio.iscoroutine(coro)
        assert not inspect.iscoroutine(coro)
        assert coro.cr_frame.f_code is not coro.cr_code
        assert set(coro.cr_frame.f_locals) == {"awaited"}
        coro.close()

    async def main():
        event = aio.Event()
        task = asyncio.create_task(event.wait())
        waiting = asyncio.create_task(wait(event))
        await asyncio.sleep(0)
        task.cancel()
        waiting.cancel()
        try:
            await waiting
        except asyncio.CancelledError as error:
            return [frame.name for frame in traceback.extract_tb(error.__traceback__)]

    async def wait(event):
        await event.wait()

    assert run(main()) == ["main", "wait"]


def test_builtin_methods_and_hidden_attributes():
    lock = aio.Lock()
    assert inspect.isbuiltin(lock.release)
    assert vars(lock) == {}
    assert lock._locked is False


@own_types
def test_callbacks_are_builtin_methods(run):
    async def main():
        future = asyncio.get_running_loop().create_future()
        outer = aio.gather(future)
        ((callback, _),) = future._callbacks
        assert inspect.isbuiltin(callback)
        assert "cb=[_GatheringFuture._done_callback()]" in repr(future)
        assert outer._source_traceback[-1].name == "main"
        future.set_result(1)
        await outer

    run(main(), debug=True)


def test_an_exception_keeps_no_local_variables(run):
    async def main(mod):
        future = asyncio.get_running_loop().create_future()
        died = weakref.ref(future)
        task = asyncio.create_task(mod.wait_for(future, 60))
        await asyncio.sleep(0)
        del future
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            del task
            gc.collect()
            return error.__traceback__ is not None and died() is None

    assert run(main(asyncio)) is False
    assert run(main(aio)) is True


def test_timeouts_of_early_releases_of_3_11(run):
    async def main(mod):
        try:
            async with mod.timeout(0):
                await asyncio.sleep(60)
        except TimeoutError as error:
            return type(error.__cause__) is asyncio.CancelledError

    assert run(main(aio)) is True
    assert run(main(asyncio)) is (sys.version_info >= (3, 11, 7))


def test_classes_and_functions_of_c():
    with pytest.raises(TypeError, match="lay-out conflict"):
        type("Both", (aio.Queue, aio.Event), {})
    with pytest.raises(TypeError, match="not safe"):
        object.__new__(aio.Lock)
    with pytest.raises(TypeError):
        inspect.getsource(aio.sleep)
    with pytest.raises(AttributeError):
        aio.sleep.mark = 1
    for name in ("PriorityQueue", "LifoQueue", "BoundedSemaphore"):
        assert getattr(asyncio, name) in getattr(aio, name).__mro__[1:]
