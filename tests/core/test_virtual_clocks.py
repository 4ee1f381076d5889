"""Clocks of tests that others bring: select() and time() replaced on a loop."""

import asyncio
import contextlib
import functools
import gc
import socket
import sys
import threading
import time
from unittest import mock

import pytest

LONG_S = 1000
POLLS_BEFORE_A_JUMP = 5


class JumpingClock(asyncio.BaseEventLoop):
    """A mixin that polls a few times, and moves its time if nothing comes."""

    now_s = 0.0
    quiet = 0

    def time(self):
        return self.now_s

    def jump_from_now_on(self):
        self.select_by_fds = self._selector.select
        self._selector.select = self.select

    def select(self, timeout):
        ready = self.select_by_fds(timeout=0)
        if ready or timeout == 0:
            self.quiet = 0
        elif timeout is None:
            # in two parts, as somebody may who wants to look in between
            ready = self.select_by_fds(timeout=0.2) + self.select_by_fds(timeout=0.2)
        elif self.quiet < POLLS_BEFORE_A_JUMP:
            self.quiet += 1
        else:
            self.now_s += timeout
            self.quiet = 0
        return ready


@pytest.fixture(params=["from its class", "later"])
def jumping(request, loop_factory):
    """A loop whose class is mixed with that one from the beginning, or changed."""
    loop = loop_factory()
    kind = type("Jumping", (JumpingClock, type(loop)), {})
    if request.param == "later":
        loop.__class__ = kind
    else:
        loop.close()
        loop = kind()
    loop.jump_from_now_on()
    yield loop
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


@contextlib.contextmanager
def moved_by_timeouts(loop):
    """Each poll takes no time, and moves the loop's by what it was to take."""
    now_s = [0.0]

    def select(select_by_fds, timeout):
        now_s[0] += timeout or 0
        return select_by_fds(0 if timeout is not None else None)

    with (
        mock.patch.object(
            loop._selector,
            "select",
            new=functools.partial(select, loop._selector.select),
        ),
        mock.patch.object(loop, "_clock_resolution", new=0.001),
        mock.patch.object(loop, "time", new=lambda: now_s[0]),
    ):
        yield


async def wakes(loop):
    seen = []

    async def sleeper(delay_s):
        await asyncio.sleep(delay_s)
        seen.append((delay_s, loop.time()))

    await asyncio.gather(*(sleeper(delay_s) for delay_s in (0.3, 0.1, LONG_S)))
    try:
        async with asyncio.timeout(LONG_S):
            await asyncio.Event().wait()
    except TimeoutError:
        seen.append(loop.time())
    return seen


EXPECTED = [(0.1, 0.1), (0.3, 0.3), (LONG_S, LONG_S), 2 * LONG_S]


async def echo():
    """By a server and a client of one process."""

    async def serve(reader, writer):
        for _ in range(3):
            writer.write(await reader.readline())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address)
        lines = []
        for line in b"a\n", b"b\n", b"c\n":
            writer.write(line)
            lines.append(await reader.readline())
        writer.close()
        await writer.wait_closed()
    return lines


def test_a_mixin_jumps(jumping):
    began = time.monotonic()
    assert jumping.run_until_complete(wakes(jumping)) == EXPECTED
    assert time.monotonic() - began < 20


def test_a_mixin_sees_io(jumping):
    assert jumping.run_until_complete(echo()) == [b"a\n", b"b\n", b"c\n"]
    assert jumping.time() == 0


def test_a_mixin_waits_for_threads(jumping):
    async def main():
        ended = asyncio.Event()
        go = threading.Event()

        def work():
            go.wait()
            jumping.call_soon_threadsafe(ended.set)

        thread = threading.Thread(target=work)
        thread.start()
        jumping.call_soon(go.set)
        await ended.wait()
        thread.join()

    jumping.run_until_complete(main())
    assert jumping.time() == 0


def test_a_reader_is_called_once_for_each_time_it_is_ready(jumping):
    """However often the mixin polls before."""
    ours, theirs = socket.socketpair()
    calls = []

    def read():
        calls.append(ours.recv(10))
        if len(calls) == 3:
            jumping.stop()
        else:
            theirs.send(b"again")

    with ours, theirs:
        ours.setblocking(False)
        jumping.add_reader(ours, read)
        theirs.send(b"first")
        jumping.run_forever()
        jumping.remove_reader(ours)
    assert calls == [b"first", b"again", b"again"]


