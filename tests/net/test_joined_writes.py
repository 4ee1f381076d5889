"""Writes that wait for more, where they may, and that nobody can tell.

On a connection that a server accepted, once an earlier step wrote twice or more in a
run, a step's first writes wait for the last of as many, or for whoever could tell. The
tests of `fast_loop` hold that; those of `run` hold that who looks finds it sent.
"""

import asyncio
import contextlib
import gc
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import threading
import weakref

import pytest

from tests.net.accepted import Accepted
from tests.support import child_args, child_env, own_types, until


@pytest.fixture(params=["tcp", "unix"])
def family(request, tmp_path):
    """The path of a server's socket, or None for TCP."""
    return str(tmp_path / "s") if request.param == "unix" else None


# ---- who does ----


def test_writes_are_joined_from_the_second_time_on(fast_loop, family):
    async def main():
        async with Accepted(family, taught=False) as pair:
            seen = []
            for _ in range(3):
                pair.transport.write(b"head ")
                seen.append(pair.arrived())
                pair.transport.write(b"body")
                seen.append(pair.arrived())
                await asyncio.sleep(0)
                seen.append(pair.arrived())
            return seen

    first = [b"head ", b"body", None]
    then = [None, b"head body", None]
    assert fast_loop.run_until_complete(main()) == first + then + then


@pytest.mark.parametrize(("n", "sent_at"), [(15, range(15, 38)), (16, [16, 32, 38])])
def test_a_long_run_goes_on(fast_loop, family, n, sent_at):
    """Who writes so often in a step pours out what there is: in groups of as many."""

    async def main():
        async with Accepted(family, taught=False) as pair:
            await pair.teach(n)
            seen = {}
            for i in range(1, 38):
                pair.transport.write(b"x")
                seen[i] = pair.arrived()
            await asyncio.sleep(0)
            seen[38] = pair.arrived()
            return {i: arrived for i, arrived in seen.items() if arrived}

    seen = fast_loop.run_until_complete(main())
    assert list(seen) == list(sent_at)
    assert b"".join(seen.values()) == b"x" * 37


def test_what_is_not_followed_goes_when_the_step_ends(fast_loop, family):
    async def main():
        async with Accepted(family) as pair:
            pair.transport.write(b"alone")
            seen = [pair.arrived()]
            await asyncio.sleep(0)
            seen.append(pair.arrived())
            pair.transport.write(b"again")  # one is expected now
            seen.append(pair.arrived())
            return seen

    assert fast_loop.run_until_complete(main()) == [None, b"alone", b"again"]


def test_lines_and_views_wait_too(fast_loop, family):
    async def main():
        async with Accepted(family) as pair:
            await pair.teach(4)
            pair.transport.write(memoryview(b"[head]")[1:5])
            pair.transport.writelines([b" of", memoryview(b" it ")])
            pair.transport.write(b"body ")
            seen = [pair.arrived()]
            pair.transport.write(b"tail")
            return [*seen, pair.arrived()]

    seen = fast_loop.run_until_complete(main())
    assert seen == [None, b"head of it body tail"]


def test_who_looks_after_each_write_never_waits(run, family):
    async def main():
        async with Accepted(family, taught=False) as pair:
            for _ in range(4):
                for piece in (b"head", b"body"):
                    pair.transport.write(piece)
                    assert not pair.transport.is_closing()
                    assert pair.arrived() == piece
                await asyncio.sleep(0)

    run(main())


def test_the_switch(fast_loop):
    fast_loop._may_defer_writes = False

    async def main():
        async with Accepted() as pair:
            pair.transport.write(b"x")
            return pair.arrived()

    assert fast_loop.run_until_complete(main()) == b"x"


# ---- who could tell ----


def no_more_than(n):
    def act(pair):
        pair.transport.set_write_buffer_limits(n)

    return act


def ask(name):
    return lambda pair: getattr(pair.transport, name)()


def get(name):
    return lambda pair: getattr(pair.transport, name)


def tell_handler(pair):
    loop = asyncio.get_running_loop()
    loop.call_exception_handler({"message": "look"})


def kept(name, *args):
    """By the socket that was asked for before."""
    return lambda pair: getattr(pair.socket, name)(*args)


