"""add_reader, add_writer and their removal: every kind of fd, at any moment."""

import asyncio
import contextlib
import gc
import os
import socket
import tempfile
import threading
import weakref

import pytest

from tests.support import run_once, run_until


@pytest.fixture(params=["int", "socket"])
def as_fd(request):
    """A socket as a number or as itself."""
    return (lambda sock: sock.fileno()) if request.param == "int" else lambda sock: sock


def test_a_reader_is_called_while_there_is_something_to_read(loop, pair, as_fd):
    left, right = pair
    seen = []
    assert loop.add_reader(as_fd(left), seen.append, "r") is None
    run_once(loop)
    assert seen == []
    right.send(b"xy")
    run_once(loop)
    run_once(loop)
    assert seen == ["r", "r"]
    left.recv(10)
    run_once(loop)
    assert seen == ["r", "r"]
    assert loop.remove_reader(as_fd(left)) is True
    right.send(b"z")
    run_once(loop)
    assert seen == ["r", "r"]


def test_a_writer_is_called_while_there_is_room(loop, pair, as_fd):
    left, right = pair
    seen = []
    assert loop.add_writer(as_fd(left), seen.append, "w") is None
    run_once(loop)
    assert seen == ["w"]
    with contextlib.suppress(BlockingIOError):
        while True:
            left.send(bytes(65536))
    seen.clear()
    run_once(loop)
    assert seen == []
    while True:
        try:
            right.recv(1 << 20)
        except BlockingIOError:
            break
    run_once(loop)
    assert seen == ["w"]
    assert loop.remove_writer(as_fd(left)) is True
    run_once(loop)
    assert seen == ["w"]


def test_remove_says_whether_there_was_something(loop, pair, as_fd):
    left, _ = pair
    fd = as_fd(left)
    assert loop.remove_reader(fd) is False
    assert loop.remove_writer(fd) is False
    loop.add_reader(fd, int)
    assert loop.remove_writer(fd) is False
    assert loop.remove_reader(fd) is True
    assert loop.remove_reader(fd) is False
    loop.add_writer(fd, int)
    assert loop.remove_reader(fd) is False
    assert loop.remove_writer(fd) is True
    assert loop.remove_writer(fd) is False


def test_reader_and_writer_of_one_fd(loop, pair):
    left, right = pair
    seen = []
    right.send(b"x")
    loop.add_reader(left, seen.append, "r")
    loop.add_writer(left, seen.append, "w")
    run_once(loop)
    assert sorted(seen) == ["r", "w"]
    loop.remove_reader(left)
    seen.clear()
    run_once(loop)
    assert seen == ["w"]
    loop.add_reader(left, seen.append, "r")
    loop.remove_writer(left)
    seen.clear()
    run_once(loop)
    assert seen == ["r"]
    loop.remove_reader(left)


def test_a_second_reader_replaces_the_first(loop, pair):
    left, right = pair
    seen = []
    right.send(b"x")
    loop.add_reader(left, seen.append, "first")
    loop.add_reader(left.fileno(), seen.append, "second")
    loop.add_writer(left, seen.append, "w")
    loop.add_writer(left, seen.append, "w2")
    run_once(loop)
    assert sorted(seen) == ["second", "w2"]
    assert loop.remove_reader(left) is True
    assert loop.remove_reader(left) is False
    loop.remove_writer(left)


def test_the_replaced_callback_is_freed(loop, pair):
    left, _ = pair

    class Reader:
        def __call__(self):
            pass

    first, last = Reader(), Reader()
    gone = [weakref.ref(first), weakref.ref(last)]
    loop.add_reader(left, first)
    loop.add_reader(left, last)
    del first
    gc.collect()
    assert gone[0]() is None
    loop.remove_reader(left)
    del last
    gc.collect()
    assert gone[1]() is None


