"""loop.metrics(): figures of one moment, by names that stay."""

import asyncio
import dataclasses
import gc
import threading
import time
import weakref

import pytest

from tests.support import STOCK_TYPES, at_speed, run_once

FIGURES = [
    *("now_s", "uptime_s", "busy_s", "idle_s", "step_since_s"),
    *("iterations", "polls", "steps", "wakeups"),
    *("ready", "timers", "watches", "transports", "tasks"),
    *("step_time", "lag", "slowest"),
]


@pytest.fixture
def loop(fast_loop):
    return fast_loop


def test_the_names(loop):
    metrics = loop.metrics()
    assert [field.name for field in dataclasses.fields(metrics)] == FIGURES


def test_a_snapshot_does_not_change(loop):
    before = loop.metrics()
    loop.call_soon(int)
    run_once(loop)
    assert before.steps == 0
    assert before.step_time.count == 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.steps = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.lag.counts = ()


def test_what_stats_says(loop):
    loop.call_later(100, int)
    loop.call_soon(int)
    run_once(loop)
    loop.call_soon(int)
    metrics, stats = loop.metrics(), loop.stats()
    for name in ("iterations", "polls", "ready", "timers", "watches", "steps"):
        assert getattr(metrics, name) == stats[name]
    longest_s = stats["longest_step_s"]  # by a rate known better
    assert metrics.step_time.max_s == pytest.approx(longest_s, rel=0.5)


def test_each_entry_has_its_place_in_both_histograms(loop):
    for n in (1, 2, 50, 3000):
        loop.reset_metrics()
        for _ in range(n):
            loop.call_soon(int)
        run_once(loop)
        metrics = loop.metrics()
        # A slow machine may take a millisecond to free what one kept alive.
        between = [step.name for step in metrics.slowest].count("between steps")
        assert metrics.step_time.count == n + 1 + between  # and the one that stops
        assert metrics.lag.count == metrics.step_time.count


def test_buckets_double_from_a_microsecond(loop):
    histogram = loop.metrics().step_time
    assert histogram.bounds_s[:4] == (1e-6, 2e-6, 4e-6, 8e-6)
    assert histogram.bounds_s[-1] == float("inf")
    assert len(histogram.bounds_s) == len(histogram.counts)


@pytest.mark.parametrize("length_s", [0.003, 0.05])
def test_a_step_is_in_the_bucket_of_its_time(loop, length_s):
    loop.call_soon(time.sleep, length_s)
    run_once(loop)
    histogram = loop.metrics().step_time
    place = max(i for i, count in enumerate(histogram.counts) if count)
    assert length_s < histogram.bounds_s[place]
    low_s = histogram.bounds_s[place - 1]
    assert low_s <= histogram.max_s < histogram.bounds_s[place]
    assert length_s <= histogram.max_s * 1.05 < 5


def test_lag_is_the_wait_behind_others(loop):
    loop.call_soon(time.sleep, 0.03)
    for _ in range(9):
        loop.call_soon(int)
    loop.call_soon(time.sleep, 0.03)
    loop.call_soon(int)
    run_once(loop)
    lag = loop.metrics().lag
    late = [lag.bounds_s[i] for i, count in enumerate(lag.counts) for _ in range(count)]
    assert len(late) == 13
    assert late[0] == 1e-6  # the first has waited for nobody
    assert all(end_s > 0.03 for end_s in late[1:])
    assert all(end_s > 0.06 for end_s in late[-2:])
    assert 0.058 < lag.max_s < 5


def test_the_longest_lag_has_no_part_of_the_step_itself(loop):
    loop.call_soon(time.sleep, 0.01)
    loop.call_soon(time.sleep, 0.5)
    loop._run_once()
    assert 0.009 < loop.metrics().lag.max_s < 0.4


def test_lag_of_steps_within_steps(loop):
    def inside():
        time.sleep(0.01)
        for _ in range(5):
            loop.call_soon(int)
        loop._run_once()

    for _ in range(4):
        loop.call_soon(inside)
        loop.call_soon(time.sleep, 0.001)
    run_once(loop)
    run_once(loop)
    metrics = loop.metrics()
    assert metrics.lag.count == metrics.step_time.count
    assert all(count >= 0 for count in metrics.lag.counts)


def test_quantiles():
    from fastloop._metrics import Histogram

    none = Histogram((0,) * 34, 0.0)
    assert none.p50_s == none.p99_s == none.quantile_s(1) == 0.0
    counts = [0] * 34
    counts[0], counts[3], counts[10] = 98, 1, 1
    histogram = Histogram(tuple(counts), 0.0009)
    assert histogram.count == 100
    assert histogram.p50_s == 1e-6
    assert histogram.p99_s == 8e-6
    assert histogram.quantile_s(1.0) == 0.0009  # not above the longest
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="share from 0 to 1"):
            histogram.quantile_s(wrong)


