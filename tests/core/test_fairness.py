"""Sockets, signals and threads beside a busy loop, counted in iterations.

asyncio polls in every iteration. A loop that does so less often must not be seen to:
the limits here are asyncio's own counts, or twice them where a signal or thread is
on its way.
"""

import asyncio
import os
import signal
import socket
import statistics
import sys
import threading
import time

import pytest


def spin(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


class Busy:
    """Callbacks that follow each other; asks `watch` what happened at which one."""

    def __init__(self, loop, *, at, action, step_s=0.0, limit=400):
        self.loop, self.at, self.action, self.step_s = loop, at, action, step_s
        self.count, self.noticed, self.limit = 0, None, at + limit
        loop.call_soon(self.tick)
        loop.run_forever()

    def tick(self):
        self.count += 1
        if self.count == self.at:
            self.action(self)
        if self.step_s:
            spin(self.step_s)
        if self.noticed is None and self.count < self.limit:
            self.loop.call_soon(self.tick)
        else:
            self.loop.stop()

    def notice(self):
        if self.noticed is None:
            self.noticed = self.count

    @property
    def waited(self):
        """Iterations from the action to its consequence."""
        assert self.noticed is not None, "starved"
        return self.noticed - self.at


def watched(loop, busy_args, pair):
    left, right = pair

    def action(busy):
        right.send(b"x")
        loop.add_reader(left, lambda: (busy.notice(), loop.remove_reader(left)))

    return Busy(loop, action=action, **busy_args).waited


def ready_while_watched(loop, busy_args, pair):
    """The same of a socket that is watched before."""
    left, right = pair
    holder = []

    def readable():
        holder[0].notice()
        loop.remove_reader(left)

    loop.add_reader(left, readable)

    def action(busy):
        holder.append(busy)
        right.send(b"x")

    return Busy(loop, action=action, **busy_args).waited


@pytest.mark.parametrize("at", range(1, 12))
def test_a_ready_socket_in_the_first_iterations(loop, pair, at):
    assert ready_while_watched(loop, {"at": at}, pair) == 1


@pytest.mark.parametrize("at", [50, 200])
def test_a_ready_socket_in_a_long_streak_of_slow_callbacks(loop, pair, at):
    """Steps longer than the polling interval: polled in each iteration."""
    assert ready_while_watched(loop, {"at": at, "step_s": 0.0003}, pair) == 1


def test_a_ready_socket_in_a_long_streak_of_fast_callbacks(loop, pair):
    """At most 100 us beyond what asyncio takes; bounded here a hundred times wider."""
    left, right = pair
    waits = []

    def readable():
        left.recv(1)
        waits.append(time.perf_counter() - sent)

    loop.add_reader(left, readable)

    async def main():
        nonlocal sent
        for _ in range(20):
            for _ in range(200):
                await asyncio.sleep(0)
            n = len(waits)
            sent = time.perf_counter()
            right.send(b"x")
            while len(waits) == n:
                await asyncio.sleep(0)

    sent = 0.0
    loop.run_until_complete(main())
    loop.remove_reader(left)
    assert statistics.median(waits) < 0.01


@pytest.mark.parametrize("at", [5, 100])
def test_a_new_watch_is_polled_at_once(loop, pair, at):
    assert watched(loop, {"at": at}, pair) == 1


@pytest.mark.parametrize("at", [5, 100])
def test_a_signal_handler(loop, at):
    holder = []
    loop.add_signal_handler(signal.SIGUSR1, lambda: holder[0].notice())

    def action(busy):
        holder.append(busy)
        os.kill(os.getpid(), signal.SIGUSR1)

    step_s = 0.0003 if at > 16 else 0
    waited = Busy(loop, at=at, action=action, step_s=step_s).waited
    loop.remove_signal_handler(signal.SIGUSR1)
    assert waited <= 4  # asyncio: 2


@pytest.mark.parametrize("at", [5, 100])
def test_a_threadsafe_call(loop, at):
    def action(busy):
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=(busy.notice,))
        thread.start()
        thread.join()

    assert Busy(loop, at=at, action=action).waited <= 2  # asyncio: 1


@pytest.mark.parametrize("at", [5, 100])
def test_a_threadsafe_call_of_its_own_thread(loop, at):
    def action(busy):
        loop.call_soon_threadsafe(busy.notice)

    assert Busy(loop, at=at, action=action).waited <= 2  # asyncio: 1


def test_an_executors_answer_beside_a_busy_task(run):
    """The busy loop gives the GIL away: no waiting for the switch interval."""

    async def main():
        loop = asyncio.get_running_loop()
        end = False

        async def busy():
            while not end:
                await asyncio.sleep(0)

        task = asyncio.create_task(busy())
        await loop.run_in_executor(None, int)
        took = []
        for _ in range(20):
            start = time.perf_counter()
            await loop.run_in_executor(None, int)
            took.append(time.perf_counter() - start)
        end = True
        await task
        return statistics.median(took)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.05)
    try:
        assert run(main()) < 0.025
    finally:
        sys.setswitchinterval(interval)


def test_own_io_within_a_counted_number_of_sleeps(run):
    """Programs that count sleep(0)s to let their own bytes arrive."""

    async def main():
        reads = []

        class Protocol(asyncio.Protocol):
            def data_received(self, data):
                reads.append(data)

        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        right.setblocking(False)
        transport, _ = await loop.create_connection(Protocol, sock=left)
        found = []
        for _ in range(10):
            right.send(b"x")
            sleeps = 0
            while not reads:
                await asyncio.sleep(0)
                sleeps += 1
            reads.clear()
            found.append(sleeps)
        transport.close()
        right.close()
        await asyncio.sleep(0)
        return found

    assert max(run(main())) <= 2  # poll, and the callback behind this task's step


def test_timers_beside_a_busy_task(run):
    async def main():
        seen = []

        async def ticker():
            for _ in range(10):
                await asyncio.sleep(0.002)
                seen.append(1)

        task = asyncio.create_task(ticker())
        start = time.perf_counter()
        while not task.done():
            await asyncio.sleep(0)
        return time.perf_counter() - start

    assert 0.02 <= run(main()) < 0.5


def test_a_reader_that_never_ends_lets_others_run(loop, pair):
    """A socket that is always ready starves neither timers nor callbacks."""
    left, right = pair
    right.send(b"x")
    seen = []
    loop.add_reader(left, lambda: None)
    loop.call_later(0.005, seen.append, "timer")
    loop.call_soon(seen.append, "soon")
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    loop.remove_reader(left)
    assert seen == ["soon", "timer"]