LOOKS = {
    **{
        name: ask(name)
        for name in (
            "close",
            "abort",
            "write_eof",
            "can_write_eof",
            "get_protocol",
            "get_write_buffer_limits",
            "get_write_buffer_size",
            "is_closing",
            "is_reading",
            "pause_reading",
            "resume_reading",
            "_make_empty_waiter",
            "__repr__",
        )
    },
    **{
        name: get(name)
        for name in (
            "_sock",
            "_sock_fd",
            "_closing",
            "_conn_lost",
            "_paused",
            "_protocol_paused",
            "_buffer",
            "_extra",
            "_eof",
        )
    },
    "_force_close": lambda pair: pair.transport._force_close(None),
    "no_more_than_0": no_more_than(0),
    "set_protocol": lambda pair: pair.transport.set_protocol(pair.protocol),
    "bytearray": lambda pair: pair.transport.write(bytearray(b"!")),
    "more_than_the_mark": lambda pair: pair.transport.write(bytes(70_000)),
    "socket": lambda pair: pair.transport.get_extra_info("socket"),
    "peername": lambda pair: pair.transport.get_extra_info("peername"),
    "nothing known": lambda pair: pair.transport.get_extra_info("nothing"),
    "fileno": kept("fileno"),
    "dup": lambda pair: pair.socket.dup().close(),
    "socket's _sock": lambda pair: pair.socket._sock,
    "socket's repr": kept("__repr__"),
    "getsockname": kept("getsockname"),
    "getpeername": kept("getpeername"),
    "get_inheritable": kept("get_inheritable"),
    "getsockopt": kept("getsockopt", socket.SOL_SOCKET, socket.SO_ERROR),
    "setsockopt": kept("setsockopt", socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    "shutdown": kept("shutdown", socket.SHUT_RD),
    "call_exception_handler": tell_handler,
}


@pytest.mark.parametrize("how", sorted(LOOKS))
def test_who_could_tell_sends_first(run, family, how):
    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with Accepted(family) as pair:
            pair.transport.write(b"x")
            LOOKS[how](pair)
            assert pair.arrived()[:1] == b"x"
            pair.transport._reset_empty_waiter()

    run(main())


def refused(act, error=TypeError):
    def look(pair):
        with pytest.raises(error):
            act(pair.transport)

    return look


def odd_lines(pair, seen):
    seen.append(pair.arrived())
    yield b"!"
    raise LookupError


REFUSALS = {
    "write(str)": refused(lambda t: t.write("!")),
    "write(None)": refused(lambda t: t.write(None)),
    "write()": refused(lambda t: t.write()),
    "write(1, 2)": refused(lambda t: t.write(b"!", b"!")),
    "write of another name": refused(lambda t: t.write(date=b"!")),
    "writelines([str])": refused(lambda t: t.writelines(["!"])),
    "writelines(int)": refused(lambda t: t.writelines(3)),
    "writelines()": refused(lambda t: t.writelines()),
    "limits in disorder": refused(
        lambda t: t.set_write_buffer_limits(1, 2), ValueError
    ),
    "limits that are none": refused(lambda t: t.set_write_buffer_limits("!")),
    "limits of another name": refused(lambda t: t.set_write_buffer_limits(no=2)),
    "get_extra_info()": refused(lambda t: t.get_extra_info()),
    "get_extra_info([])": refused(lambda t: t.get_extra_info([])),
    "set_protocol()": refused(lambda t: t.set_protocol()),
}


@pytest.mark.parametrize("how", sorted(REFUSALS))
def test_sent_when_a_call_is_refused(run, family, how):
    async def main():
        async with Accepted(family) as pair:
            pair.transport.write(b"x")
            REFUSALS[how](pair)
            assert pair.arrived() == b"x"

    run(main())


def test_sent_before_a_server_closes(run, family):
    async def main():
        async with Accepted(family) as pair:
            pair.transport.write(b"x")
            pair.server.close()
            assert pair.arrived() == b"x"

    run(main())


def test_sent_before_a_watch_ends(run, family):
    async def main():
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        with left, right:
            loop.add_reader(left, int)
            async with Accepted(family) as pair:
                pair.transport.write(b"x")
                loop.remove_reader(left)
                assert pair.arrived() == b"x"

    run(main())


def test_sent_though_tls_is_refused(run, family):
    async def main():
        loop = asyncio.get_running_loop()
        async with Accepted(family) as pair:
            pair.transport.write(b"x")
            with pytest.raises(TypeError):
                await loop.start_tls(pair.transport, pair.protocol, "no context")
            assert pair.arrived() == b"x"

    run(main())


def test_sent_before_another_loop_runs_inside(fast_loop, family, monkeypatch):
    monkeypatch.setattr(asyncio, "_nest_patched", True, raising=False)
    other = type(fast_loop)()

    async def main():
        async with Accepted(family) as pair:

            async def look():
                return pair.arrived()

            pair.transport.write(b"x")
            return other.run_until_complete(look())

    with contextlib.closing(other):
        assert fast_loop.run_until_complete(main()) == b"x"


def test_sent_before_lines_are_made(run, family):
    async def main():
        async with Accepted(family) as pair:
            seen = []
            pair.transport.write(b"x")
            with pytest.raises(LookupError):
                pair.transport.writelines(odd_lines(pair, seen))
            await asyncio.sleep(0)
            return [*seen, pair.arrived()]

    assert run(main()) == [b"x", None]


SHARED = ["_sock", "_sock_fd", "fileno", "dup", "socket's _sock", "set_protocol"]


@pytest.mark.parametrize("how", SHARED)
def test_who_can_send_himself_ends_the_joining(run, family, how):
    async def main():
        async with Accepted(family) as pair:
            LOOKS[how](pair)
            for _ in range(3):
                for piece in (b"head", b"body"):
                    pair.transport.write(piece)
                    assert pair.arrived() == piece
                await asyncio.sleep(0)

    run(main())


def test_the_socket_that_is_shown(run, family):
    """It is asyncio's to the eye."""

    async def main():
        async with Accepted(family) as pair:
            shown = pair.socket
            assert isinstance(shown, asyncio.trsock.TransportSocket)
            assert type(shown).__name__ == "TransportSocket"
            assert pair.transport.get_extra_info("socket") is shown
            assert shown.family == (
                socket.AF_INET if family is None else socket.AF_UNIX
            )
            assert shown.type == socket.SOCK_STREAM
            assert (shown.proto, shown.gettimeout()) == (shown._sock.proto, 0)
            assert repr(shown).startswith(
                f"<asyncio.TransportSocket fd={shown.fileno()}"
            )
            with pytest.raises(TypeError, match="Cannot serialize"):
                pickle.dumps(shown)
            with pytest.raises(ValueError, match="cannot be blocking"):
                shown.setblocking(True)
        await asyncio.sleep(0)
        assert shown.fileno() == -1

    run(main())


def test_asking_for_the_socket_ends_no_joining(fast_loop, family):
    async def main():
        async with Accepted(family) as pair:
            shown = pair.transport.get_extra_info("socket")
            shown.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            pair.transport.write(b"head ")
            seen = [pair.arrived()]
            pair.transport.write(b"body")
            return [*seen, pair.arrived()]

    assert fast_loop.run_until_complete(main()) == [None, b"head body"]


def test_the_socket_does_not_keep_its_transport(run, family):
    async def main():
        pair = Accepted(family)
        async with pair:
            pass
        shown, gone = pair.socket, weakref.ref(pair.transport)
        pair.transport = pair.protocol.transport = pair.protocol = None
        await asyncio.sleep(0)
        gc.collect()
        assert gone() is None
        return shown.fileno()

    assert run(main()) == -1


def test_the_exception_handler_sees_it_sent(run):
    """A callback that writes and fails."""

    async def main():
        loop = asyncio.get_running_loop()
        async with Accepted() as pair:
            seen = []
            loop.set_exception_handler(lambda *_: seen.append(pair.arrived()))

            def fail():
                pair.transport.write(b"x")
                raise ValueError

            loop.call_soon(fail)
            await asyncio.sleep(0)
            return seen

    assert run(main()) == [b"x"]


def test_sent_before_the_next_callback(run):
    async def main():
        async with Accepted() as pair:
            loop = asyncio.get_running_loop()
            seen = []
            loop.call_soon(pair.transport.write, b"x")
            loop.call_soon(lambda: seen.append(pair.arrived()))
            await asyncio.sleep(0)
            return seen

    assert run(main()) == [b"x"]


def test_each_of_two_connections_in_the_order_of_its_writes(run):
    async def main():
        async with Accepted() as first, Accepted() as second:
            seen = []
            for n in range(3):
                first.transport.write(b"1%d" % n)
                second.transport.write(b"2%d" % n)
                seen.append(first.arrived())
            await asyncio.sleep(0)
            got = second.arrived()
            return seen, got

    assert run(main()) == ([b"10", b"11", b"12"], b"202122")


class Elsewhere:
    """Ways to send on something else."""

    @staticmethod
    async def datagram(loop):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=sock.getsockname()
        )
        return lambda: transport.sendto(b"y"), (transport.abort, sock.close)

    @staticmethod
    async def pipe(loop):
        read, write = os.pipe()
        transport, _ = await loop.connect_write_pipe(
            asyncio.Protocol, os.fdopen(write, "wb", 0)
        )
        return lambda: transport.write(b"y"), (transport.abort, lambda: os.close(read))

    @staticmethod
    async def stream(loop):
        left, right = socket.socketpair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
        return lambda: transport.write(b"y"), (transport.abort, right.close)

    @staticmethod
    async def eof(loop):
        left, right = socket.socketpair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
        return transport.write_eof, (transport.abort, right.close)

    @staticmethod
    async def sock_sendall(loop):
        left, right = socket.socketpair()
        left.setblocking(False)

        def act():
            with contextlib.suppress(StopIteration):
                loop.sock_sendall(left, b"y").send(None)

        return act, (left.close, right.close)