def test_busy_and_idle(loop):
    async def main():
        await asyncio.sleep(0.1)
        time.sleep(0.1)

    loop.run_until_complete(main())
    first = loop.metrics()
    assert 0.09 < first.idle_s < 5
    assert 0.09 < first.busy_s < 5
    assert first.busy_s + first.idle_s <= first.uptime_s * 1.05
    time.sleep(0.05)  # stopped: neither
    second = loop.metrics()
    assert (second.busy_s, second.idle_s) == pytest.approx(
        (first.busy_s, first.idle_s), rel=0.2
    )
    assert second.uptime_s > first.uptime_s + 0.04


def test_from_another_thread_while_it_sleeps_and_while_it_works(loop):
    found = []
    running, working, looked = (threading.Event() for _ in range(3))

    def look():
        running.wait()
        while loop.metrics().step_since_s is not None:
            time.sleep(0.001)
        time.sleep(0.05)
        found.append(loop.metrics())
        loop.call_soon_threadsafe(work)
        working.wait()
        time.sleep(0.05)
        found.append(loop.metrics())
        looked.set()
        loop.call_soon_threadsafe(loop.stop)

    def work():
        working.set()
        looked.wait()

    thread = threading.Thread(target=look)
    thread.start()
    loop.call_soon(running.set)
    loop.run_forever()
    thread.join()
    sleeping, at_work = found
    assert sleeping.step_since_s is None
    assert sleeping.idle_s > 0.03
    assert 0.03 < at_work.now_s - at_work.step_since_s < 60
    assert at_work.wakeups == 1


def test_no_step_is_under_way_outside_of_one(loop):
    found = []
    run_once(loop)
    assert loop.metrics().step_since_s is None
    loop.call_soon(lambda: found.append(loop.metrics()))
    run_once(loop)
    assert found[0].step_since_s <= found[0].now_s <= time.monotonic()


def test_tasks(loop):
    event = asyncio.Event()
    tasks = [loop.create_task(event.wait()) for _ in range(5)]
    assert loop.metrics().tasks == 5
    run_once(loop)
    assert loop.metrics().tasks == 5
    tasks[0].cancel()
    run_once(loop)
    assert loop.metrics().tasks == 4
    event.set()
    run_once(loop)
    run_once(loop)
    assert loop.metrics().tasks == 0


def test_a_task_that_dies_pending_is_not_counted(loop):
    async def wait():
        await loop.create_future()

    loop.set_exception_handler(lambda loop, context: None)
    task = loop.create_task(wait())
    run_once(loop)
    gone = weakref.ref(task)
    del task
    gc.collect()
    assert gone() is None
    assert loop.metrics().tasks == 0


def test_transports(loop):
    async def main():
        server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
        before = loop.metrics().transports
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert loop.metrics().transports > before
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    loop.run_until_complete(main())
    assert loop.metrics().transports == 0


class Worker:
    def work(self):
        time.sleep(0.003)

    __call__ = work


def test_the_slowest_are_named(loop):
    async def slow_coroutine():
        time.sleep(0.03)

    def slow_callback():
        time.sleep(0.02)

    async def main():
        task = loop.create_task(slow_coroutine(), name="the slow one")
        loop.call_soon(slow_callback)
        loop.call_soon(Worker().work)
        loop.call_soon(Worker())
        loop.call_soon(time.sleep, 0.004)
        await task
        await asyncio.sleep(0.05)

    loop.run_until_complete(main())
    here = "test_the_slowest_are_named.<locals>."
    slowest = loop.metrics().slowest
    names = {step.name for step in slowest}
    called = "a task" if STOCK_TYPES else "the slow one"
    assert f"{called} ({here}slow_coroutine)" in names
    assert {f"{here}slow_callback", "Worker.work", "Worker", "sleep"} <= names
    times = [step.time_s for step in slowest]
    assert times == sorted(times, reverse=True)
    assert all(
        time.monotonic() - 60 < step.end_s < time.monotonic() for step in slowest
    )


def test_a_short_list_of_the_longest(loop):
    for n in range(30):
        loop.call_soon(time.sleep, 0.0011 + n * 0.0002)
    run_once(loop)
    metrics = loop.metrics()
    slowest = metrics.slowest
    assert len(slowest) == 8
    assert slowest[0].time_s == metrics.step_time.max_s
    assert all(step.time_s > 0.0045 for step in slowest)


