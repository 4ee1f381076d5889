"""Descriptors closed, reused or held elsewhere while they are watched.

A watch is of a file. Who closes a number behind the loop's back makes it stale; a file
that is kept open elsewhere goes on being reported by the kernel, as a ghost.
"""

import asyncio
import errno
import os
import signal
import socket

import pytest

from tests.support import child_says, own_types


def run_once(loop):
    loop.call_soon(loop.stop)
    loop.run_forever()


def reuse(sock):
    """Close the socket; another one of the same number, and its peer."""
    number = sock.fileno()
    sock.close()
    other, peer = socket.socketpair()
    if other.fileno() != number:
        moved = socket.socket(fileno=os.dup2(other.fileno(), number))
        other.close()
        other = moved
    for each in (other, peer):
        each.setblocking(False)
    return other, peer


def close_all(*socks):
    for sock in socks:
        sock.close()


@pytest.fixture
def stale(loop):
    """A stale watch: what it calls, and the socket that has its number now."""
    left, right = socket.socketpair()
    seen = []
    loop.add_reader(left, seen.append, "stale")
    other, peer = reuse(left)
    yield seen, other, peer
    loop.remove_reader(other)
    close_all(other, peer, right)


def test_a_stale_watch_is_not_told_of_the_next_file(loop, stale):
    seen, _, peer = stale
    peer.send(b"x")
    for _ in range(3):
        run_once(loop)
    assert seen == []


def test_nor_after_a_ghost(loop, stale):
    """Whatever rids the loop of a ghost does not watch the numbers it remembers."""
    seen, _, peer = stale
    for _ in range(3):
        left, right = socket.socketpair()
        copy = left.dup()
        number = left.fileno()
        loop.add_reader(left, int)
        left.close()
        loop.remove_reader(number)
        right.send(b"x")
        peer.send(b"x")
        for _ in range(3):
            run_once(loop)
        close_all(copy, right)
    assert seen == []


def test_the_other_direction_of_a_stale_watch_is_an_error(loop, stale):
    seen, other, peer = stale
    with pytest.raises(FileNotFoundError):
        loop.add_writer(other, seen.append, "writable")
    peer.send(b"x")
    run_once(loop)
    assert seen == []
    assert loop.remove_reader(other) is False
    loop.add_writer(other, seen.append, "new")
    run_once(loop)
    assert seen == ["new"]
    loop.remove_writer(other)


def test_taking_one_direction_off_a_stale_watch_is_an_error(loop):
    left, right = socket.socketpair()
    seen = []
    loop.add_reader(left, seen.append, "reader")
    loop.add_writer(left, seen.append, "writer")
    other, peer = reuse(left)
    with pytest.raises(FileNotFoundError):
        loop.remove_writer(other)
    peer.send(b"x")
    run_once(loop)
    assert seen == []
    assert loop.remove_reader(other) is False
    close_all(other, peer, right)


def test_a_number_that_is_a_regular_file_now(loop, tmp_path):
    left, right = socket.socketpair()
    loop.add_reader(left, int)
    number = left.detach()
    with open(tmp_path / "file", "w") as file:
        os.dup2(file.fileno(), number)
    with pytest.raises(PermissionError):
        loop.add_writer(number, int)
    assert loop.remove_reader(number) is False
    os.close(number)
    right.close()


def test_an_operation_on_a_reused_number(run):
    """The number of a socket that was awaited before, as every server has it."""

    async def main():
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        left.setblocking(False)
        for i in range(5):
            waiting = asyncio.ensure_future(loop.sock_recv(left, 9))
            await asyncio.sleep(0)
            right.send(b"%d" % i)
            assert await waiting == b"%d" % i
            right.close()
            left, right = reuse(left)
        close_all(left, right)

    run(main())


@own_types
def test_an_operation_on_a_number_closed_under_another(run_fast):
    """asyncio never ends either."""

    async def main():
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        left.setblocking(False)
        first = asyncio.ensure_future(loop.sock_recv(left, 9))
        await asyncio.sleep(0)
        other, peer = reuse(left)
        second = asyncio.ensure_future(loop.sock_recv(other, 9))
        await asyncio.sleep(0)
        peer.send(b"new")
        assert await second == b"new"
        with pytest.raises(OSError) as caught:
            await first
        assert caught.value.errno == errno.EBADF
        close_all(other, peer, right)

    run_fast(main())


@pytest.fixture
def run_fast(run, loop_kind):
    if loop_kind != "fastloop":
        pytest.skip("asyncio does otherwise")
    return run


def test_both_directions_are_awaited_at_once(run):
    async def main():
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        for sock in (left, right):
            sock.setblocking(False)
        much = bytes(4_000_000)
        sending = asyncio.ensure_future(loop.sock_sendall(left, much))
        got = []
        for i in range(50):
            reading = asyncio.ensure_future(loop.sock_recv(left, 9))
            await asyncio.sleep(0)
            right.send(b"%d" % i)
            got.append(await reading)
        n_read = 0
        while n_read < len(much):
            n_read += len(await loop.sock_recv(right, 1 << 20))
        await sending
        assert got == [b"%d" % i for i in range(50)]
        close_all(left, right)

    run(main())


def test_a_callback_after_an_operation_is_told_as_long_as_it_is_ready(loop):
    left, right = socket.socketpair()
    left.setblocking(False)
    seen = []

    async def receive():
        return await loop.sock_recv(left, 1)

    for _ in range(3):
        loop.call_later(0.001, right.send, b"x")
        assert loop.run_until_complete(receive()) == b"x"
        right.send(b"y")
        loop.add_reader(left, seen.append, "ready")
        for _ in range(3):
            run_once(loop)
        assert seen == ["ready"] * 3
        del seen[:]
        assert loop.remove_reader(left) is True
        assert loop.remove_reader(left) is False
        assert left.recv(9) == b"y"
    close_all(left, right)


