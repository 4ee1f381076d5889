"""What is written is sent inside write(), as far as the kernel takes it.

The pair of sockets keeps packets apart, so the peer sees which writes were sent
together.
"""

import asyncio
import os
import socket
import sys
import tracemalloc

import pytest

from tests.net.accepted import Accepted, Joined
from tests.net.helpers import Recorder
from tests.support import lasting_repr, until

# ---- who never waits ----


def test_each_write_is_sent_at_once(run):
    async def main():
        async with Joined() as joined:
            for _ in range(3):
                joined.transport.write(b"head ")
                joined.transport.write(memoryview(b"[body]")[1:5])
                joined.transport.write(bytearray(b"tail"))
                assert joined.packets() == [b"head ", b"body", b"tail"]
                await asyncio.sleep(0)

    run(main())


def test_writelines_is_one_packet(run):
    async def main():
        async with Joined() as joined:
            joined.transport.writelines(
                [b"a", memoryview(b"[b]")[1:2], bytearray(b"c")]
            )
            return joined.packets()

    assert run(main()) == [b"abc"]


async def accepted_by_hand(loop):
    listener = socket.create_server(("127.0.0.1", 0))
    right = socket.create_connection(listener.getsockname())
    sock, _ = listener.accept()
    listener.close()
    transport, protocol = await loop.connect_accepted_socket(Recorder, sock)
    return transport, protocol, right


async def connected(loop):
    listener = socket.create_server(("127.0.0.1", 0))
    transport, protocol = await loop.create_connection(
        Recorder, *listener.getsockname()
    )
    right, _ = listener.accept()
    listener.close()
    return transport, protocol, right


async def given(loop):
    left, right = socket.socketpair()
    transport, protocol = await loop.create_connection(Recorder, sock=left)
    return transport, protocol, right


@pytest.mark.parametrize("make", [accepted_by_hand, connected, given])
def test_connections_of_ones_own_never_wait(run, make):
    async def main():
        transport, protocol, right = await make(asyncio.get_running_loop())
        right.settimeout(5)
        for _ in range(4):
            for piece in (b"head", b"body"):
                transport.write(piece)
                assert right.recv(100) == piece
            await asyncio.sleep(0)
        transport.abort()
        await protocol.closed
        right.close()

    run(main())


def detach(sock):
    os.close(sock.detach())


ON_THE_SOCKET = {
    "close": (socket.socket.close, b""),
    "shutdown": (lambda sock: sock.shutdown(socket.SHUT_WR), b""),
    "detach": (detach, b""),
    "send": (lambda sock: sock.send(b"!"), b"!"),
    "sendmsg": (lambda sock: sock.sendmsg([b"!", b"!"]), b"!!"),
    "send_fds": (lambda sock: socket.send_fds(sock, [b"!"], [0]), b"!"),
    "os.write": (lambda sock: os.write(sock.fileno(), b"!"), b"!"),
    "dup": (lambda sock: sock.dup().sendall(b"!"), b"!"),
}


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("how", sorted(ON_THE_SOCKET))
def test_what_the_owner_of_a_given_socket_does_comes_after(run, logs, how):
    act, more = ON_THE_SOCKET[how]

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        ours, theirs = socket.socketpair()
        theirs.settimeout(5)
        transport, protocol = await asyncio.get_running_loop().create_connection(
            Recorder, sock=ours
        )
        for _ in range(3):
            for piece in (b"head ", b"body "):
                transport.write(piece)
            await asyncio.sleep(0)
        transport.write(b"12")  # would wait for the second of two
        act(ours)
        got = theirs.recv(1000)
        transport.abort()
        await protocol.closed
        theirs.close()
        return got

    # the end of the file comes after the bytes, in a recv() of its own
    assert run(main()) == b"head body " * 3 + b"12" + more
    logs.take()


def test_an_error_is_seen_inside_write(run):
    async def main():
        order = []

        class Lost(Recorder):
            def connection_lost(self, exc):
                order.append(type(exc))
                super().connection_lost(exc)

        async with Joined(Lost(), socket.SOCK_STREAM) as joined:
            joined.right.close()
            joined.transport.write(b"x")
            assert joined.transport.is_closing()
            assert not joined.transport.is_reading()
            asyncio.get_running_loop().call_soon(order.append, "what is soon")
            await joined.protocol.closed
            return order

    assert run(main()) == [BrokenPipeError, "what is soon"]


# ---- what may change, and what waits for room ----


def test_mixed_with_what_may_change(run):
    """Order is kept, and each piece is as it was when it was written."""

    async def main():
        async with Accepted() as pair:
            await pair.teach(9)
            changing = bytearray(b"2")
            pair.transport.write(b"1")
            pair.transport.write(changing)
            changing[:] = b"!"
            pair.transport.write(b"3")
            pair.transport.write(memoryview(changing))
            changing[:] = b"?"
            pair.transport.writelines([b"5", changing])
            changing[:] = b"."
            await asyncio.sleep(0)
            return pair.arrived()

    assert run(main()) == b"123!5?"


def test_a_buffer_is_its_owners_again(fast_loop):
    """No export of it is held, so it can be resized, also while most of it waits."""

    async def main():
        async with Joined(kind=socket.SOCK_STREAM) as joined:
            data = bytearray(3_000_000)
            joined.transport.write(data)
            data.clear()
            assert joined.transport.get_write_buffer_size() > 0

    fast_loop.run_until_complete(main())