def test_a_name_runs_nobodys_code(loop):
    class Odd:
        def __call__(self):
            time.sleep(0.002)

        def __getattribute__(self, name):
            raise AssertionError(name)

        __repr__ = __str__ = __call__

    asked = []

    class OddName(str):
        __slots__ = ()

        def __str__(self):
            asked.append("str")
            return self

    async def slow():
        time.sleep(0.002)

    loop.call_soon(Odd())
    loop.run_until_complete(loop.create_task(slow(), name="plain"))
    task = loop.create_task(slow())
    task.set_name(OddName("odd"))
    asked.clear()
    loop.run_until_complete(task)
    assert asked == []
    assert "Odd" in {step.name for step in loop.metrics().slowest}


def test_an_exception_that_leaves_a_slow_step_stays(loop):
    def leave():
        time.sleep(0.002)
        raise SystemExit(3)

    loop.call_soon(leave)
    with pytest.raises(SystemExit) as caught:
        loop.run_forever()
    assert caught.value.code == 3
    assert any(step.name.endswith("leave") for step in loop.metrics().slowest)


def test_a_cancelled_callback_is_released_in_time(loop):
    """What a step owned is given up before the next one begins to run."""

    class Thing:
        def method(self):
            pass

    thing = Thing()
    gone = weakref.ref(thing)
    loop.call_soon(thing.method)
    loop.call_soon(lambda: found.append(gone()))
    found = []
    del thing
    run_once(loop)
    assert found == [None]


def slow_ones(metrics, least_s=0.018):
    """The names of those that a busy machine does not make so slow by itself."""
    return [step.name for step in metrics.slowest if step.time_s > least_s]


class SlowlyGone:
    def __del__(self):
        time.sleep(0.02)

    def method(self):
        pass


@at_speed  # else other steps are slow, too
def test_what_is_slow_to_go_after_a_step_is_counted(loop):
    """Before a sleep, at the end of the run, or in the time of the next step."""

    async def main():
        await asyncio.sleep(0)
        loop.call_soon(SlowlyGone().method)
        await asyncio.sleep(0.05)

    loop.run_until_complete(main())
    metrics = loop.metrics()
    assert slow_ones(metrics) == ["between steps"]
    assert 0.02 <= metrics.step_time.max_s * 1.05 < 5
    assert metrics.busy_s * 1.05 >= 0.02

    loop.reset_metrics()
    loop.call_soon(loop.stop)
    loop.call_soon(SlowlyGone().method)
    loop.run_forever()
    assert slow_ones(loop.metrics()) == ["between steps"]

    loop.reset_metrics()
    loop.call_soon(SlowlyGone().method)
    loop.call_soon(Worker.work, None)
    run_once(loop)
    assert slow_ones(loop.metrics(), 0.022) == ["Worker.work"]


def test_a_step_has_the_time_of_what_it_runs_within(loop):
    def outer():
        time.sleep(0.01)
        loop.call_soon(time.sleep, 0.01)
        loop._run_once()
        time.sleep(0.01)

    loop.call_soon(outer)
    run_once(loop)
    slowest = loop.metrics().slowest
    times = {step.name.rpartition(".")[2]: step.time_s for step in slowest}
    assert times["outer"] * 1.05 > 0.03
    assert times["sleep"] < times["outer"]


def test_reset(loop):
    loop.call_soon(time.sleep, 0.01)
    run_once(loop)
    before = loop.metrics()
    loop.reset_metrics()
    after = loop.metrics()
    assert after.step_time.count == after.lag.count == 0
    assert after.step_time.max_s == after.lag.max_s == 0.0
    assert after.slowest == ()
    assert loop.stats()["longest_step_s"] == 0.0
    assert (after.steps, after.iterations) == (before.steps, before.iterations)
    assert after.busy_s >= before.busy_s
    loop.call_soon(time.sleep, 0.002)
    run_once(loop)
    assert 0.0015 < loop.metrics().step_time.max_s < 5
    assert "sleep" in {step.name for step in loop.metrics().slowest}


def test_reset_within_a_step_behind_others(loop):
    for _ in range(5):
        loop.call_soon(time.sleep, 0.0005)
    loop.call_soon(loop.reset_metrics)
    for _ in range(5):
        loop.call_soon(int)
    run_once(loop)
    metrics = loop.metrics()
    assert metrics.step_time.count == metrics.lag.count == 7


def test_after_close(loop):
    loop.call_soon(int)
    run_once(loop)
    loop.close()
    metrics = loop.metrics()
    assert metrics.steps == 2
    assert metrics.ready == metrics.tasks == metrics.transports == 0