def test_an_interrupted_poll_loses_no_operation(loop):
    """What a signal's exception leaves behind is told in the next run."""
    left, right = socket.socketpair()
    left.setblocking(False)

    class Interrupted(BaseException):
        pass

    def interrupt(*args):
        right.send(b"x")
        raise Interrupted

    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(5):
            waiting = loop.create_task(loop.sock_recv(left, 1))
            run_once(loop)
            with pytest.raises(Interrupted):
                # It may come before the loop runs.
                signal.setitimer(signal.ITIMER_REAL, 0.002)
                loop.run_forever()
            assert loop.run_until_complete(asyncio.wait_for(waiting, 5)) == b"x"
    finally:
        signal.signal(signal.SIGALRM, previous)
    close_all(left, right)


# ---- ghosts ----


def make_ghost(loop, how):
    """A file that is reported and has no watch; what keeps it, to be closed."""
    left, right = socket.socketpair()
    left.setblocking(False)
    copy = left.dup()
    number = left.fileno()
    if how == "reader":
        loop.add_reader(left, int)
        left.close()
        loop.remove_reader(number)
    elif how == "writer":
        loop.add_writer(left, int)
        left.close()
        loop.remove_writer(number)
    elif how == "cancelled":
        task = loop.create_task(loop.sock_recv(left, 9))
        run_once(loop)
        left.close()
        task.cancel()
        run_once(loop)
    elif how == "received":
        task = loop.create_task(loop.sock_recv(left, 9))
        run_once(loop)
        right.send(b"x")
        assert loop.run_until_complete(task) == b"x"
        left.close()
    right.send(b"for the other")
    return [copy, right]


GHOSTS = ["reader", "writer", "cancelled", "received"]


@pytest.mark.parametrize("how", GHOSTS)
def test_a_ghost_does_not_keep_the_loop_awake(fast_loop, how):
    """asyncio spins."""
    loop = fast_loop
    kept = []
    for _ in range(3):
        kept += make_ghost(loop, how)
        for _ in range(3):
            run_once(loop)
    before = loop.stats()["polls"]
    loop.call_later(0.02, loop.stop)
    loop.run_forever()
    assert loop.stats()["polls"] - before < 4
    close_all(*kept)


@pytest.mark.parametrize("how", GHOSTS)
def test_what_is_watched_beside_a_ghost_is_told(loop, how):
    socks = [socket.socketpair() for _ in range(20)]
    seen = []
    for i, (left, _) in enumerate(socks):
        loop.add_reader(left, seen.append, i)
    kept = []
    for _ in range(4):
        kept += make_ghost(loop, how)
        run_once(loop)
        for _, right in socks[::3]:
            right.send(b"x")
        for _ in range(2):  # as long as it is ready
            del seen[:]
            run_once(loop)
            assert sorted(seen) == list(range(0, 20, 3))
        for left, _ in socks[::3]:
            left.recv(9)
        del seen[:]
        run_once(loop)
        assert seen == []
    for left, right in socks:
        assert loop.remove_reader(left) is True
        close_all(left, right)
    close_all(*kept)


COST = """
import asyncio, os, resource, socket, time
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

def cost(how, idle):
    loop = new_event_loop()
    held = []
    for _ in range(idle // 2):
        held += socket.socketpair()
    for sock in held:
        loop.add_reader(sock, int)
    kept, took = [], []
    for _ in range(15):
        start = time.process_time()
        left, right = socket.socketpair()
        left.setblocking(False)
        kept += [left.dup(), right]
        number = left.fileno()
        if how == "add_reader":
            loop.add_reader(left, int)
        else:
            task = loop.create_task(loop.sock_recv(left, 9))
            loop.call_soon(loop.stop)
            loop.run_forever()
            right.send(b"x")
            loop.run_until_complete(task)
        left.close()
        loop.remove_reader(number)
        right.send(b"for the other")
        for _ in range(5):
            loop.call_soon(loop.stop)
            loop.run_forever()
        took.append(time.process_time() - start)
    for sock in held:
        loop.remove_reader(sock)
    for sock in held + kept:
        sock.close()
    loop.close()
    return sorted(took)[7]

for how in "add_reader", "sock_recv":
    few, many = cost(how, 50), cost(how, 3000)
    print("alike" if many < 3 * few else (few, many))
"""


def test_a_closed_fd_costs_the_same_however_many_are_idle(loop_kind):
    assert child_says(loop_kind, COST) == "alike\nalike\n"


def test_a_transport_closed_behind_its_back_ends(run):
    async def main():
        loop = asyncio.get_running_loop()
        lost = loop.create_future()

        class Protocol(asyncio.Protocol):
            def connection_lost(self, exc):
                lost.set_result(exc)

        left, right = socket.socketpair()
        copy = left.dup()
        await loop.create_connection(Protocol, sock=left)
        left.close()
        right.send(b"for the other")
        exc = await asyncio.wait_for(lost, 5)
        assert isinstance(exc, OSError) and exc.errno == errno.EBADF
        for _ in range(5):
            await asyncio.sleep(0)
        close_all(copy, right)

    run(main())


# ---- the loop's own ----


def test_the_loops_own_fds_closed_by_another(loop_kind):
    """As daemons do that close whatever they find open."""
    source = """
import errno, os
loop = new_event_loop()
loop.call_soon(loop.stop)
loop.run_forever()
os.closerange(3, 1000)
loop.call_later(0.01, loop.stop)
try:
    loop.run_forever()
except OSError as exc:
    print(errno.errorcode[exc.errno])
os._exit(0)
"""
    assert child_says(loop_kind, source, flags=()) == "EBADF\n"