def test_the_private_forms_return_the_handle(loop, pair):
    """asyncio's own transports and sock_ methods are built on these."""
    left, _ = pair
    reader = loop._add_reader(left.fileno(), int)
    writer = loop._add_writer(left.fileno(), int)
    assert isinstance(reader, asyncio.Handle)
    assert isinstance(writer, asyncio.Handle)
    other = loop._add_reader(left.fileno(), int)
    assert reader.cancelled()
    assert not other.cancelled()
    assert loop._remove_reader(left.fileno()) is True
    assert loop._remove_writer(left.fileno()) is True
    assert other.cancelled()
    assert writer.cancelled()
    assert loop._remove_reader(left.fileno()) is False


def test_a_reader_removes_itself(loop, pair):
    left, right = pair
    right.send(b"x")
    seen = []
    loop.add_reader(left, lambda: seen.append(loop.remove_reader(left)))
    run_once(loop)
    run_once(loop)
    assert seen == [True]


def test_a_removed_reader_does_not_run_in_the_same_iteration(loop):
    """Two fds are ready at once; whichever comes first removes the other."""
    pairs = [socket.socketpair() for _ in range(4)]
    seen = []

    def readable(n):
        seen.append(n)
        for left, _ in pairs:
            loop.remove_reader(left)

    for n, (left, right) in enumerate(pairs):
        right.send(b"x")
        loop.add_reader(left, readable, n)
    run_once(loop)
    run_once(loop)
    assert len(seen) == 1
    for left, right in pairs:
        left.close()
        right.close()


def test_removed_and_added_again_in_a_callback(loop, pair):
    left, right = pair
    right.send(b"x")
    seen = []

    def first():
        seen.append("first")
        loop.remove_reader(left)
        loop.add_reader(left, seen.append, "second")

    loop.add_reader(left, first)
    run_once(loop)
    assert seen == ["first"]
    run_once(loop)
    assert seen == ["first", "second"]
    loop.remove_reader(left)


def test_removed_by_a_callback_that_runs_before_it(loop, pair):
    left, right = pair
    right.send(b"x")
    seen = []
    loop.add_reader(left, seen.append, "r")
    # What is ready runs before what the poll finds, in the same iteration.
    loop.call_soon(loop.remove_reader, left)
    run_once(loop)
    run_once(loop)
    assert seen == []


def test_a_handle_cancelled_behind_the_loops_back(loop, pair):
    left, right = pair
    right.send(b"x")
    seen = []
    handle = loop._add_reader(left.fileno(), seen.append, "r")
    handle.cancel()
    run_once(loop)
    assert seen == []
    # The event that found it cancelled removed it.
    assert loop.remove_reader(left) is False


def test_a_reader_that_raises_stays(loop, pair, logs):
    left, right = pair
    right.send(b"x")
    count = 0

    def readable():
        nonlocal count
        count += 1
        raise ValueError("from a reader")

    loop.add_reader(left, readable)
    run_once(loop)
    run_once(loop)
    assert count == 2
    assert loop.remove_reader(left) is True
    records = logs.take()
    assert len(records) == 2
    assert all("from a reader" in text for _, text in records)


def test_end_of_file_and_hang_up_are_readable(loop, pair):
    left, right = pair
    seen = []
    loop.add_reader(left, seen.append, "r")
    right.close()
    run_once(loop)
    assert seen == ["r"]
    loop.remove_reader(left)
    loop.add_writer(left, seen.append, "w")
    run_once(loop)
    assert seen == ["r", "w"]
    loop.remove_writer(left)


def test_pipes(loop):
    read, write = os.pipe()
    seen = []
    loop.add_reader(read, seen.append, "r")
    loop.add_writer(write, seen.append, "w")
    run_once(loop)
    assert seen == ["w"]
    os.write(write, b"x")
    loop.remove_writer(write)
    run_once(loop)
    assert seen == ["w", "r"]
    os.read(read, 1)
    # The write end of a pipe that nobody reads is writable, and says EPIPE.
    loop.remove_reader(read)
    os.close(read)
    loop.add_writer(write, seen.append, "broken")
    run_once(loop)
    assert seen == ["w", "r", "broken"]
    loop.remove_writer(write)
    os.close(write)


