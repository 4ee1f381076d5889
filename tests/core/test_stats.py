"""loop.stats(): what the loop does, always counted."""

import asyncio
import socket
import threading
import time

import pytest

from tests.support import run_once

KEYS = {
    "iterations": int,
    "polls": int,
    "ready": int,
    "timers": int,
    "watches": int,
    "steps": int,
    "longest_step_s": float,
}


@pytest.fixture
def loop(fast_loop):
    return fast_loop


def test_the_keys(loop):
    stats = loop.stats()
    assert {name: type(value) for name, value in stats.items()} == KEYS
    assert all(value == 0 for value in stats.values())


def test_iterations_and_steps(loop):
    for _ in range(3):
        loop.call_soon(int)
    run_once(loop)
    stats = loop.stats()
    assert stats["iterations"] == 1
    assert stats["steps"] == 4
    for _ in range(5):
        run_once(loop)
    assert loop.stats()["iterations"] == 6
    assert loop.stats()["steps"] == 9


def test_cancelled_callbacks_are_no_steps(loop):
    loop.call_soon(int).cancel()
    run_once(loop)
    assert loop.stats()["steps"] == 1


def test_polls(loop):
    run_once(loop)
    assert loop.stats()["polls"] <= loop.stats()["iterations"]
    loop.call_later(0.001, loop.stop)
    loop.run_forever()
    assert loop.stats()["polls"] >= 1


def test_ready(loop):
    for n in range(1, 4):
        loop.call_soon(int)
        assert loop.stats()["ready"] == n
    run_once(loop)
    assert loop.stats()["ready"] == 0


def test_timers(loop):
    handles = [loop.call_later(100 + n, int) for n in range(5)]
    assert loop.stats()["timers"] == 5
    handles[0].cancel()
    assert loop.stats()["timers"] == 4
    for handle in handles:
        handle.cancel()
    assert loop.stats()["timers"] == 0
    loop.call_later(0, int)
    run_once(loop)
    assert loop.stats()["timers"] == 0


def test_watches(loop):
    left, right = socket.socketpair()
    loop.add_reader(left, int)
    loop.add_writer(left, int)
    assert loop.stats()["watches"] == 1
    loop.add_reader(right, int)
    assert loop.stats()["watches"] == 2
    loop.remove_reader(left)
    loop.remove_writer(left)
    loop.remove_reader(right)
    assert loop.stats()["watches"] == 0
    left.close()
    right.close()


def test_the_longest_step(loop):
    loop.call_soon(time.sleep, 0.02)
    loop.call_soon(int)
    run_once(loop)
    longest = loop.stats()["longest_step_s"]
    assert 0.018 < longest < 5
    run_once(loop)
    assert loop.stats()["longest_step_s"] == pytest.approx(longest, rel=0.2)


def test_the_longest_step_of_a_task(loop):
    async def main():
        await asyncio.sleep(0.001)
        time.sleep(0.02)

    loop.run_until_complete(main())
    assert 0.018 < loop.stats()["longest_step_s"] < 5


def test_waiting_is_no_step(loop):
    loop.run_until_complete(asyncio.sleep(0.03))
    assert loop.stats()["longest_step_s"] < 0.025


def test_read_within_a_callback_and_from_a_thread(loop):
    found = []
    loop.call_soon(lambda: found.append(loop.stats()))
    thread = threading.Thread(target=lambda: found.append(loop.stats()))
    loop.call_soon(thread.start)
    loop.call_soon(thread.join)
    run_once(loop)
    assert [stats["iterations"] for stats in found] == [1, 1]


def test_after_close(loop):
    run_once(loop)
    loop.call_later(100, int)
    loop.close()
    stats = loop.stats()
    assert stats["iterations"] == 1
    assert stats["ready"] == stats["timers"] == stats["watches"] == 0


def test_the_result_is_a_copy(loop):
    loop.stats()["iterations"] = 99
    assert loop.stats()["iterations"] == 0


def test_the_longest_step_never_falls(fast_loop):
    """Also while the rate of the counter it is measured with is still being learned."""
    seen = []

    def look():
        seen.append(fast_loop.stats()["longest_step_s"])
        if len(seen) < 2000:
            fast_loop.call_soon(look)
        else:
            fast_loop.stop()

    fast_loop.call_soon(look)
    fast_loop.run_forever()
    assert seen == sorted(seen)


def test_how_often_a_busy_loop_polls_that_never_slept(fast_loop, pair):
    """Every 50 us at most, once it knows how long that is."""
    fast_loop.add_reader(pair[0], print)

    def busy_for(span_s):
        end = time.monotonic() + span_s

        def spin():
            if time.monotonic() < end:
                fast_loop.call_soon(spin)
            else:
                fast_loop.stop()

        fast_loop.call_soon(spin)
        fast_loop.run_forever()

    busy_for(0.01)
    before = fast_loop.stats()["polls"]
    busy_for(0.2)
    polls = fast_loop.stats()["polls"] - before
    # the iterations at the start of a run all poll
    assert polls <= 0.2 / 50e-6 * 1.05 + 40
    fast_loop.remove_reader(pair[0])
