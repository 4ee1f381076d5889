"""What is seen of a coroutine that waits: its frame, its code, whom it awaits."""

import asyncio
import gc
import io
import sys
import warnings

import pytest

from tests.aio.helpers import turns
from tests.support import not_sanitized


def lines_of(task):
    """The lines that Task.print_stack() writes, but for the first, its repr."""
    out = io.StringIO()
    task.print_stack(file=out)
    return out.getvalue().splitlines()[1:]


def chain_of(coro):
    """Who awaits whom, as a debugger walks it: names, files and lines."""
    found = []
    while hasattr(coro, "cr_await"):
        frame = coro.cr_frame
        code = frame.f_code
        assert code.co_name == coro.cr_code.co_name
        found.append((coro.__qualname__, code.co_filename, frame.f_lineno))
        coro = coro.cr_await
    return found


async def looked_at(coros, n_turns=2):
    """What is seen of each of the coroutines as a task, before and while it waits."""
    tasks = [asyncio.create_task(coro) for coro in coros]
    seen = [[(lines_of(task), chain_of(task.get_coro())) for task in tasks]]
    await turns(n_turns)
    seen.append([(lines_of(task), chain_of(task.get_coro())) for task in tasks])
    seen.append(
        [repr(task).partition("coro=")[2].partition(" wait_for")[0] for task in tasks]
    )
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    seen.append(
        [(task.get_coro().cr_frame, task.get_coro().cr_await) for task in tasks]
    )
    return seen


def sleeps(mod):
    return [mod.sleep(9), mod.sleep(9, "result")]


def locks(mod):
    async def enter(lock):
        async with lock:
            pass

    lock, semaphore, event = mod.Lock(), mod.Semaphore(0), mod.Event()
    lock._locked = True
    return [
        lock.acquire(), enter(lock), semaphore.acquire(), enter(semaphore),
        event.wait(), enter(mod.Condition(lock)),
    ]  # fmt: skip


def queues(mod):
    empty, full, unfinished = mod.Queue(), mod.Queue(1), mod.Queue()
    full.put_nowait(1)
    unfinished.put_nowait(1)
    return [empty.get(), full.put(2), unfinished.join()]


def groups(mod):
    async def group():
        async with mod.TaskGroup() as group:
            group.create_task(mod.sleep(9))

    return [group()]


def waits(mod):
    future = asyncio.get_running_loop().create_future()
    coros = [mod.wait([future]), mod.wait([future], timeout=9)]
    coros += [mod.wait_for(future, 9), mod.wait_for(future, None)]
    if sys.version_info >= (3, 12):
        coros.append(mod.wait_for(mod.Event().wait(), 9))
    return coros


def completions(mod):
    future = asyncio.get_running_loop().create_future()
    coros = []
    if sys.version_info >= (3, 13):
        coros.append(next(iter(mod.as_completed([future]))))
        coros.append(aiter(mod.as_completed([future])).__anext__())
    return coros


def readers(mod):
    def reader():
        return mod.StreamReader(loop=asyncio.get_running_loop())

    return [
        reader().read(4), reader().readexactly(4), reader().readuntil(b"."),
        reader().readline(), reader().__anext__(),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "make", [sleeps, locks, queues, groups, waits, completions, readers]
)
def test_looks_as_asyncios(run, mod, make):
    async def main(mod):
        return await looked_at(make(mod))

    assert run(main(mod)) == run(main(asyncio))


@pytest.mark.parametrize("depth", [1, 2, 1000])
def test_where_it_was_made(mod, depth):
    def make():
        return mod.sleep(0)

    sys.set_coroutine_origin_tracking_depth(depth)
    try:
        coro = make()
    finally:
        sys.set_coroutine_origin_tracking_depth(0)
    frame, expected = sys._getframe(), [(__file__, make.__code__.co_firstlineno + 1)]
    line = make.__code__.co_firstlineno + 5
    while frame is not None and len(expected) < depth:
        expected.append((frame.f_code.co_filename, line))
        frame = frame.f_back
        line = frame and frame.f_lineno
    assert [place[:2] for place in coro.cr_origin] == expected
    with pytest.warns(RuntimeWarning, match="Coroutine created at") as caught:
        del coro
    assert f"{expected[0][1]}, in make" in str(caught[0].message)
    assert mod.sleep(0).close() is None


def test_an_origin_ends_with_its_coroutine(mod):
    sys.set_coroutine_origin_tracking_depth(1)
    try:
        tracked = mod.sleep(0)
    finally:
        sys.set_coroutine_origin_tracking_depth(0)
    tracked.close()
    assert tracked.cr_origin is not None
    del tracked
    untracked = mod.sleep(0)
    assert untracked.cr_origin is None
    untracked.close()


@not_sanitized
@pytest.mark.parametrize("timeout", [None, 50])
@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="wait_for() makes a task of each"
)
def test_waits_within_each_other_have_an_end(run, mod, timeout):
    """Of the stack's: as asyncio's, a RecursionError."""

    async def main():
        coro = mod.sleep(0)
        for _ in range(40_000):
            coro = mod.wait_for(coro, timeout)
        with pytest.raises(RecursionError):
            await coro

    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        run(main())
        gc.collect()


def test_looked_at_in_every_state(run, mod):
    async def main():
        coro = mod.sleep(0, 5)
        frame = coro.cr_frame
        assert (coro.cr_suspended, coro.cr_running) == (False, False)
        assert coro.cr_origin is None
        assert frame is coro.cr_frame
        assert frame.f_code.co_name == "sleep"
        assert frame.f_lineno == coro.cr_code.co_firstlineno
        assert coro.cr_await is None
        coro.send(None)
        assert (coro.cr_suspended, coro.cr_running) == (True, False)
        assert coro.cr_frame.f_lineno > coro.cr_code.co_firstlineno
        with pytest.raises(StopIteration):
            coro.send(None)
        assert (coro.cr_suspended, coro.cr_running) == (False, False)
        assert coro.cr_frame is None
        assert coro.cr_await is None

    run(main())


def test_looked_at_where_asyncio_does_it(run, mod):
    """An odd argument: what is written in C leaves it to asyncio's coroutine."""

    class Delay(float):
        pass

    async def main():
        coro = mod.sleep(Delay(9))
        coro.send(None)
        assert coro.cr_frame.f_locals["delay"] == 9
        assert coro.cr_await is not None
        coro.close()
        assert coro.cr_frame is None

    run(main())


def test_those_who_were_looked_at_go_on(run, mod):
    async def main():
        lock = mod.Lock()
        await lock.acquire()
        task = asyncio.create_task(lock.acquire())
        for _ in range(3):
            assert task.get_stack()
            await turns(1)
        lock.release()
        assert await task is True

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 14), reason="no call graph")
def test_in_call_graphs(run, mod):
    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        waiting = asyncio.create_task(mod.wait([future]))
        await turns(2)
        graph = asyncio.capture_call_graph(future)
        (by,) = graph.awaited_by
        assert by.future is waiting
        names = [entry.frame.f_code.co_name for entry in by.call_stack]
        generators = [entry.frame.f_generator for entry in by.call_stack]
        future.set_result(1)
        await waiting
        return names, [generator.cr_code.co_name for generator in generators]

    assert run(main()) == (["_wait", "wait"], ["_wait", "wait"])