def test_a_refused_connection_is_writable(loop):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = closed.getsockname()
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex(address)
        seen = []
        loop.add_writer(sock, seen.append, 1)
        run_until(loop, lambda: seen)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        loop.remove_writer(sock)


@pytest.mark.parametrize("name", ["add_reader", "add_writer"])
class TestBadFds:
    def test_regular_file(self, loop, name):
        with (
            tempfile.TemporaryFile() as file,
            pytest.raises(PermissionError),
        ):
            getattr(loop, name)(file.fileno(), int)

    def test_closed_number(self, loop, name):
        read, write = os.pipe()
        os.close(read)
        os.close(write)
        with pytest.raises(OSError, match="Bad file descriptor"):
            getattr(loop, name)(read, int)
        remove = getattr(loop, name.replace("add", "remove"))
        assert remove(read) is False

    def test_closed_socket(self, loop, name):
        sock = socket.socket()
        sock.close()
        with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
            getattr(loop, name)(sock, int)
        with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
            getattr(loop, name.replace("add", "remove"))(sock)

    @pytest.mark.parametrize("fd", [-1, -5])
    def test_negative(self, loop, name, fd):
        with pytest.raises(ValueError, match=f"Invalid file descriptor: {fd}"):
            getattr(loop, name)(fd, int)

    @pytest.mark.parametrize("fd", [None, "0", 1.5, object()])
    def test_no_fd_at_all(self, loop, name, fd):
        with pytest.raises(ValueError, match="Invalid file object"):
            getattr(loop, name)(fd, int)
        with pytest.raises(ValueError, match="Invalid file object"):
            getattr(loop, name.replace("add", "remove"))(fd)

    @pytest.mark.parametrize("fd", [2**31, 2**40, 2**70])
    def test_numbers_that_are_too_large(self, loop, name, fd):
        with pytest.raises((OSError, OverflowError, ValueError)):
            getattr(loop, name)(fd, int)
        assert getattr(loop, name.replace("add", "remove"))(fd) is False
        run_once(loop)

    def test_a_number_is_not_cut_off(self, loop, name, pair):
        left, _ = pair
        getattr(loop, name)(left, int)
        remove = getattr(loop, name.replace("add", "remove"))
        assert remove(2**32 + left.fileno()) is False
        with pytest.raises(KeyError):
            loop._selector.get_key(2**32 + left.fileno())
        assert remove(left) is True

    def test_large_but_possible(self, loop, name):
        with pytest.raises(OSError, match="Bad file descriptor"):
            getattr(loop, name)(1_000_000, int)

    def test_missing_arguments(self, loop, name, pair):
        left, _ = pair
        method = getattr(loop, name)
        with pytest.raises(TypeError):
            method()
        with pytest.raises(TypeError):
            method(left)
        with pytest.raises(TypeError):
            method(left, int, context=None)
        assert loop.remove_reader(left) is False
        assert loop.remove_writer(left) is False

    def test_fileno_that_raises(self, loop, name):
        class Strange:
            def fileno(self):
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            getattr(loop, name)(Strange(), int)

    def test_a_high_fd_number(self, loop, name, pair):
        left, right = pair
        right.send(b"x")
        high = os.dup2(left.fileno(), 900)
        seen = []
        getattr(loop, name)(high, seen.append, 1)
        run_once(loop)
        assert seen == [1]
        getattr(loop, name.replace("add", "remove"))(high)
        os.close(high)


def test_an_fd_owned_by_a_transport_is_refused(run):
    async def main():
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
        for name in ("add_reader", "add_writer"):
            with pytest.raises(RuntimeError, match="is used by transport"):
                getattr(loop, name)(transport.get_extra_info("socket"), int)
        for name in ("remove_reader", "remove_writer"):
            with pytest.raises(RuntimeError, match="is used by transport"):
                getattr(loop, name)(left.fileno())
        transport.close()
        right.close()
        await asyncio.sleep(0)

    run(main())


def test_an_fd_closed_while_watched(loop):
    for _ in range(50):
        left, right = socket.socketpair()
        loop.add_reader(left, print, "must not run")
        right.send(b"x")
        fd = left.fileno()
        left.close()
        run_once(loop)
        loop.remove_reader(fd)
        right.close()
    run_once(loop)


