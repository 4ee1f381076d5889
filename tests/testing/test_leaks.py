"""leaks(): each kind is found, with where it was made, and nothing else is."""

import asyncio
import concurrent.futures
import os
import socket
import sys
import threading
import unittest
import warnings

import pytest

from fastloop.testing import CheckLeaks, LeakError, leaks
from tests.support import own_types


def line_of(text):
    """Where this test has it."""
    caller = sys._getframe(1)
    path = caller.f_code.co_filename
    with open(path) as file:
        for number, line in enumerate(file, 1):
            if number > caller.f_code.co_firstlineno and text in line:
                return f"{path}:{number} in {caller.f_code.co_qualname}"
    raise AssertionError(text)


async def forever():
    await asyncio.Event().wait()


async def found_in(main, **options):
    """The leaks of main(), as (kind, what, born)."""
    check = leaks(**options)
    try:
        async with check:
            kept = await main()
    except LeakError as exc:
        assert exc.leaks == check.found != []
        for one in exc.leaks:
            assert str(one) in str(exc)
    del kept
    return [(one.kind, one.what, one.born) for one in check.found]


def test_nothing(run):
    async def main():
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(asyncio.sleep(0.01) for _ in range(10)))
        loop.call_later(60, print).cancel()
        await loop.run_in_executor(None, bool)
        server = await asyncio.start_server(lambda _, w: w.close(), "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        process = await asyncio.create_subprocess_exec("true")
        await process.wait()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            await loop.run_in_executor(pool, bool)

    assert run(found_in(main)) == []


def test_what_was_there_before(run):
    async def main():
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(forever())
        timer = loop.call_later(60, print)
        left, right = socket.socketpair()
        with left, right:
            async with leaks():
                await asyncio.sleep(0)
        timer.cancel()
        task.cancel()

    run(main())


@own_types  # they know where they were made
def test_a_task(run, loop_kind):
    async def main():
        asyncio.current_task().kept = task = asyncio.create_task(forever())
        return task

    async def test():
        found = await found_in(main)
        asyncio.current_task().kept.cancel()
        return found

    ((kind, what, born),) = run(test())
    assert kind == "task"
    assert "forever" in what
    where = "test_a_task.<locals>.main"
    if loop_kind == "fastloop":
        assert born == line_of("= asyncio.create_task").replace("test_a_task", where)


def test_timers(run):
    timers = []

    async def main():
        loop = asyncio.get_running_loop()
        timers.append(loop.call_later(60, print))
        timers.append(loop.call_at(loop.time() + 60, print))

    found = run(found_in(main))
    for timer in timers:
        timer.cancel()
    assert [kind for kind, _, _ in found] == ["timer"] * 2
    places = [line_of("loop.call_later"), line_of("loop.call_at")]
    born = [
        place.replace("test_timers", "test_timers.<locals>.main") for place in places
    ]
    assert sorted(born) == sorted(place for _, _, place in found)


def test_transports_and_servers(run):
    async def main():
        def keep(*streams):
            kept.append(streams)

        server = await asyncio.start_server(keep, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        _, writer = await asyncio.open_connection(*address)
        kept.extend([server, writer])
        await asyncio.sleep(0.05)

    async def test():
        found = await found_in(main)
        for one in kept:
            getattr(one, "close", bool)()
        for transport in list(asyncio.get_running_loop()._transports.values()):
            transport.abort()
        await asyncio.sleep(0.05)
        return found

    kept = []
    found = run(test())
    kept.clear()
    assert [kind for kind, _, _ in found] == ["transport", "transport", "server"]
    born = {place for _, _, place in found}
    name = "test_transports_and_servers"
    for text in ("await asyncio.start_server", "await asyncio.open_connection"):
        assert line_of(text).replace(name, f"{name}.<locals>.main") in born


def test_file_descriptors(run):
    async def main():
        kept.append(socket.socket())
        kept.append(os.dup(0))

    kept = []
    found = run(found_in(main))
    kept[0].close()
    os.close(kept[1])
    assert [kind for kind, _, _ in found] == ["file descriptor"] * 2
    assert f"<socket.socket fd={found[0][1].partition(',')[0]}" in found[0][1]


def test_executors(run):
    async def main():
        loop = asyncio.get_running_loop()
        kept.append(concurrent.futures.ThreadPoolExecutor(1))
        await loop.run_in_executor(kept[0], bool)
        kept.append(loop.run_in_executor(None, over.wait))

    async def test():
        found = await found_in(main)
        over.set()
        await kept[1]
        return found

    kept = []
    over = threading.Event()
    found = run(test())
    kept[0].shutdown()
    assert [kind for kind, _, _ in found] == ["executor"] * 2
    assert "ThreadPoolExecutor" in found[0][1]
    assert found[1][1].startswith("1 job running in the executor of <")


@own_types
def test_exceptions(run, logs, loop_kind):
    async def fail():
        raise ValueError("on purpose")

    async def main():
        kept = [asyncio.create_task(fail())]
        kept.clear()
        asyncio.get_running_loop().call_soon(int, "x")

    found = sorted(run(found_in(main)), key=lambda one: one[1])
    assert [kind for kind, _, _ in found] == ["exception"] * 2
    assert "Exception in callback int(" in found[0][1]
    assert "was never retrieved: ValueError('on purpose')" in found[1][1]
    assert len(logs.take()) == 2
    if loop_kind == "fastloop":
        name = "test_exceptions"
        place = line_of("asyncio.create_task").replace(name, f"{name}.<locals>.main")
        assert found[1][2] == place


def test_exceptions_that_a_handler_saw(run):
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: None)
        loop.call_soon(int, "x")

    assert run(found_in(main)) == []


def test_unraisable_ones(run, unraisable):
    class Fails:
        def __del__(self):
            raise ValueError("on purpose")

    async def main():
        Fails()
        thread = threading.Thread(target=int, args=("x",), name="a thread")
        thread.start()
        thread.join()

    found = run(found_in(main))
    assert len(unraisable.take()) == 2
    assert [kind for kind, _, _ in found] == ["exception"] * 2
    assert "on purpose" in found[0][1]
    assert found[1][1].endswith("in thread a thread")


@pytest.mark.parametrize("ours", [False, True])
def test_coroutines(run, ours):
    from fastloop import aio

    async def main():
        aio.sleep(1) if ours else forever()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = run(found_in(main))
    assert len(caught) == 1
    ((kind, what, born),) = found
    assert kind == "coroutine"
    assert "was never awaited" in what
    name = "test_coroutines"
    line = line_of("aio.sleep(1)").partition(" in ")[0]
    assert born.startswith(line), name


def test_loops(loop_factory):
    """Around a whole run."""
    with leaks():
        loop = loop_factory()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
    check = leaks()
    with pytest.raises(LeakError), check:
        loop = loop_factory()
        loop.call_soon(print)
        loop.call_later(60, print)
    kinds = {one.kind for one in check.found}
    assert kinds == {"loop", "timer", "callback", "file descriptor"}
    check.found.clear()
    loop.close()


def test_ignore(run):
    async def main():
        kept.append(asyncio.get_running_loop().call_later(60, print))
        kept.append(asyncio.create_task(forever()))

    kept = []

    async def test():
        found = await found_in(main, ignore=["timer"])
        kept[0].cancel()
        kept[1].cancel()
        return found

    assert [kind for kind, _, _ in run(test())] == ["task"]
    with pytest.raises(ValueError, match="no kinds of leaks: x"):
        leaks(ignore=["task", "x"])


def test_an_exception_of_the_block(run):
    async def main():
        async with leaks():
            task = asyncio.create_task(forever())
            kept.append(task)
            raise KeyError(1)

    kept = []
    with pytest.raises(KeyError):
        run(main())
    kept.clear()


def test_the_loop_is_as_before(loop):
    before = set(vars(loop))
    hooks = sys.unraisablehook, threading.excepthook, warnings._showwarnmsg

    async def main():
        async with leaks():
            await asyncio.sleep(0)
        return set(vars(loop)) - before

    assert loop.run_until_complete(main()) <= {"_thread_id"}
    assert hooks == (sys.unraisablehook, threading.excepthook, warnings._showwarnmsg)
    assert sys.get_coroutine_origin_tracking_depth() == 0


def test_unittest(loop_factory):
    class Case(CheckLeaks, unittest.IsolatedAsyncioTestCase):
        async def asyncSetUp(self):
            await super().asyncSetUp()
            self.timer = asyncio.get_running_loop().call_later(60, print)
            self.addCleanup(self.timer.cancel)

        async def test_good(self):
            await asyncio.sleep(0)

        async def test_bad(self):
            self.task = asyncio.create_task(forever())

    Case.loop_factory = staticmethod(loop_factory)
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)
    assert result.testsRun == 2
    problems = result.failures + result.errors
    assert [case.id().rpartition(".")[2] for case, _ in problems] == ["test_bad"]
    assert "left behind:\ntask: <Task pending" in problems[0][1]
    result.errors.clear()
    result.failures.clear()