SENDALL = pytest.param("sock_sendall", marks=own_types)  # asyncio's own otherwise


@pytest.mark.parametrize("how", ["datagram", "pipe", "stream", "eof", SENDALL])
def test_sent_before_what_goes_elsewhere(run, how):
    async def main():
        loop = asyncio.get_running_loop()
        act, ends = await getattr(Elsewhere, how)(loop)
        async with Accepted() as pair:
            pair.transport.write(b"x")
            act()
            seen = pair.arrived()
        for end in ends:
            end()
        await asyncio.sleep(0)
        return seen

    assert run(main()) == b"x"


def test_sent_before_a_child_starts(run, monkeypatch):
    async def main():
        async with Accepted() as pair:
            seen = []
            popen = subprocess.Popen

            def look(*args, **keywords):
                seen.append(pair.arrived())
                return popen(*args, **keywords)

            with monkeypatch.context() as patch:
                patch.setattr(subprocess, "Popen", look)
                pair.transport.write(b"x")
                child = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
            await child.wait()
            return seen

    assert run(main()) == [b"x"]


def test_sent_before_a_child_is_sent_a_signal(run):
    async def main():
        async with Accepted() as pair:
            child = await asyncio.create_subprocess_exec("sleep", "60")
            sent = []

            class Looking:
                def __index__(self):
                    sent.append(pair.arrived())
                    return int(signal.SIGKILL)

            pair.transport.write(b"x")
            child.send_signal(Looking())
            await child.wait()
            return sent

    assert run(main())[0] == b"x"


