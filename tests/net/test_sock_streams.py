"""loop.sock_*: streams, hostile peers, cancellation, fds that change."""

import array
import asyncio
import ctypes
import gc
import os
import signal
import socket
import sys

import pytest

from tests.net.helpers import fill, settle
from tests.support import until

# ---- sizes and kinds of buffers ----


@pytest.mark.parametrize("n", [1, 100, 65536, 1 << 18, (1 << 18) + 1, 1 << 24])
@pytest.mark.parametrize("size", [1, 1000, 40_000, 150_000])
def test_receiving(loop, pair, n, size):
    left, right = pair
    payload = os.urandom(size)

    async def main():
        sending = asyncio.ensure_future(loop.sock_sendall(left, payload))
        got = []
        while sum(map(len, got)) < min(size, 3000 if n < 1000 else size):
            got.append(await loop.sock_recv(right, n))
            assert 1 <= len(got[-1]) <= n
            assert type(got[-1]) is bytes
        sending.cancel()
        await asyncio.wait([sending])
        return b"".join(got)

    assert payload.startswith(loop.run_until_complete(main()))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        bytearray(b"mutable"),
        memoryview(b"skip this")[5:],
        array.array("B", b"array"),
        (ctypes.c_char * 6)(*b"ctypes"),
    ],
    ids=lambda data: type(data).__name__ + str(len(data)),
)
def test_what_can_be_sent(loop, pair, data):
    left, right = pair
    expected = bytes(data)
    assert loop.run_until_complete(loop.sock_sendall(left, data)) is None
    assert not expected or right.recv(100) == expected


def test_items_of_several_bytes(own_loop, pair):
    """asyncio counts a memoryview's items as bytes, and waits for ever."""
    left, right = pair
    data = memoryview(array.array("I", range(100_000)))

    async def main():
        sending = asyncio.ensure_future(own_loop.sock_sendall(left, data))
        got = bytearray()
        while len(got) < data.nbytes:
            got += await own_loop.sock_recv(right, 1 << 20)
        await sending
        return got

    assert own_loop.run_until_complete(main()) == data.tobytes()


def test_a_huge_buffer_byte_by_byte_mixed(loop, pair):
    """The peer reads in fits; nothing is lost, doubled or reordered."""
    left, right = pair
    payload = os.urandom(2_000_000)

    async def main():
        sending = asyncio.ensure_future(loop.sock_sendall(left, payload))
        got = bytearray()
        sizes = [1, 7, 100_000, 3, 65536, 250_000]
        while len(got) < len(payload):
            got += await loop.sock_recv(right, sizes[len(got) % len(sizes)])
        await sending
        return got == payload

    assert loop.run_until_complete(main())


def test_a_buffer_being_sent_keeps_its_size(loop, pair):
    left, _right = pair
    data = bytearray(5_000_000)

    async def main():
        sending = asyncio.ensure_future(loop.sock_sendall(left, data))
        await settle()
        with pytest.raises(BufferError):
            data.append(1)
        sending.cancel()
        await asyncio.wait([sending])

    loop.run_until_complete(main())
    gc.collect()
    data.append(1)


def test_a_buffer_received_into_may_be_resized_meanwhile(loop, pair):
    left, right = pair
    buffer = bytearray(2)

    async def main():
        receiving = asyncio.ensure_future(loop.sock_recv_into(left, buffer))
        await settle()
        buffer.extend(bytes(8))
        right.send(b"abcdef")
        return await receiving

    assert loop.run_until_complete(main()) == 6
    assert buffer == b"abcdef" + bytes(4)


def test_receiving_into_part_of_a_buffer(loop, pair):
    left, right = pair
    buffer = bytearray(10)
    right.send(b"abcdef")
    count = loop.run_until_complete(loop.sock_recv_into(left, memoryview(buffer)[2:5]))
    assert (count, bytes(buffer)) == (3, bytes(2) + b"abc" + bytes(5))


# ---- peers ----


def test_a_peer_that_resets(loop, tcp):
    left, right = tcp
    right.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    async def main():
        receiving = asyncio.ensure_future(loop.sock_recv(left, 10))
        await settle()
        right.close()
        with pytest.raises(ConnectionResetError):
            await receiving
        with pytest.raises(BrokenPipeError):
            await loop.sock_sendall(left, b"x")

    loop.run_until_complete(main())


def test_a_peer_that_closes_in_the_midst_of_sending(loop, tcp):
    left, right = tcp

    async def main():
        sending = asyncio.ensure_future(loop.sock_sendall(left, bytes(20_000_000)))
        await settle()
        right.close()
        with pytest.raises(ConnectionError):
            await sending

    loop.run_until_complete(main())


