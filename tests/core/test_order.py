"""The order of one iteration: poll, what was ready, due timers; then run them all."""

import asyncio
import socket

import pytest

from tests.support import run_once


def test_soon_then_io_then_timer(loop, pair):
    left, right = pair
    seen = []
    right.send(b"x")

    def readable():
        seen.append("io")
        loop.remove_reader(left)

    loop.call_later(0, seen.append, "timer")
    loop.add_reader(left, readable)
    loop.call_soon(seen.append, "soon")
    run_once(loop)
    assert seen == ["soon", "io", "timer"]


@pytest.mark.parametrize("busy", [0, 5, 40])
def test_call_later_0_runs_in_the_next_iteration(loop, busy):
    """Also once the loop has been busy for so long that it polls less often."""
    seen, iteration = [], 0

    def tick():
        nonlocal iteration
        iteration += 1
        if iteration == busy + 1:
            loop.call_later(0, lambda: seen.append(("timer", iteration)))
            loop.call_soon(lambda: seen.append(("soon", iteration)))
        if iteration < busy + 4:
            loop.call_soon(tick)
        else:
            loop.stop()

    loop.call_soon(tick)
    loop.run_forever()
    # tick is first in the next iteration's queue, but for the call_soon above it.
    assert seen == [("soon", busy + 1), ("timer", busy + 2)]


def test_sleep_0_takes_one_iteration(run):
    async def main():
        loop = asyncio.get_running_loop()
        seen = []

        def tick(n):
            seen.append(n)
            if n < 50:
                loop.call_soon(tick, n + 1)

        loop.call_soon(tick, 1)
        for _ in range(20):
            await asyncio.sleep(0)
        return len(seen)

    assert run(main()) == 20


def test_tasks_start_and_step_in_turn(run):
    seen = []

    async def worker(name):
        for step in range(3):
            seen.append(f"{name}{step}")
            await asyncio.sleep(0)

    async def main():
        await asyncio.gather(*(worker(name) for name in "abc"))

    run(main())
    assert seen == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


def test_futures_callbacks_take_one_iteration(loop):
    seen = []
    future = loop.create_future()
    future.add_done_callback(lambda _: seen.append("callback"))

    def complete():
        future.set_result(None)
        seen.append("set")
        loop.call_soon(seen.append, "soon")

    loop.call_soon(complete)
    run_once(loop)
    assert seen == ["set"]
    run_once(loop)
    assert seen == ["set", "callback", "soon"]


def test_ready_io_is_seen_in_the_next_iteration(loop, pair):
    """A callback makes an fd ready: it is polled in the very next iteration."""
    left, right = pair
    seen, iteration = [], 0

    def tick():
        nonlocal iteration
        iteration += 1
        if iteration == 2:
            right.send(b"x")
        if iteration < 6:
            loop.call_soon(tick)
        else:
            loop.stop()

    def readable():
        seen.append(iteration)
        loop.remove_reader(left)

    loop.add_reader(left, readable)
    loop.call_soon(tick)
    loop.run_forever()
    assert seen == [3]


def test_due_timers_beside_ready_callbacks(loop):
    """A busy loop does not starve its timers."""
    seen = []

    def tick():
        if not seen:
            loop.call_soon(tick)
        else:
            loop.stop()

    loop.call_later(0.005, seen.append, "timer")
    loop.call_soon(tick)
    loop.run_forever()
    assert seen == ["timer"]


def test_several_fds_and_timers_in_one_iteration(loop):
    pairs = [socket.socketpair() for _ in range(5)]
    seen = []
    for n, (left, right) in enumerate(pairs):
        right.send(b"x")
        loop.add_reader(left, lambda n=n: seen.append(("io", n)))
        loop.call_later(0, seen.append, ("timer", n))
    run_once(loop)
    assert sorted(seen[:5]) == [("io", n) for n in range(5)]
    assert [kind for kind, _ in seen[5:]] == ["timer"] * 5
    for left, right in pairs:
        loop.remove_reader(left)
        left.close()
        right.close()
