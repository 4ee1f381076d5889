"""Virtual time: the clock jumps, in asyncio's order, and what holds it does."""

import asyncio
import socket
import ssl
import sys
import threading
import time

import pytest

from tests.support import run_once


def loop_time():
    return asyncio.get_running_loop().time()


# ---- jumping ----


def test_a_day_takes_no_time(run_virtually):
    async def main():
        await asyncio.sleep(86400)
        return loop_time()

    begun = time.monotonic()
    assert run_virtually(main()) == 86400.0
    assert time.monotonic() - begun < 60


def test_start(run_virtually):
    async def main():
        before = loop_time()
        await asyncio.sleep(1.5)
        return before, loop_time()

    assert run_virtually(main(), start=1e9) == (1e9, 1e9 + 1.5)
    assert run_virtually(main(), start=-5) == (-5.0, -3.5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_start_that_is_none(fast_kind, bad):
    from fastloop.testing import new_test_loop

    with pytest.raises(ValueError, match="start"):
        new_test_loop(bad)


def test_time_stands_still_in_a_step(test_loop):
    async def main():
        before = loop_time()
        time.sleep(0.05)
        await asyncio.sleep(0)
        assert loop_time() == before

    test_loop.run_until_complete(main())


def test_order_is_that_of_the_deadlines(test_loop):
    seen = []

    def note(name):
        seen.append((name, test_loop.time()))

    async def main():
        for delay in (7200, 0.25, 30, 0.25, 0, 300.5):
            test_loop.call_later(delay, note, delay)
        handle = test_loop.call_later(20, note, "cancelled")
        test_loop.call_at(10.0, handle.cancel)
        await asyncio.sleep(10000)

    test_loop.run_until_complete(main())
    delays = [0, 0.25, 0.25, 30, 300.5, 7200]
    assert seen == [(delay, delay) for delay in delays]


def test_timeouts(run_virtually):
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.sleep(3600)
        at = [loop_time()]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(3600), 5)
        at.append(loop_time())
        done, pending = await asyncio.wait(
            [asyncio.ensure_future(asyncio.sleep(d)) for d in (1, 2, 90)], timeout=2.5
        )
        at.append(loop_time())
        for task in pending:
            task.cancel()
        return at, len(done), len(pending)

    assert run_virtually(main()) == ([60.0, 65.0, 67.5], 2, 1)


def test_c_versions_of_asyncios_functions(run_virtually):
    from fastloop import aio

    async def main():
        await aio.sleep(100)
        at = [loop_time()]
        with pytest.raises(TimeoutError):
            async with aio.timeout(60):
                await aio.sleep(3600)
        at.append(loop_time())
        with pytest.raises(TimeoutError):
            await aio.wait_for(aio.sleep(50), 2)
        return [*at, loop_time()]

    assert run_virtually(main()) == [100.0, 160.0, 162.0]


def test_what_is_ready_comes_before_a_jump(test_loop):
    seen = []

    async def busy():
        for _ in range(1000):
            await asyncio.sleep(0)
        seen.append(test_loop.time())

    async def main():
        other = asyncio.create_task(busy())
        await asyncio.sleep(1e-3)
        seen.append(test_loop.time())
        await other

    test_loop.run_until_complete(main())
    assert seen == [0.0, 1e-3]


def test_by_hand(test_loop):
    """_run_once, as pytest plugins and simulators of others call it."""
    seen = []
    test_loop.call_later(50, seen.append, 1)
    test_loop.call_soon(seen.append, 0)
    run_once(test_loop)
    assert (seen, test_loop.time()) == ([0], 0.0)
    run_once(test_loop)
    assert seen == [0]
    test_loop._run_once()
    assert (seen, test_loop.time()) == ([0, 1], 50.0)


def test_nested_runs(test_loop):
    async def inner():
        await asyncio.sleep(10)
        return test_loop.time()

    async def main():
        return test_loop.run_nested(inner()), test_loop.time()

    assert test_loop.run_until_complete(main()) == (10.0, 10.0)


def test_runs_go_on_where_the_last_ended(test_loop):
    test_loop.run_until_complete(asyncio.sleep(5))
    test_loop.call_later(5, test_loop.stop)
    test_loop.run_forever()
    assert test_loop.time() == 10.0


def test_an_overridden_time_is_the_clock(fast_kind):
    from fastloop.testing import TestLoop

    class Own(TestLoop):
        def time(self):
            return time.monotonic()

    loop = Own()
    begun = time.monotonic()
    loop.run_until_complete(asyncio.sleep(0.1))
    assert 0.09 <= time.monotonic() - begun < 60
    loop.close()