def test_a_peer_that_never_reads(loop, pair):
    left, right = pair
    fill(left)

    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.sock_sendall(left, b"more"), 0.01)
        assert loop.remove_writer(left) is False
        while True:
            try:
                right.recv(1 << 20)
            except BlockingIOError:
                break
        await loop.sock_sendall(left, b"last")
        return right.recv(10)

    assert loop.run_until_complete(main()) == b"last"


def test_a_peer_that_half_closes(loop, tcp):
    left, right = tcp

    async def main():
        right.shutdown(socket.SHUT_WR)
        assert await loop.sock_recv(left, 10) == b""
        assert await loop.sock_recv(left, 10) == b""
        await loop.sock_sendall(left, b"still")
        return await loop.sock_recv(right, 10)

    assert loop.run_until_complete(main()) == b"still"


# ---- cancellation ----


RECEIVING = ["sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into"]
SENDING = ["sock_sendall", "sock_sendfile"]


def waiting_op(loop, name, pair, file):
    """An operation that will have to wait, and how its watch is removed."""
    left = pair[0]
    if name in SENDING:
        fill(left)
        what = b"x" if name == "sock_sendall" else file
        return getattr(loop, name)(left, what), loop.remove_writer
    room = bytearray(10) if name.endswith("into") else 10
    return getattr(loop, name)(left, room), loop.remove_reader


@pytest.mark.parametrize("n_turns", range(5))
@pytest.mark.parametrize("name", RECEIVING + SENDING)
def test_cancelled_at_any_turn(loop, tcp, file, name, n_turns):
    async def main():
        op, remove = waiting_op(loop, name, tcp, file)
        task = asyncio.ensure_future(op)
        for _ in range(n_turns):
            await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await settle()
        assert remove(tcp[0]) is False

    loop.run_until_complete(main())


def test_accepting_cancelled(loop, listener):
    async def main():
        task = asyncio.ensure_future(loop.sock_accept(listener))
        await settle()
        task.cancel()
        await asyncio.wait([task])
        await settle()
        assert loop.remove_reader(listener) is False
        with socket.create_connection(listener.getsockname()):
            server, _ = await loop.sock_accept(listener)
            server.close()

    loop.run_until_complete(main())


@pytest.mark.parametrize("order", ["data first", "cancelled first"])
def test_what_is_cancelled_when_data_is_there_loses_none(own_loop, pair, tcp, order):
    """It is received in the turn of the task that gets it, not before."""
    left, right = pair

    async def main():
        task = asyncio.ensure_future(own_loop.sock_recv(left, 10))
        await settle()
        own_loop.add_reader(tcp[0], task.cancel)
        senders = [(right, b"data"), (tcp[1], b"x")]
        for sock, data in senders if order == "data first" else reversed(senders):
            sock.send(data)
        await asyncio.wait([task])
        own_loop.remove_reader(tcp[0])
        if task.cancelled():
            return await own_loop.sock_recv(left, 10)
        return task.result()

    assert own_loop.run_until_complete(main()) == b"data"


@pytest.mark.parametrize("n_turns", range(6))
def test_a_stream_with_cancellations_loses_nothing(own_loop, pair, n_turns):
    left, right = pair
    payload = os.urandom(20_000)

    async def write():
        for start in range(0, len(payload), 100):
            await own_loop.sock_sendall(left, payload[start : start + 100])
            await asyncio.sleep(0)

    async def main():
        writing = asyncio.ensure_future(write())
        got = bytearray()
        while len(got) < len(payload):
            task = asyncio.ensure_future(own_loop.sock_recv(right, 64))
            for _ in range(n_turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                got += task.result()
            elif not n_turns:
                got += await own_loop.sock_recv(right, 64)
        await writing
        return got == payload

    assert own_loop.run_until_complete(asyncio.wait_for(main(), 20))


# ---- several at once, and fds that change under them ----


def test_the_later_reader_takes_over(loop, pair):
    """As asyncio has it: one reader a socket, the first is told no more."""
    left, right = pair

    async def main():
        first = asyncio.ensure_future(loop.sock_recv(left, 10))
        await settle()
        second = asyncio.ensure_future(loop.sock_recv(left, 10))
        await settle()
        right.send(b"once")
        assert await second == b"once"
        await settle()
        assert not first.done()
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()

    loop.run_until_complete(main())


def test_the_end_of_the_first_leaves_the_later_alone(loop, pair):
    left, right = pair

    async def main():
        first = asyncio.ensure_future(loop.sock_recv(left, 10))
        await settle()
        seen = []
        loop.add_reader(left, lambda: seen.append(left.recv(10)))
        first.cancel()
        await asyncio.wait([first])
        await settle()
        right.send(b"x")
        await until(lambda: seen)
        assert loop.remove_reader(left) is True
        return seen

    assert loop.run_until_complete(main()) == [b"x"]


def test_receiving_and_sending_on_one_socket(loop, pair):
    left, right = pair

    async def main():
        fill(left)
        sending = asyncio.ensure_future(loop.sock_sendall(left, b"out"))
        receiving = asyncio.ensure_future(loop.sock_recv(left, 10))
        await settle()
        right.send(b"in")
        assert await receiving == b"in"
        assert not sending.done()
        while not sending.done():
            await loop.sock_recv(right, 1 << 20)
        await sending

    loop.run_until_complete(main())


def test_a_reader_removed_by_hand(loop, pair):
    left, right = pair

    async def main():
        task = asyncio.ensure_future(loop.sock_recv(left, 10))
        await settle()
        assert loop.remove_reader(left) is True
        right.send(b"x")
        await settle()
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])

    loop.run_until_complete(main())


