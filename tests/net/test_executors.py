"""run_in_executor, to_thread and the default executor."""

import asyncio
import contextvars
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest


def test_results_and_exceptions(run):
    async def main():
        loop = asyncio.get_running_loop()
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, lambda: 1 / 0)
        return await loop.run_in_executor(None, divmod, 7, 3)

    assert run(main()) == (2, 1)


def test_many_at_once(run):
    async def main():
        loop = asyncio.get_running_loop()
        return await asyncio.gather(
            *(loop.run_in_executor(None, pow, n, 2) for n in range(100))
        )

    assert run(main()) == [n * n for n in range(100)]


def test_the_default_executors_threads(run):
    async def main():
        names = {await asyncio.to_thread(lambda: threading.current_thread().name)}
        loop = asyncio.get_running_loop()
        assert isinstance(loop._default_executor, ThreadPoolExecutor)
        return names

    assert all(name.startswith("asyncio_") for name in run(main()))


def test_another_executor(run):
    async def main():
        loop = asyncio.get_running_loop()

        def name():
            return threading.current_thread().name

        with ThreadPoolExecutor(1, "mine") as pool:
            mine = await loop.run_in_executor(pool, name)
        loop.set_default_executor(ThreadPoolExecutor(1, "default"))
        return mine, await loop.run_in_executor(None, name)

    assert run(main()) == ("mine_0", "default_0")


def test_to_thread_keeps_the_context(run):
    number = contextvars.ContextVar("number", default=0)

    async def main():
        number.set(7)
        return await asyncio.to_thread(number.get)

    assert run(main()) == 7


def test_shutdown_refuses_what_comes_later(run):
    async def main():
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, int)
        await loop.shutdown_default_executor()
        with pytest.raises(RuntimeError, match="Executor shutdown has been called"):
            loop.run_in_executor(None, int)
        await loop.shutdown_default_executor()

    run(main())


def test_shutdown_waits_for_threads(run):
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        started = threading.Event()

        def work():
            started.set()
            time.sleep(0.03)
            seen.append("work done")

        future = loop.run_in_executor(None, work)
        started.wait()
        await loop.shutdown_default_executor()
        seen.append("shut down")
        await future

    run(main())
    assert seen == ["work done", "shut down"]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="3.12 waits all the same")
def test_shutdown_with_a_time_limit(run):
    release = threading.Event()

    async def main():
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(None, release.wait)
        with pytest.warns(RuntimeWarning, match="did not finishing joining"):
            await loop.shutdown_default_executor(timeout=0.01)
        release.set()
        await future
        await asyncio.sleep(0.01)

    run(main())


def test_cancelling_the_wait(run):
    release = threading.Event()

    async def main():
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(asyncio.to_thread(release.wait))
        await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()
        return await loop.run_in_executor(None, int, "3")

    assert run(main()) == 3


def test_threads_and_the_loop_hand_over_often(run):
    """A thousand round trips: none lost, none stuck."""

    async def main():
        total = 0
        for n in range(500):
            total += await asyncio.to_thread(int, n)
        return total

    assert run(main()) == sum(range(500))


def test_run_coroutine_threadsafe_from_an_executor(run):
    async def main():
        loop = asyncio.get_running_loop()

        def work():
            coroutine = asyncio.sleep(0, "from the loop")
            return asyncio.run_coroutine_threadsafe(coroutine, loop).result(5)

        return await asyncio.to_thread(work)

    assert run(main()) == "from the loop"


def test_an_answer_after_the_loop_was_closed(loop, unraisable):
    """A thread that outlives the loop: its answer is dropped without a crash."""
    release = threading.Event()
    pool = ThreadPoolExecutor(1)
    future = loop.run_in_executor(pool, release.wait)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    release.set()
    pool.shutdown()
    assert not future.done()
    unraisable.take()