def test_debug_mode(run_virtually):
    async def main():
        await asyncio.sleep(3600)
        return loop_time()

    assert run_virtually(main(), debug=True) == 3600.0


# ---- holding ----


def test_executor_jobs_hold_it(run_virtually):
    async def main():
        async with asyncio.timeout(1e-3):
            await asyncio.to_thread(time.sleep, 0.1)
        return loop_time()

    assert run_virtually(main()) == 0.0


def test_an_abandoned_job_holds_it_no_longer(run_virtually):
    over = threading.Event()

    async def main():
        job = asyncio.get_running_loop().run_in_executor(None, over.wait)
        await asyncio.sleep(0)
        job.cancel()
        await asyncio.sleep(1)
        over.set()
        return loop_time()

    assert run_virtually(main()) == 1.0


def test_names_are_looked_up_without_time(run_virtually):
    async def main():
        async with asyncio.timeout(1e-6):
            await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        return loop_time()

    assert run_virtually(main()) == 0.0


def test_children_hold_it(run_virtually):
    async def main():
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import time; time.sleep(0.1); print('hi')", stdout=-1
        )
        async with asyncio.timeout(1):
            out, _ = await child.communicate()
        return out, child.returncode, loop_time()

    assert run_virtually(main()) == (b"hi\n", 0, 0.0)


def test_a_child_that_cannot_be_made_holds_nothing(run_virtually):
    async def main():
        with pytest.raises(FileNotFoundError):
            await asyncio.create_subprocess_exec("/nonexistent")
        await asyncio.sleep(1)
        return loop_time()

    assert run_virtually(main()) == 1.0


def test_hold(run_virtually):
    """A thread of the program's holds the clock until it has answered."""

    async def main():
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        go = threading.Event()

        def work(hold):
            with hold:
                go.wait()
                time.sleep(0.05)
                loop.call_soon_threadsafe(answer.set_result, 1)

        hold = loop.hold()
        hold.__enter__()
        thread = threading.Thread(target=work, args=(loop.hold(),))
        thread.start()
        loop.call_soon(hold.__exit__, None, None, None)
        loop.call_soon(go.set)
        async with asyncio.timeout(1):
            await answer
        thread.join()
        await asyncio.sleep(3)
        return loop_time()

    assert run_virtually(main()) == 3.0


def test_a_hold_that_ends_while_the_loop_sleeps(run_virtually):
    async def main():
        loop = asyncio.get_running_loop()
        entered = threading.Event()

        def work():
            with loop.hold():
                entered.set()
                time.sleep(0.1)

        thread = threading.Thread(target=work)
        thread.start()
        entered.wait()
        begun = time.monotonic()
        await asyncio.sleep(3)
        thread.join()
        return loop_time(), time.monotonic() - begun

    now, took = run_virtually(main())
    assert now == 3.0
    assert took >= 0.05


def test_other_threads_do_not_hold_it(run_virtually):
    over = threading.Event()

    async def main():
        thread = threading.Thread(target=over.wait)
        thread.start()
        await asyncio.sleep(1000)
        over.set()
        thread.join()
        return loop_time()

    assert run_virtually(main()) == 1000.0


def test_grace_for_a_peer(run_virtually):
    """A peer in a thread answers within the grace."""

    async def main():
        left, right = socket.socketpair()

        def answer():
            while data := right.recv(100):
                time.sleep(0.05)
                right.sendall(data)
            right.close()

        thread = threading.Thread(target=answer)
        thread.start()
        reader, writer = await asyncio.open_connection(sock=left)
        for _ in range(3):
            writer.write(b"x")
            async with asyncio.timeout(1):
                assert await reader.read(1) == b"x"
        writer.close()
        await writer.wait_closed()
        thread.join()
        return loop_time()

    assert run_virtually(main(), grace=30) == 0.0


def test_grace_ends(run_virtually):
    async def main():
        left, right = socket.socketpair()
        with right:
            reader, writer = await asyncio.open_connection(sock=left)
            begun = time.monotonic()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3600):
                    await reader.read(1)
            took = time.monotonic() - begun
            writer.close()
            await writer.wait_closed()
        return loop_time(), took

    now, took = run_virtually(main(), grace=0.1)
    assert now == 3600.0
    assert took >= 0.1


def test_an_idle_server_costs_one_grace(run_virtually):
    """Not one for each jump."""

    async def main():
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        begun = time.monotonic()
        for _ in range(1000):
            await asyncio.sleep(1)
        server.close()
        return loop_time(), time.monotonic() - begun

    now, took = run_virtually(main(), grace=0.5)
    assert now == 1000.0
    assert 0.5 <= took < 60