def test_a_socket_closed_while_it_waits_and_its_number_reused(loop):
    async def main():
        left, right = socket.socketpair()
        left.setblocking(False)
        task = asyncio.ensure_future(loop.sock_recv(left, 10))
        await settle()
        number = left.fileno()
        left.close()
        others = [socket.socketpair() for _ in range(3)]
        assert number in [sock.fileno() for both in others for sock in both]
        for both in others:
            for sock in both:
                sock.send(b"not for you")
        await settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for both in others:
            for sock in both:
                assert sock.recv(20) == b"not for you"
                sock.close()
        right.close()

    loop.run_until_complete(main())


def test_numbers_used_again_and_again(loop):
    """Each socket gets its own answer, whatever had its number before."""

    async def main():
        for n in range(50):
            left, right = socket.socketpair()
            with left, right:
                left.setblocking(False)
                right.setblocking(False)
                receiving = asyncio.ensure_future(loop.sock_recv(left, 10))
                await asyncio.sleep(0)
                await loop.sock_sendall(right, b"%d" % n)
                assert await receiving == b"%d" % n
                again = asyncio.ensure_future(loop.sock_recv(left, 10))
                await asyncio.sleep(0)
                if n % 2:
                    again.cancel()
                    await asyncio.wait([again])
                else:
                    await loop.sock_sendall(right, b"again")
                    assert await again == b"again"

    loop.run_until_complete(asyncio.wait_for(main(), 20))


def test_another_file_put_under_the_number(loop):
    """dup2: the number is the same, what it stands for is not."""

    async def main():
        left, right = socket.socketpair()
        other, its_peer = socket.socketpair()
        with left, right, other, its_peer:
            for sock in (left, right, other, its_peer):
                sock.setblocking(False)
            receiving = asyncio.ensure_future(loop.sock_recv(left, 10))
            await settle()
            right.send(b"first")
            assert await receiving == b"first"
            os.dup2(other.fileno(), left.fileno())
            receiving = asyncio.ensure_future(loop.sock_recv(left, 10))
            await settle()
            its_peer.send(b"second")
            assert await receiving == b"second"

    loop.run_until_complete(asyncio.wait_for(main(), 10))


def test_many_at_once(loop):
    pairs = [socket.socketpair() for _ in range(100)]
    for both in pairs:
        for sock in both:
            sock.setblocking(False)

    async def echo(sock):
        while data := await loop.sock_recv(sock, 1000):
            await loop.sock_sendall(sock, data)

    async def ask(sock, n):
        for turn in range(10):
            message = b"%d %d" % (n, turn)
            await loop.sock_sendall(sock, message)
            assert await loop.sock_recv(sock, 1000) == message
        sock.close()

    async def main():
        await asyncio.gather(
            *(echo(left) for left, _ in pairs),
            *(ask(right, n) for n, (_, right) in enumerate(pairs)),
        )

    loop.run_until_complete(asyncio.wait_for(main(), 20))
    for left, _ in pairs:
        left.close()


# ---- signals, threads, re-entry ----


