"""When what was written is sent: at the end of the step, or before anybody can tell.

The pair of sockets here keeps packets apart, so the peer sees which writes were sent
together. asyncio sends inside write(); the tests of `fast_loop` hold where fastloop
differs, those of `run` where it must not.
"""

import asyncio
import os
import socket
import threading

import pytest

from tests.net.helpers import Recorder
from tests.support import until


class Joined:
    """A transport over one end of a pair, made as the loop's own methods do it."""

    def __init__(self, protocol=None, kind=socket.SOCK_SEQPACKET):
        left, self.right = socket.socketpair(socket.AF_UNIX, kind)
        left.setblocking(False)
        self.right.setblocking(False)
        loop = asyncio.get_running_loop()
        self.protocol = protocol or Recorder()
        self.waiter = loop.create_future()
        self.transport = loop._make_socket_transport(left, self.protocol, self.waiter)

    async def __aenter__(self):
        await self.waiter
        return self

    async def __aexit__(self, *exc_info):
        self.transport.abort()
        await self.protocol.closed
        self.right.close()

    def packets(self):
        """What has arrived, packet by packet."""
        found = []
        while True:
            try:
                found.append(self.right.recv(1 << 20))
            except BlockingIOError:
                return found


def run_fast(loop, coroutine):
    return loop.run_until_complete(coroutine)


def test_the_writes_of_a_step_are_one_packet(fast_loop):
    async def main():
        async with Joined() as joined:
            joined.transport.write(b"head ")
            joined.transport.writelines([b"body ", memoryview(b"of it ")])
            joined.transport.write(memoryview(b"[tail]")[1:5])
            assert joined.packets() == []
            await asyncio.sleep(0)
            return joined.packets()

    assert run_fast(fast_loop, main()) == [b"head body of it tail"]


def test_the_writes_of_two_steps_are_two(run):
    async def main():
        async with Joined() as joined:
            loop = asyncio.get_running_loop()
            loop.call_soon(joined.transport.write, b"one")
            loop.call_soon(joined.transport.write, b"two")
            await asyncio.sleep(0)
            return joined.packets()

    assert run(main()) == [b"one", b"two"]


def test_sent_before_the_next_callback(run):
    async def main():
        async with Joined() as joined:
            loop = asyncio.get_running_loop()
            seen = []
            loop.call_soon(joined.transport.write, b"x")
            loop.call_soon(lambda: seen.extend(joined.packets()))
            await asyncio.sleep(0)
            return seen

    assert run(main()) == [b"x"]


def test_in_the_order_of_the_first_writes(run):
    async def main():
        async with Joined(), Joined() as second, Joined() as first:
            first.transport.write(b"1")
            second.transport.write(b"2")
            first.transport.write(b"3")
            await asyncio.sleep(0)
            return b"".join(first.packets()), second.packets()

    assert run(main()) == (b"13", [b"2"])


def test_mixed_with_what_may_change(run):
    """Order is kept, and each piece is as it was when it was written."""

    async def main():
        async with Joined() as joined:
            changing = bytearray(b"2")
            joined.transport.write(b"1")
            joined.transport.write(changing)
            changing[:] = b"!"
            joined.transport.write(b"3")
            joined.transport.write(memoryview(changing))
            changing[:] = b"?"
            joined.transport.writelines([b"5", changing])
            changing[:] = b"."
            await asyncio.sleep(0)
            return b"".join(joined.packets())

    assert run(main()) == b"123!5?"


def test_a_buffer_is_its_owners_again(fast_loop):
    """No export of it is held, so it can be resized, also while most of it waits."""

    async def main():
        async with Joined(kind=socket.SOCK_STREAM) as joined:
            data = bytearray(3_000_000)
            joined.transport.write(data)
            data.clear()
            assert joined.transport.get_write_buffer_size() > 0

    run_fast(fast_loop, main())


FLUSHES = {
    "close": lambda transport: transport.close(),
    "abort": lambda transport: transport.abort(),
    "_force_close": lambda transport: transport._force_close(None),
    "write_eof": lambda transport: transport.write_eof(),
    "get_write_buffer_size": lambda transport: transport.get_write_buffer_size(),
    "get_extra_info": lambda transport: transport.get_extra_info("socket"),
    "set_write_buffer_limits": lambda transport: transport.set_write_buffer_limits(0),
    "_sock": lambda transport: transport._sock,
}