def test_in_a_nested_iteration(fast_loop):
    """Whoever runs iterations inside a step finds sent what the step wrote."""

    async def main():
        async with Accepted() as pair:
            loop = asyncio.get_running_loop()
            seen = []

            def nest():
                pair.transport.write(b"x")
                loop.call_soon(lambda: seen.append(pair.arrived()))
                loop._run_once()

            loop.call_soon(nest)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return seen

    assert fast_loop.run_until_complete(main()) == [b"x"]


@pytest.mark.parametrize("leave", [KeyboardInterrupt, SystemExit])
def test_a_step_that_leaves_the_loop(loop, leave):
    made = []

    async def main():
        pair = Accepted()
        await pair.__aenter__()
        made.append(pair)

        def interrupted():
            pair.transport.write(b"x")
            raise leave

        asyncio.get_running_loop().call_soon(interrupted)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    task = loop.create_task(main())
    with pytest.raises(leave):
        loop.run_until_complete(task)
    (pair,) = made
    assert pair.arrived() == b"x"
    loop.run_until_complete(task)
    loop.run_until_complete(pair.__aexit__())


def test_while_the_loop_is_stopped(loop):
    async def start():
        return await Accepted().__aenter__()

    pair = loop.run_until_complete(start())
    pair.transport.write(b"x")
    assert pair.arrived() == b"x"
    loop.run_until_complete(pair.__aexit__())