def test_signals_while_it_waits(loop, pair):
    left, right = pair
    came = []
    before = signal.signal(signal.SIGALRM, lambda *_: came.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)

    async def main():
        receiving = asyncio.ensure_future(loop.sock_recv(left, 10))
        await until(lambda: len(came) > 5)
        await loop.sock_sendall(right, b"x")
        return await receiving

    try:
        assert loop.run_until_complete(main()) == b"x"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="__buffer__ came with 3.12")
def test_re_entry(loop, pair):
    class Buffer:
        def __buffer__(self, flags):
            with pytest.raises(ValueError, match="coroutine already executing"):
                op.send(None)
            with pytest.raises(ValueError, match="coroutine already executing"):
                op.close()
            assert op.cr_running is True
            return memoryview(b"data")

        def __len__(self):
            return 4

    op = loop.sock_sendall(pair[0], Buffer())
    with pytest.raises(StopIteration):
        op.send(None)
    assert pair[1].recv(10) == b"data"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="__buffer__ came with 3.12")
def test_a_buffer_that_raises(loop, pair):
    class Buffer:
        def __buffer__(self, flags):
            raise KeyError("no buffer")

    with pytest.raises(KeyError, match="no buffer"):
        loop.run_until_complete(loop.sock_sendall(pair[0], Buffer()))


def test_a_cycle_is_collected(own_loop, pair):
    class Data(bytearray):
        pass

    data = Data(b"x")
    data.op = own_loop.sock_recv_into(pair[0], data)
    data.op.send(None)
    del data
    gc.collect()
    assert own_loop.remove_reader(pair[0]) is False


# ---- what stays behind ----


def test_a_watch_kept_for_the_next_wait_is_not_seen(own_loop, pair):
    """The kernel is not told at once that nobody reads; everybody else is."""
    left, right = pair
    loop = own_loop

    async def main():
        assert loop.stats()["watches"] == 0
        receiving = asyncio.ensure_future(loop.sock_recv(left, 10))
        await settle()
        assert loop.stats()["watches"] == 1
        right.send(b"x")
        await receiving
        assert loop.stats()["watches"] == 0
        assert loop._watched_events(left) is None
        with pytest.raises(KeyError):
            loop._selector.get_key(left)
        assert loop.remove_reader(left) is False

    loop.run_until_complete(main())


def test_data_that_nobody_wants_wakes_the_loop_once(own_loop, pair):
    left, right = pair
    loop = own_loop

    async def main():
        receiving = asyncio.ensure_future(loop.sock_recv(left, 10))
        await settle()
        right.send(b"first")
        await receiving
        right.send(b"second")
        before = loop.stats()["polls"]
        await asyncio.sleep(0.05)
        assert loop.stats()["polls"] - before < 5
        return await loop.sock_recv(left, 10)

    assert loop.run_until_complete(main()) == b"second"


@pytest.mark.parametrize("other", ["reader", "writer", "transport", "none"])
def test_other_users_of_the_fd_after_a_wait(loop, pair, other):
    left, right = pair

    async def main():
        receiving = asyncio.ensure_future(loop.sock_recv(left, 10))
        await settle()
        right.send(b"x")
        assert await receiving == b"x"
        seen = []
        if other == "reader":
            loop.add_reader(left, lambda: seen.append(left.recv(10)))
            right.send(b"y")
            await until(lambda: seen)
            assert seen[0] == b"y"
            assert loop.remove_reader(left) is True
        elif other == "writer":
            loop.add_writer(left, seen.append, 1)
            right.send(b"y")
            await until(lambda: seen)
            assert loop.remove_writer(left) is True
            assert await loop.sock_recv(left, 10) == b"y"
        elif other == "transport":
            reader, writer = await asyncio.open_connection(sock=left.dup())
            right.send(b"y")
            assert await reader.read(10) == b"y"
            writer.close()
            await writer.wait_closed()

    loop.run_until_complete(asyncio.wait_for(main(), 10))


def test_a_socket_closed_after_a_wait_with_a_duplicate_alive(own_loop, pair):
    """The kernel goes on reporting the file under a number that is gone."""
    left, right = socket.socketpair()
    loop = own_loop
    left.setblocking(False)

    async def main():
        receiving = asyncio.ensure_future(loop.sock_recv(left, 10))
        await settle()
        right.send(b"x")
        await receiving
        copy = left.dup()
        left.close()
        right.send(b"y")
        before = loop.stats()["polls"]
        await asyncio.sleep(0.05)
        assert loop.stats()["polls"] - before < 8
        assert await loop.sock_recv(copy, 10) == b"y"
        copy.close()

    loop.run_until_complete(asyncio.wait_for(main(), 10))
    right.close()
