"""What wait_for() shows of its timeout, and what it leaves, beside asyncio's."""

import asyncio
import sys
import weakref

import pytest

from tests.aio.test_timeouts import live, outcome


@pytest.mark.skipif(sys.version_info < (3, 12), reason="it is no timeout there")
def test_wait_for_shows_its_timeout(run, mod):
    """Who looks at the loop's timers sees the Timeout, and may use it."""

    async def shown(act, delay=5, result=None):
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        seen = []

        def look():
            (handle,) = live(loop)
            timeout = handle._callback.__self__
            assert type(timeout) is mod.Timeout
            assert timeout._timeout_handler is handle
            assert handle.when() == timeout.when()
            assert timeout._task is task
            assert "active" in repr(timeout)
            assert live(loop) == [handle]
            seen.append(timeout)
            act(timeout, handle, future)

        task = asyncio.current_task()
        before = loop.time()
        loop.call_soon(look)
        answer = await outcome(mod.wait_for(future, delay))
        assert live(loop) == []
        (timeout,) = seen
        assert before + delay <= timeout.when() or timeout.expired()
        return answer, timeout.expired(), timeout._timeout_handler, task.cancelling()

    async def main():
        in_time = await shown(lambda timeout, handle, future: future.set_result(7))
        assert in_time == (7, False, None, 0)
        for late in (
            await shown(lambda *_: None, 0.05),
            await shown(lambda timeout, handle, _: timeout.reschedule(0)),
            await shown(lambda _, handle, __: (handle._run(), handle.cancel())),
        ):
            assert late[0][0] == ("TimeoutError", "", "CancelledError", True)
            assert late[1:] == (True, None, 0)

    run(main())


def test_wait_for_while_the_task_is_being_cancelled(run, mod):
    """Requests to cancel that are older than the wait are not its own."""

    async def main():
        task = asyncio.current_task()
        task.cancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            future = asyncio.get_running_loop().create_future()
            ended = await outcome(mod.wait_for(future, 0.05))
        return ended[0][0], task.cancelling()

    assert run(main()) == ("TimeoutError", 1)


def test_wait_for_frees_what_it_held(run, mod):
    """Whichever way it ends, and nobody's last result lives on."""

    class Thing:
        pass

    async def give(thing):
        await asyncio.sleep(0)
        return thing

    async def main():
        freed = []
        for delay in (None, 5, 0.0005):
            thing = Thing()
            freed.append(weakref.ref(thing))
            try:
                thing = await mod.wait_for(give(thing), delay)
            except TimeoutError:
                pass
            del thing
            assert freed[-1]() is None, delay
        waits = mod.wait_for(asyncio.get_running_loop().create_future(), 5)
        task = asyncio.ensure_future(waits)
        await asyncio.sleep(0)
        task.cancel()
        freed.append(weakref.ref(task))
        del waits, task
        for _ in range(5):
            await asyncio.sleep(0)
        assert freed[-1]() is None
        assert live(asyncio.get_running_loop()) == []

    run(main())