def test_an_fd_closed_while_watched_and_never_removed(loop):
    left, right = socket.socketpair()
    loop.add_reader(left, print, "must not run")
    left.close()
    run_once(loop)
    right.close()
    run_once(loop)


def reuse_number_of(sock):
    """Closes the socket; another socket of the same number, and its peer."""
    number = sock.fileno()
    sock.close()
    other, peer = socket.socketpair()
    if other.fileno() != number:
        moved = socket.socket(fileno=os.dup2(other.fileno(), number))
        other.close()
        other = moved
    return other, peer


def test_a_number_reused_after_its_watch_was_removed(loop):
    left, right = socket.socketpair()
    loop.add_reader(left, print, "must not run")
    number = left.fileno()
    other, peer = reuse_number_of(left)
    assert loop.remove_reader(number) is True
    seen = []
    loop.add_reader(other, seen.append, "new")
    peer.send(b"x")
    run_once(loop)
    assert seen == ["new"]
    assert loop.remove_reader(other) is True
    for sock in (other, peer, right):
        sock.close()


def test_a_number_reused_while_still_watched(loop):
    """A mistake: asyncio may miss the new socket's events, but nothing breaks."""
    left, right = socket.socketpair()
    loop.add_reader(left, print, "must not run")
    other, peer = reuse_number_of(left)
    seen = []
    loop.add_reader(other, seen.append, "new")
    peer.send(b"x")
    run_once(loop)
    assert seen in ([], ["new"])
    assert loop.remove_reader(other) is True
    loop.add_reader(other, seen.append, "again")
    run_once(loop)
    assert seen[-1] == "again"
    assert loop.remove_reader(other) is True
    for sock in (other, peer, right):
        sock.close()


def test_a_dup_keeps_the_event_of_a_closed_fd(loop, logs):
    """The kernel goes on telling of a closed number while a copy of it is open."""
    left, right = socket.socketpair()
    copy = left.dup()
    seen = []
    loop.add_reader(left, seen.append, "ghost")
    fd = left.fileno()
    left.close()
    right.send(b"x")
    run_once(loop)
    loop.remove_reader(fd)
    del seen[:]
    for _ in range(3):
        run_once(loop)
    assert seen == []
    copy.close()
    right.close()
    logs.take()


def test_close_with_watches_left(loop, pair):
    left, _ = pair
    reader = loop._add_reader(left.fileno(), int)
    loop.close()
    assert loop.remove_reader(left) is False
    reader.cancel()
    left.send(b"still open")


def test_watched_from_two_loops(loop, loop_factory, pair):
    left, right = pair
    other = loop_factory()
    right.send(b"x")
    seen = []
    for name, each in (("a", loop), ("b", other)):
        each.add_reader(left, seen.append, name)
        run_once(each)
    assert seen == ["a", "b"]
    other.close()
    run_once(loop)
    assert seen == ["a", "b", "a"]
    loop.remove_reader(left)


def test_an_fd_added_by_another_thread_wakes_nobody_but_works(loop, pair):
    left, right = pair
    right.send(b"x")
    seen = []

    def readable():
        seen.append(1)
        loop.remove_reader(left)
        loop.stop()

    def work():
        loop.call_soon_threadsafe(loop.add_reader, left, readable)

    thread = threading.Thread(target=work)
    thread.start()
    loop.run_forever()
    thread.join()
    assert seen == [1]


def test_hundreds_of_fds(loop):
    pairs = [socket.socketpair() for _ in range(200)]
    seen = set()

    def readable(n):
        pairs[n][0].recv(1)
        seen.add(n)

    for n, (left, _) in enumerate(pairs):
        loop.add_reader(left, readable, n)
    for _, right in pairs:
        right.send(b"x")
    run_until(loop, lambda: len(seen) == 200, pause_s=0)
    for left, right in pairs:
        assert loop.remove_reader(left) is True
        left.close()
        right.close()