def test_for_as_long_as_it_is_replaced(run):
    async def main():
        loop = asyncio.get_running_loop()
        resolution_s = loop._clock_resolution
        began = time.monotonic()
        with moved_by_timeouts(loop):
            seen = await wakes(loop)
            lines = await echo()
            assert loop._clock_resolution == 0.001
        assert loop._clock_resolution == resolution_s > 0
        assert time.monotonic() - began < 20
        before = loop.time()
        await asyncio.sleep(0.05)
        assert loop.time() - before >= 0.05
        return seen, lines

    seen, lines = run(main())
    assert [when if type(when) is float else when[0] for when in seen] == (
        [0.1, 0.3, LONG_S, seen[-1]]
    )
    assert seen[-1] == pytest.approx(2 * LONG_S, abs=0.01)
    assert lines == [b"a\n", b"b\n", b"c\n"]


def test_select_says_what_there_is(loop):
    """Where the program calls it itself."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        loop.add_reader(ours, ours.recv, 1)
        assert not loop._selector.select(0)
        theirs.send(b"a")
        assert loop._selector.select(0)
        loop.remove_reader(ours)


def test_a_select_that_fails(loop):
    error = OSError("no poll")
    with (
        mock.patch.object(loop._selector, "select", side_effect=error),
        pytest.raises(OSError, match="no poll"),
    ):
        loop.run_forever()
    loop.call_soon(loop.stop)
    loop.run_forever()


def test_a_clock_that_fails_under_a_replaced_select(loop):
    timer = loop.call_later(LONG_S, print)
    select = loop._selector.select
    with (
        mock.patch.object(loop._selector, "select", new=select),
        mock.patch.object(loop, "time", side_effect=OSError("no clock")),
        pytest.raises(OSError, match="no clock"),
    ):
        loop.run_forever()
    timer.cancel()


def test_a_loop_with_a_replaced_select_can_go(loop_factory):
    loop = loop_factory()
    select = mock.Mock(wraps=loop._selector.select)
    loop._selector.select = select
    loop.run_until_complete(asyncio.sleep(0))
    assert select.called
    loop.close()
    assert loop._selector is None
    del loop, select
    gc.collect()


def test_an_asyncio_that_goes_on_by_the_true_clock(run):
    """As where a program stops the time of all but asyncio's loops."""

    async def main():
        loop = asyncio.get_running_loop()
        kind = asyncio.SelectorEventLoop
        true_time = time.monotonic
        with (
            mock.patch("time.monotonic", lambda: 5.0),
            mock.patch.object(kind, "time", lambda self: true_time()),
        ):
            before = loop.time()
            await asyncio.sleep(0.05)
            assert loop.time() - before >= 0.05
        await asyncio.sleep(0)
        assert loop.time() == pytest.approx(true_time(), abs=10)

    run(main())


def test_a_clock_that_is_moved_by_hand(run):
    """As those that stop time.monotonic and are told to go on."""

    async def main():
        loop = asyncio.get_running_loop()
        with mock.patch("time.monotonic", mock.Mock(return_value=5.0)) as clock:
            sleeper = asyncio.create_task(asyncio.sleep(10))
            seen = []
            for clock.return_value in 5.0, 14.9, 15.1:
                for _ in range(20):
                    await asyncio.sleep(0)
                seen.append((sleeper.done(), loop.time()))
        return seen

    late = sys.version_info < (3, 12)  # no sign of a change but by looking
    assert run(main())[late:] == [(False, 5.0), (False, 14.9), (True, 15.1)][late:]


def test_a_clock_put_back_and_another_within_a_run(loop_factory):
    """The first keeps asyncio's loop.time() true, as freezegun's real_asyncio does."""
    kind = asyncio.SelectorEventLoop
    true = time.monotonic

    async def main(loop):
        inherited = kind.time
        with mock.patch("time.monotonic", lambda: 5.0):
            kind.time = lambda loop: true()
            try:
                assert loop.time() > 5.0
                await asyncio.sleep(0.05)
            finally:
                kind.time = inherited
            assert loop.time() == 5.0
        now = [7.0]
        with mock.patch("time.monotonic", lambda: now[0]):
            assert loop.time() == 7.0
            moved = loop.create_future()
            loop.call_later(LONG_S, moved.set_result, None)
            loop.call_soon(now.__setitem__, 0, 7.0 + LONG_S)
            await moved
        assert abs(loop.time() - true()) < LONG_S / 2

    loop = loop_factory()
    try:
        loop.run_until_complete(main(loop))
    finally:
        if "time" in kind.__dict__:
            del kind.time
        loop.close()