@pytest.mark.parametrize("how", sorted(FLUSHES))
def test_who_could_tell_flushes(run, how):
    async def main():
        async with Joined(kind=socket.SOCK_STREAM) as joined:
            joined.transport.write(b"x")
            FLUSHES[how](joined.transport)
            return joined.right.recv(100)

    assert run(main()) == b"x"


def test_is_closing_does_not_flush(fast_loop):
    async def main():
        async with Joined() as joined:
            joined.transport.write(b"x")
            joined.transport.is_closing()
            return joined.packets()

    assert run_fast(fast_loop, main()) == []


def test_a_step_that_ends_in_keyboard_interrupt(loop):
    made = []

    async def main():
        joined = Joined()
        await joined.waiter
        made.append(joined)

        def interrupted():
            joined.transport.write(b"x")
            raise KeyboardInterrupt

        asyncio.get_running_loop().call_soon(interrupted)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    task = loop.create_task(main())
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(task)
    (joined,) = made
    assert joined.packets() == [b"x"]
    loop.run_until_complete(task)
    loop.run_until_complete(joined.__aexit__())


def test_while_the_loop_is_stopped(loop):
    async def start():
        joined = Joined()
        await joined.waiter
        return joined

    joined = loop.run_until_complete(start())
    joined.transport.write(b"x")
    assert joined.packets() == [b"x"]
    loop.run_until_complete(joined.__aexit__())


def test_from_another_thread(run):
    """Nobody should, but asyncio sends it; the loop may be asleep."""

    async def main():
        async with Joined() as joined:
            thread = threading.Thread(target=joined.transport.write, args=(b"x",))
            thread.start()
            thread.join()
            return joined.packets()

    assert run(main()) == [b"x"]


def test_from_a_finalizer_between_steps(run):
    class Farewell:
        def __init__(self, transport):
            self.transport = transport

        def __del__(self):
            self.transport.write(b"bye")

    async def main():
        async with Joined() as joined:
            loop = asyncio.get_running_loop()
            loop.call_soon(lambda _: None, Farewell(joined.transport))
            got = []
            await until(lambda: got.extend(joined.packets()) or got)
            return got

    assert run(main()) == [b"bye"]


def test_the_switch(fast_loop):
    fast_loop._may_defer_writes = False

    async def main():
        async with Joined() as joined:
            joined.transport.write(b"x")
            return joined.packets()

    assert run_fast(fast_loop, main()) == [b"x"]


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_fork_in_the_step_does_not_double(run):
    async def main():
        async with Joined() as joined:
            joined.transport.write(b"once")
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            os.waitpid(pid, 0)
            await asyncio.sleep(0)
            return joined.packets()

    assert run(main()) == [b"once"]


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


def test_paused_inside_write(run):
    """Code that looks after each write whether it should stop sees it at once."""

    async def main():
        async with Joined(kind=socket.SOCK_STREAM) as joined:
            total = 0
            while "pause_writing" not in joined.protocol.calls:
                joined.transport.write(bytes(1000))
                total += 1000
                assert total < 10_000_000
            return joined.transport.get_write_buffer_size()

    assert 64 * 1024 < run(main()) < 64 * 1024 + 2000


def test_an_error_is_seen_when_the_step_ends(run, loop_kind):
    """And connection_lost() is queued then; in asyncio both inside write()."""

    async def main():
        order = []

        class Lost(Recorder):
            def connection_lost(self, exc):
                order.append(type(exc))
                super().connection_lost(exc)

        async with Joined(Lost(), socket.SOCK_STREAM) as joined:
            joined.right.close()
            joined.transport.write(b"x")
            seen_inside = joined.transport.is_closing()
            asyncio.get_running_loop().call_soon(order.append, "what is soon")
            await asyncio.sleep(0)
            assert joined.transport.is_closing()
            await joined.protocol.closed
            return seen_inside, order

    assert (
        run(main())
        == {
            "asyncio": (True, [BrokenPipeError, "what is soon"]),
            "fastloop": (False, ["what is soon", BrokenPipeError]),
        }[loop_kind]
    )


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