@pytest.mark.parametrize("grace", [0.0, 0.01])
def test_streams_within_the_loop(run_virtually, grace):
    async def main():
        handlers = []

        async def handle(reader, writer):
            handlers.append(asyncio.current_task())
            while line := await reader.readline():
                await asyncio.sleep(0.5)
                writer.write(line)
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(
            *server.sockets[0].getsockname()[:2]
        )
        for i in range(20):
            writer.write(b"%d\n" % i)
            async with asyncio.timeout(0.75):
                assert await reader.readline() == b"%d\n" % i
        writer.close()
        await writer.wait_closed()
        await asyncio.gather(*handlers)
        server.close()
        await server.wait_closed()
        return loop_time()

    assert run_virtually(main(), grace=grace) == 10.0


def test_tls(run_virtually):
    from tests.net.soak import contexts

    server_context, client_context = contexts()

    async def main():
        async def handle(reader, writer):
            writer.write(await reader.readexactly(3))
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=server_context)
        reader, writer = await asyncio.open_connection(
            *server.sockets[0].getsockname()[:2],
            ssl=client_context,
            server_hostname="127.0.0.1",
        )
        await asyncio.sleep(3600)
        writer.write(b"abc")
        assert await reader.read() == b"abc"
        assert isinstance(writer.get_extra_info("ssl_object"), ssl.SSLObject)
        writer.close()
        server.close()
        await server.wait_closed()
        return loop_time()

    assert run_virtually(main(), grace=1) == 3600.0


# ---- by hand ----


def test_frozen(test_loop):
    seen = []

    async def main():
        with test_loop.frozen():
            for delay in (3, 1, 2):
                test_loop.call_later(delay, seen.append, delay)
            await test_loop.advance(0.5)
            assert (seen, test_loop.time()) == ([], 0.5)
            await test_loop.advance(1.5)
            assert (seen, test_loop.time()) == ([1, 2], 2.0)
            await test_loop.advance(0)
            await test_loop.settle()
            assert (seen, test_loop.time()) == ([1, 2], 2.0)
        await asyncio.sleep(5)
        assert (seen, test_loop.time()) == ([1, 2, 3], 7.0)

    test_loop.run_until_complete(main())


def test_advance_runs_what_follows_too(test_loop):
    seen = []

    async def ticker():
        while True:
            await asyncio.sleep(1)
            seen.append(test_loop.time())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append("after")

    async def main():
        task = asyncio.create_task(ticker())
        with test_loop.frozen():
            await test_loop.advance(3)
        task.cancel()

    test_loop.run_until_complete(main())
    assert seen == [1.0, "after", 2.0, "after", 3.0, "after"]


def test_advance_by_nothing_that_is_there(test_loop):
    async def main():
        await test_loop.advance(12.5)
        return test_loop.time()

    assert test_loop.run_until_complete(main()) == 12.5


def test_advance_back(test_loop):
    async def main():
        with pytest.raises(ValueError, match="-1"):
            await test_loop.advance(-1)
        with pytest.raises(ValueError, match="nan"):
            await test_loop.advance(float("nan"))

    test_loop.run_until_complete(main())


def test_two_advance_at_once(test_loop):
    seen = []

    async def advance(seconds):
        await test_loop.advance(seconds)
        seen.append((seconds, test_loop.time()))

    async def main():
        with test_loop.frozen():
            await asyncio.gather(advance(3), advance(1), advance(2))

    test_loop.run_until_complete(main())
    assert seen == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_an_advance_that_is_cancelled(test_loop):
    async def main():
        task = asyncio.create_task(test_loop.advance(100))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with test_loop.frozen():
            await test_loop.advance(1)
        return test_loop.time()

    assert test_loop.run_until_complete(main()) == 1.0


def test_settle_waits_for_jobs_and_sockets(run_virtually):
    async def main():
        loop = asyncio.get_running_loop()
        seen = []

        async def job():
            await asyncio.to_thread(time.sleep, 0.05)
            seen.append("job")

        async def talk():
            left, right = socket.socketpair()
            with left, right:
                left.setblocking(False)
                right.setblocking(False)
                for _ in range(10):
                    await loop.sock_sendall(left, b"x")
                    await loop.sock_recv(right, 1)
            seen.append("talk")

        tasks = [asyncio.create_task(one()) for one in (job, talk)]
        await loop.settle()
        assert sorted(seen) == ["job", "talk"]
        await asyncio.gather(*tasks)
        return loop.time()

    assert run_virtually(main()) == 0.0


def test_only_where_the_loop_runs(test_loop, fast_loop):
    with pytest.raises(RuntimeError, match="does not run here"):
        fast_loop.run_until_complete(test_loop.settle())


