"""Futures, tasks and iterators that are made where others have just died.

Ours are kept and born again: nothing of the life before may show.
"""

import asyncio
import gc
import weakref

import pytest

from tests.support import child_says


async def nothing():
    pass


def state_of(future):
    """What a new future says of itself."""
    return (
        future.done(),
        future.cancelled(),
        future._state,
        future._callbacks,
        future._result,
        future._exception,
        future._log_traceback,
        future._cancel_message,
        future._asyncio_future_blocking,
        future._source_traceback,
        weakref.getweakrefcount(future),
        getattr(future, "attribute", None),
    )


def finish(future):
    future.set_result("old")


def fail(future):
    future.set_exception(ValueError("old"))
    future.exception()


def call_back(future):
    for _ in range(3):
        future.add_done_callback(print)


def cancel(future):
    future.cancel("old")


def block(future):
    next(iter(future))


def mark(future):
    future.attribute = "old"
    future.reference = weakref.ref(future)


@pytest.mark.parametrize("live", [finish, fail, call_back, cancel, block, mark])
def test_a_new_future_is_new(loop, live):
    expected = state_of(loop.create_future())
    for _ in range(3):
        future = loop.create_future()
        live(future)
        del future
        gc.collect()
        assert state_of(loop.create_future()) == expected


def test_each_lost_exception_is_reported(loop):
    reports = []
    loop.set_exception_handler(lambda loop, context: reports.append(context))
    for i in range(5):
        loop.create_future().set_exception(ValueError(i))
        gc.collect()
    assert [str(context["exception"]) for context in reports] == list("01234")


def test_a_new_task_is_new(loop):
    async def wait():
        await loop.create_future()

    async def main():
        expected = None
        for _ in range(3):
            task = loop.create_task(wait())
            seen = (state_of(task), task.cancelling(), task._must_cancel)
            assert task._fut_waiter is None
            expected = expected or seen
            assert seen == expected
            await asyncio.sleep(0)
            task.attribute = "old"
            task.cancel("old")
            with pytest.raises(asyncio.CancelledError):
                await task
            assert task.cancelling() == 1
            del task
            gc.collect()

    loop.run_until_complete(main())


def test_weakrefs_and_callbacks_die_with_their_task(loop):
    async def main():
        died = []
        for i in range(3):
            task = loop.create_task(nothing())
            reference = weakref.ref(task, lambda _, i=i: died.append(i))
            await task
            await asyncio.sleep(0)  # asyncio's handle has the task until its end
            del task
            gc.collect()
            assert reference() is None
        assert died == [0, 1, 2]

    loop.run_until_complete(main())


@pytest.mark.parametrize("value", [None, 1, (1, 2), ValueError("a result")])
def test_how_an_iterator_ends(loop, value):
    future = loop.create_future()
    iterator = iter(future)
    assert next(iterator) is future
    future.set_result(value)
    for ending in (next, lambda iterator: iterator.send(None)):
        with pytest.raises(StopIteration) as info:
            ending(iterator)
        assert info.value.value is value
        iterator = iter(future)
    assert next(iterator, "end") == "end"
    assert next(iterator, "end") == "end"
    assert list(iter(future)) == []


def test_await_gives_the_result(loop):
    async def main():
        for value in (None, 0, (1, 2), (), ValueError("a result")):
            future = loop.create_future()
            loop.call_soon(future.set_result, value)
            assert await future is value
            assert await future is value

    loop.run_until_complete(main())


def test_many_live_and_dead(loop):
    """More than are kept; twice, the second time from those that were."""

    async def main():
        for _ in range(2):
            tasks = [loop.create_task(asyncio.sleep(0, i)) for i in range(10_000)]
            results = await asyncio.gather(*tasks)
            assert results == list(range(10_000))

    loop.run_until_complete(main())


KEPT = ["future", "task", "handle", "timer", "threadsafe handle", "iterator"]


@pytest.mark.parametrize("kind", KEPT)
def test_what_is_kept_is_poisoned_in_a_sanitized_build(fast_loop, kind):
    ctypes = pytest.importorskip("ctypes")
    is_poisoned = getattr(ctypes.CDLL(None), "__asan_address_is_poisoned", None)
    if is_poisoned is None:
        pytest.skip("no AddressSanitizer")
    made = {
        "future": fast_loop.create_future,
        "task": lambda: fast_loop.create_task(nothing()),
        "handle": lambda: fast_loop.call_soon(int),
        "timer": lambda: fast_loop.call_later(0, int),
        "threadsafe handle": lambda: fast_loop.call_soon_threadsafe(int),
        "iterator": lambda: iter(fast_loop.create_future()),
    }[kind]()
    address = ctypes.c_void_p(id(made))
    assert not is_poisoned(address)
    fast_loop.call_soon(fast_loop.stop)
    fast_loop.run_forever()
    fast_loop.call_soon(fast_loop.stop)
    fast_loop.run_forever()
    del made
    assert is_poisoned(address)


AT_REST = """
import asyncio, threading
loop = new_event_loop()

async def nothing():
    pass

def rest():
    \"\"\"Run with nothing to do until another thread says so.\"\"\"
    waking = threading.Timer(0.01, loop.call_soon_threadsafe, [loop.stop])
    waking.start()
    loop.run_forever()
    waking.join()

def handles(n):
    kept = [loop.call_soon(int) for _ in range(n)]
    loop.run_until_complete(nothing())

def timers(n):
    kept = [loop.call_later(0, int) for _ in range(n)]
    loop.run_until_complete(asyncio.sleep(0.001))

def tasks(n):
    kept = [loop.create_task(nothing()) for _ in range(n)]
    loop.run_until_complete(asyncio.wait(kept))

def futures(n):
    kept = [loop.create_future() for _ in range(n)]

for many in handles, timers, tasks, futures:
    for few in handles, timers, tasks, futures:
        many(3000)
        rest()
        few(5)
        rest()
loop.close()
print("ended")
"""


def test_a_loop_at_rest_sleeps_whatever_it_keeps(loop_kind):
    """Many of one kind have died, then a few of another: both are kept."""
    assert child_says(loop_kind, AT_REST) == "ended\n"