def test_from_another_thread(run):
    """Nobody should, but asyncio sends it; the loop may be asleep."""

    async def main():
        async with Accepted() as pair:
            pair.transport.write(b"1")
            thread = threading.Thread(target=pair.transport.write, args=(b"2",))
            thread.start()
            thread.join()
            return pair.arrived()

    assert run(main()) == b"12"


def test_from_a_finalizer_between_steps(run):
    class Farewell:
        def __init__(self, transport):
            self.transport = transport

        def __del__(self):
            self.transport.write(b"bye")

    async def main():
        async with Accepted() as pair:
            loop = asyncio.get_running_loop()
            loop.call_soon(lambda _: None, Farewell(pair.transport))
            got = []
            await until(lambda: got.append(pair.arrived()) or got[-1])
            return got[-1]

    assert run(main()) == b"bye"


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("how", ["once", "twice"])
def test_a_fork_in_the_step(run, how):
    """What was written before it goes once; the child's own writes go at once."""

    async def main():
        async with Accepted() as pair:
            pair.transport.write(b"parent;")
            pid = os.fork()
            if pid == 0:
                if how == "twice":
                    pair.transport.write(b"child;")
                os._exit(0)
            os.waitpid(pid, 0)
            pair.transport.write(b"parent")
            await asyncio.sleep(0)
            return pair.arrived()

    child = b"child;" if how == "twice" else b""
    assert run(main()) == b"parent;" + child + b"parent"


@pytest.mark.parametrize("end", ["stays", "resets"])
def test_drain_of_a_handler_that_never_suspends(run, end, logs):
    """Each message is there before the next is made, and a dead peer is told of."""
    seen = []

    async def main():
        done = asyncio.get_running_loop().create_future()

        async def handle(reader, writer):
            for n in range(9):
                if n <= 3:
                    await asyncio.sleep(0)
                if n == 4 and end == "resets":
                    at_once = struct.pack("ii", 1, 0)
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
                    client.close()
                writer.write(b"head ")
                if n != 3:  # else it waits for the second of two
                    writer.write(b"body")
                try:
                    await writer.drain()
                except ConnectionError:
                    seen.append("told")
                    break
                seen.append(take())
            writer.transport.abort()
            done.set_result(None)

        def take():
            try:
                return client.recv(100)
            except OSError:
                return None

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        client = socket.create_connection(server.sockets[0].getsockname())
        client.setblocking(False)
        await done
        client.close()
        server.close()
        await server.wait_closed()

    run(main())
    logs.take()
    message = b"head body"
    first = [message, message, message, b"head "]
    assert seen == first + ([message] * 5 if end == "stays" else ["told"])


ENDS = """
import asyncio, os

async def handle(reader, writer):
    while request := await reader.read(1):
        writer.write(b"head ")
        writer.write(b"body ")
        if request == b"2":
            writer.write(b"bye")
            await writer.drain()
            os._exit(0)

async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()

new_event_loop().run_until_complete(main())
"""


def test_drained_before_the_process_ends(loop_kind):
    command = child_args(loop_kind, ENDS)
    with subprocess.Popen(
        command, env=child_env(), stdout=subprocess.PIPE, text=True
    ) as child:
        port = int(child.stdout.readline())
        got = b""
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            client.sendall(b"1")
            while len(got) < 10:
                got += client.recv(100)
            client.sendall(b"2")
            while data := client.recv(100):
                got += data
        assert child.wait() == 0
    assert got == b"head body head body bye"