# ---- the end ----


def test_nothing_can_wake_it(run_virtually):
    from fastloop.testing import StuckError

    async def consumer(queue):
        await queue.get()

    async def main():
        task = asyncio.create_task(consumer(asyncio.Queue()), name="the consumer")
        await asyncio.sleep(5)
        await task

    with pytest.raises(StuckError) as caught:
        run_virtually(main())
    text = str(caught.value)
    assert "nothing can ever wake it, at 5 s: 2 tasks wait" in text
    assert "the consumer: test_nothing_can_wake_it.<locals>.consumer" in text
    assert "waits for Queue.get" in text
    assert "waits for task the consumer" in text
    line = consumer.__code__.co_firstlineno + 1
    assert f"{__file__}:{line} in " in text


def test_a_frozen_clock_wakes_nobody(test_loop):
    from fastloop.testing import StuckError

    async def main():
        with test_loop.frozen(), pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(1)

    with pytest.raises(StuckError, match="its clock is frozen"):
        test_loop.run_until_complete(main())


def test_a_timer_at_the_end_of_all_days(run_virtually):
    from fastloop.testing import StuckError

    with pytest.raises(StuckError):
        run_virtually(asyncio.sleep(float("inf")))


def test_a_thread_may_wake_it(run_virtually):
    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def work():
            time.sleep(0.05)
            loop.call_soon_threadsafe(future.set_result, 1)

        thread = threading.Thread(target=work)
        thread.start()
        assert await future == 1
        thread.join()

    run_virtually(main())


def test_a_used_executor_wakes_nobody(run_virtually):
    from fastloop.testing import StuckError

    async def main():
        await asyncio.to_thread(bool)
        await asyncio.Event().wait()

    with pytest.raises(StuckError, match=r"Event\.wait"):
        run_virtually(main())


def test_patience(run_virtually):
    from fastloop.testing import StuckError

    async def main():
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            begun = time.monotonic()
            try:
                await asyncio.get_running_loop().sock_recv(left, 1)
            finally:
                took.append(time.monotonic() - begun)

    took = []
    with pytest.raises(StuckError, match=r"0\.1 s of real time.*1 task waits"):
        run_virtually(main(), patience=0.1)
    assert took[0] >= 0.1


def test_end(run_virtually):
    from fastloop.testing import EndReachedError

    async def main():
        while True:
            await asyncio.sleep(7)
            seen.append(loop_time())

    seen = []
    with pytest.raises(EndReachedError, match=r"the end, 20 s: 1 task waits"):
        run_virtually(main(), end=20)
    assert seen == [7.0, 14.0]


def test_an_end_that_is_not_reached(run_virtually):
    assert run_virtually(asyncio.sleep(20, "done"), end=20) == "done"


def test_a_signal_while_it_is_held(run_virtually):
    import os
    import signal

    async def main():
        loop = asyncio.get_running_loop()
        came = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, came.set)
        with loop.hold():
            timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
            timer.start()
            await came.wait()
            timer.join()
        loop.remove_signal_handler(signal.SIGUSR1)
        return loop_time()

    assert run_virtually(main()) == 0.0


def test_not_after_timers(fast_loop):
    handle = fast_loop.call_later(1, print)
    with pytest.raises(RuntimeError, match="begun"):
        fast_loop._begin_virtual(0.0)
    handle.cancel()


def test_other_loops_have_none(fast_loop):
    with pytest.raises(AttributeError, match="not virtual"):
        fast_loop._virtual_now  # noqa: B018
    assert abs(fast_loop._virtual_time() - time.monotonic()) < 60


def test_a_job_that_waits_for_the_loop(run_virtually):
    """It may ask for what takes time, and holds the clock before and after that."""

    async def sleep(seconds):
        await asyncio.sleep(seconds)
        return seconds

    async def main():
        loop = asyncio.get_running_loop()

        def job():
            time.sleep(0.05)
            asked = asyncio.run_coroutine_threadsafe(sleep(100), loop)
            return asked.result()

        async with asyncio.timeout(1000):
            assert await asyncio.to_thread(job) == 100
        at = [loop.time()]
        async with asyncio.timeout(1):
            await asyncio.to_thread(time.sleep, 0.05)
        return [*at, loop.time()]

    assert run_virtually(main(), grace=0.3) == [100.0, 100.0]


def test_jobs_that_end_while_others_go_on(run_virtually):
    async def main():
        jobs = [asyncio.to_thread(time.sleep, delay) for delay in (0.0, 0.0, 0.1)]
        async with asyncio.timeout(1):
            await asyncio.gather(*jobs)
        return loop_time()

    assert run_virtually(main()) == 0.0