def test_paused_only_for_what_the_kernel_refused(run):
    async def main():
        async with Joined(kind=socket.SOCK_STREAM) as joined:
            joined.transport.set_write_buffer_limits(high=0)
            joined.transport.write(b"little")
            assert "pause_writing" not in joined.protocol.calls
            joined.transport.write(bytes(3_000_000))
            assert "pause_writing" in joined.protocol.calls
            assert 0 < joined.transport.get_write_buffer_size() < 3_000_000

    run(main())


@pytest.mark.parametrize("times", [0, 3, 20_000])
def test_paused_inside_write(run, times):
    """Code that looks after each write whether it should stop sees it at once."""

    async def main():
        async with Accepted(taught=False) as pair:
            if times:
                await pair.teach(times)
            total = 0
            while "pause_writing" not in pair.protocol.calls:
                pair.transport.write(bytes(1000))
                total += 1000
                assert total < 20_000_000
            return pair.transport.get_write_buffer_size()

    assert 64 * 1024 < run(main()) < 64 * 1024 + 2000


def test_more_pieces_than_one_call_takes(run):
    async def main():
        async with Joined(kind=socket.SOCK_STREAM) as joined:
            pieces = [b"%05d" % n for n in range(5000)]
            joined.transport.writelines(pieces)
            got = bytearray()

            def take():
                try:
                    got.extend(joined.right.recv(1 << 20))
                except BlockingIOError:
                    pass
                return len(got) == 25_000

            await until(take)
            return bytes(got) == b"".join(pieces)

    assert run(main())


def test_arguments_by_name(run):
    async def main():
        async with Joined() as joined:
            joined.transport.write(data=b"head")
            joined.transport.writelines(list_of_data=[b"bo", b"dy"])
            joined.transport.set_protocol(protocol=joined.protocol)
            return joined.packets()

    assert run(main()) == [b"head", b"body"]


def test_a_pipes_arguments_by_name(run):
    async def main():
        reading, writing = os.pipe()
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.connect_write_pipe(
            Recorder, os.fdopen(writing, "wb")
        )
        transport.write(data=b"x")
        got = os.read(reading, 10)
        transport.set_protocol(protocol=protocol)
        transport.close()
        os.close(reading)
        await protocol.closed
        return got

    assert run(main()) == b"x"


class Nothing(bytes):
    def __bool__(self):
        return False


def test_what_says_that_it_is_empty(run):
    async def main():
        async with Joined() as joined:
            joined.transport.write(Nothing(b"x"))
            return joined.packets()

    assert run(main()) == []


@pytest.mark.skipif(sys.version_info < (3, 12), reason="joins what it is given")
def test_a_view_with_gaps_among_lines(run):
    """What cannot be sent ends the connection, with nothing of it sent."""
    reports = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reports.append(context))
        async with Joined() as joined:
            joined.transport.writelines([b"x", memoryview(b"a-b-c")[::2]])
            lost_with = await joined.protocol.closed
            return joined.right.recv(10), type(lost_with)

    with_gaps = run(main())
    assert with_gaps == (b"", BufferError)
    assert [context["message"] for context in reports] == [
        "Fatal write error on socket transport"
    ]


def test_lines_of_nothing(run):
    """Up to 3.11 what is no iterable is refused."""

    async def main():
        async with Joined() as joined:
            if sys.version_info >= (3, 12):
                joined.transport.writelines(None)
            joined.transport.writelines(())
            return joined.packets()

    assert run(main()) == []


def test_items_of_several_bytes(fast_loop):
    async def main():
        async with Joined(kind=socket.SOCK_STREAM) as joined:
            view = memoryview(bytes(range(256)) * 4000).cast("I")
            if sys.version_info >= (3, 12):
                joined.transport.writelines([view])
            joined.transport.write(view)
            waits = joined.transport.get_write_buffer_size()
            got = b""
            while joined.transport.get_write_buffer_size() > 0:
                got += b"".join(joined.packets())
                await asyncio.sleep(0)
            got += b"".join(joined.packets())
            return waits, got, bytes(view)

    waits, got, sent = fast_loop.run_until_complete(main())
    assert got == sent * (len(got) // len(sent))
    assert waits > len(got) // 2


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio joins its lines")
@pytest.mark.parametrize("how", ["write", "writelines"])
def test_views_over_bytes_wait_uncopied(run, how):
    size = 4_000_000
    view = memoryview(bytes(size))

    async def main():
        async with Joined(kind=socket.SOCK_STREAM) as joined:
            joined.transport.write(bytes(500_000))  # fills the socket
            assert joined.transport.get_write_buffer_size() > 0
            tracemalloc.start()
            try:
                before = tracemalloc.get_traced_memory()[0]
                lines = [view[at : at + 100_000] for at in range(0, size, 100_000)]
                if how == "write":
                    for line in lines:
                        joined.transport.write(line)
                else:
                    joined.transport.writelines(lines)
                return tracemalloc.get_traced_memory()[0] - before
            finally:
                tracemalloc.stop()

    assert run(main()) < size // 10


@pytest.mark.parametrize("make", [list, tuple, iter, dict.fromkeys], ids=lasting_repr)
def test_lines_in_any_iterable(run, make):
    async def main():
        async with Joined() as joined:
            joined.transport.writelines(make([b"a", b"b"]))
            joined.transport.writelines(make([b"c"]))
            return joined.packets()

    assert run(main()) == [b"ab", b"c"]
