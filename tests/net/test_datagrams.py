"""UDP, Unix and netlink datagram endpoints."""

import asyncio
import contextvars
import functools
import gc
import os
import socket
import sys
import tempfile
import warnings

import pytest

from tests.net.endpoints import (
    LOCAL,
    Echo,
    Endpoint,
    blocked,
    close,
    endpoint,
    read_all,
    unix_pair,
)
from tests.net.helpers import needs_pausing
from tests.support import outcome, run_once, until


@pytest.mark.parametrize("is_connected", [True, False])
def test_echo(run, is_connected):
    async def main():
        server, _ = await endpoint(Echo, local_addr=LOCAL)
        address = server.get_extra_info("sockname")
        if is_connected:
            client, protocol = await endpoint(remote_addr=address)
        else:
            client, protocol = await endpoint(local_addr=LOCAL)
        for n in range(5):
            args = () if is_connected else (address,)
            client.sendto(b"%d" % n, *args)
            await until(lambda n=n: len(protocol.got) == n + 1)
        await close(client, server)
        return [data for data, _ in protocol.got], {addr for _, addr in protocol.got}

    data, addresses = run(main())
    assert data == [b"0", b"1", b"2", b"3", b"4"]
    assert len(addresses) == 1


def test_many_at_once(run):
    async def main():
        server, protocol = await endpoint(local_addr=LOCAL)
        client, _ = await endpoint(remote_addr=server.get_extra_info("sockname"))
        for n in range(50):
            client.sendto(b"%d" % n)
        await until(lambda: len(protocol.got) == 50)
        await close(client, server)
        return [int(data) for data, _ in protocol.got]

    assert run(main()) == list(range(50))


def test_empty_datagrams(run):
    """Delivered from 3.12 on; 3.11 neither sends nor tells of them."""

    async def main():
        server, protocol = await endpoint(local_addr=LOCAL)
        client, _ = await endpoint(remote_addr=server.get_extra_info("sockname"))
        client.sendto(b"")
        client.sendto(b"after")
        await until(lambda: (b"after") in [data for data, _ in protocol.got])
        await close(client, server)
        return [data for data, _ in protocol.got]

    theirs = asyncio.run(main())
    assert run(main()) == theirs
    assert b"after" in theirs


def test_large_and_too_large(run):
    async def main():
        server, protocol = await endpoint(local_addr=LOCAL)
        address = server.get_extra_info("sockname")
        client, mine = await endpoint(local_addr=LOCAL)
        client.sendto(bytes(60_000), address)
        await until(lambda: protocol.got)
        client.sendto(bytes(70_000), address)
        await until(lambda: mine.errors or mine.closed.done())
        await close(client, server)
        return len(protocol.got[0][0]), [exc.errno for exc in mine.errors]

    import errno

    assert run(main()) == (60_000, [errno.EMSGSIZE])


def test_a_port_nobody_listens_on(run):
    async def main():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(LOCAL)
            address = sock.getsockname()
        client, protocol = await endpoint(remote_addr=address)
        client.sendto(b"anyone?")
        await until(lambda: protocol.errors)
        await close(client)
        return [type(exc) for exc in protocol.errors]

    assert run(main()) == [ConnectionRefusedError]


def test_wrong_arguments(run):
    async def main():
        server, _ = await endpoint(local_addr=LOCAL)
        client, _ = await endpoint(remote_addr=server.get_extra_info("sockname"))
        found = [
            outcome(client.sendto, "text")[1],
            outcome(client.sendto, b"x", ("127.0.0.1", 9))[1],
        ]
        await close(client, server)
        with pytest.raises(ValueError, match="unexpected address family"):
            await endpoint()
        return found

    assert run(main()) == [TypeError, ValueError]


def test_abort(run):
    async def main():
        server, protocol = await endpoint(local_addr=LOCAL)
        server.abort()
        assert await protocol.closed is None
        return server.is_closing()

    assert run(main())


def test_extra_info_and_class(run):
    kind = (
        asyncio.DatagramTransport
        if sys.version_info >= (3, 12)
        else asyncio.BaseTransport
    )

    async def main():
        server, _ = await endpoint(local_addr=LOCAL)
        found = (
            isinstance(server, kind),
            server.get_extra_info("sockname")[0],
            isinstance(server.get_extra_info("socket"), asyncio.trsock.TransportSocket),
        )
        await close(server)
        return found

    assert run(main()) == (True, "127.0.0.1", True)


def test_a_socket_given(run):
    async def main():
        left, right = unix_pair()
        transport, protocol = await endpoint(sock=left)
        right.send(b"given")
        await until(lambda: protocol.got)
        transport.sendto(b"back")
        answer = right.recv(100)
        await close(transport)
        right.close()
        return protocol.got[0][0], answer

    assert run(main()) == (b"given", b"back")


def test_unix_datagrams(run):
    async def main():
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in "ab"]
            server, protocol = await endpoint(
                Echo, local_addr=paths[0], family=socket.AF_UNIX
            )
            client, mine = await endpoint(
                local_addr=paths[1], remote_addr=paths[0], family=socket.AF_UNIX
            )
            client.sendto(b"unix")
            await until(lambda: mine.got)
            await close(client, server)
            return protocol.got[0][0], mine.got[0][0]

    assert run(main()) == (b"unix", b"unix")


def test_netlink(run):
    """Refused by older Pythons, and then by ours; else as any datagram socket."""

    async def main():
        try:
            sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        except OSError:
            return "no netlink here"
        sock.setblocking(False)
        try:
            transport, _ = await endpoint(sock=sock)
        except ValueError as exc:
            sock.close()
            return str(exc).split(",")[0]
        await close(transport)
        return "endpoint"

    assert run(main()) == asyncio.run(main())


def test_reuse_port_and_broadcast(run):
    async def main():
        first, _ = await endpoint(
            local_addr=LOCAL, reuse_port=True, allow_broadcast=True
        )
        address = first.get_extra_info("sockname")
        second, _ = await endpoint(local_addr=address, reuse_port=True)
        sock = first.get_extra_info("socket")
        found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
        await close(first, second)
        return found

    assert run(main()) == 1


def test_a_protocol_that_raises(run, logs):
    class Fails(Endpoint):
        def datagram_received(self, data, addr):
            raise ValueError("in datagram_received")

    async def main():
        server, protocol = await endpoint(Fails, local_addr=LOCAL)
        client, _ = await endpoint(remote_addr=server.get_extra_info("sockname"))
        client.sendto(b"x")
        await until(lambda: protocol.closed.done() or logs.records)
        server.close()
        await protocol.closed
        await close(client)

    run(main())
    assert "in datagram_received" in logs.take_text()


def test_flow_control(run):
    """A full socket buffer queues, and pauses the protocol."""

    class Counts(Endpoint):
        paused = resumed = 0

        def pause_writing(self):
            self.paused += 1

        def resume_writing(self):
            self.resumed += 1

    async def main():
        left, right = unix_pair()
        transport, protocol = await endpoint(Counts, sock=left)
        transport.set_write_buffer_limits(high=20_000)
        n_sent = 0
        while not protocol.paused:
            transport.sendto(bytes(1000))
            n_sent += 1
        assert transport.get_write_buffer_size() > 20_000
        n_got = 0
        loop = asyncio.get_running_loop()
        while n_got < n_sent:
            await loop.sock_recv(right, 2000)
            n_got += 1
        await until(lambda: protocol.resumed)
        await close(transport)
        right.close()
        return protocol.paused, protocol.resumed

    assert run(main()) == (1, 1)


# --- what the protocol may do ---


def test_error_received_that_raises_reaches_the_sender(run):
    class Fails(Endpoint):
        def error_received(self, exc):
            raise ValueError("in error_received")

    async def main():
        client, _protocol = await endpoint(Fails, local_addr=LOCAL)
        found = outcome(client.sendto, bytes(70_000), ("127.0.0.1", 9))[1]
        closing = client.is_closing()
        await close(client)
        return found, closing

    assert run(main()) == (ValueError, False)


def test_datagram_received_that_raises_is_no_end(run, logs):
    class Fails(Endpoint):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            raise ValueError("on purpose")

    async def main():
        server, protocol = await endpoint(Fails, local_addr=LOCAL)
        client, _ = await endpoint(remote_addr=server.get_extra_info("sockname"))
        client.sendto(b"1")
        client.sendto(b"2")
        await until(lambda: len(protocol.got) == 2)
        closing = server.is_closing()
        await close(client, server)
        return closing

    assert run(main()) is False
    assert logs.take_text().count("ValueError: on purpose") == 2


def test_an_exit_leaves_the_loop(loop):
    class Exits(Endpoint):
        def datagram_received(self, data, addr):
            raise SystemExit(3)

    async def start():
        server, _ = await endpoint(Exits, local_addr=LOCAL)
        client, _ = await endpoint(remote_addr=server.get_extra_info("sockname"))
        return server, client

    server, client = loop.run_until_complete(start())
    client.sendto(b"x")
    with pytest.raises(SystemExit):
        loop.run_forever()
    loop.run_until_complete(close(server, client))


@pytest.mark.parametrize("end", ["close", "abort"])
def test_ending_inside_datagram_received(run, end):
    class Ends(Endpoint):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            getattr(self.transport, end)()

    async def main():
        server, protocol = await endpoint(Ends, local_addr=LOCAL)
        client, _ = await endpoint(remote_addr=server.get_extra_info("sockname"))
        client.sendto(b"first")
        client.sendto(b"never seen")
        result = await protocol.closed
        await close(client)
        return [data for data, _ in protocol.got], result

    assert run(main()) == ([b"first"], None)


def test_one_datagram_a_turn(run):
    """What datagram_received schedules runs before the next datagram."""

    class Notes(Endpoint):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            order.append(data)
            asyncio.get_running_loop().call_soon(order.append, data + b" later")

    order = []

    async def main():
        server, _protocol = await endpoint(Notes, local_addr=LOCAL)
        client, _ = await endpoint(remote_addr=server.get_extra_info("sockname"))
        for n in range(3):
            client.sendto(b"%d" % n)
        await until(lambda: len(order) == 6)
        await close(client, server)

    run(main())
    assert order == [b"0", b"0 later", b"1", b"1 later", b"2", b"2 later"]


def test_set_protocol(run):
    async def main():
        server, first = await endpoint(local_addr=LOCAL)
        address = server.get_extra_info("sockname")
        client, _ = await endpoint(remote_addr=address)
        client.sendto(b"1")
        await until(lambda: first.got)
        second = Endpoint()
        server.set_protocol(second)
        client.sendto(b"2")
        await until(lambda: second.got)
        assert server.get_protocol() is second
        await close(client, server)
        return len(first.got), first.closed.done()

    assert run(main()) == (1, False)


@needs_pausing
def test_pausing_reading(run):
    async def main():
        server, protocol = await endpoint(local_addr=LOCAL)
        client, _ = await endpoint(remote_addr=server.get_extra_info("sockname"))
        server.pause_reading()
        client.sendto(b"1")
        for _ in range(10):
            await asyncio.sleep(0)
        found = len(protocol.got), server.is_reading()
        server.resume_reading()
        await until(lambda: protocol.got)
        await close(client, server)
        return found, server.is_reading()

    assert run(main()) == ((0, False), False)


def test_callbacks_run_in_the_context_of_the_endpoints_making(run):
    variable = contextvars.ContextVar("variable", default="outside")

    class Looks(Endpoint):
        def connection_made(self, transport):
            super().connection_made(transport)
            seen.append(variable.get())

        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            seen.append(variable.get())

    seen = []

    async def main():
        variable.set("inside")
        server, protocol = await endpoint(Looks, local_addr=LOCAL)
        variable.set("later")
        client, _ = await endpoint(remote_addr=server.get_extra_info("sockname"))
        client.sendto(b"1")
        await until(lambda: protocol.got)
        await close(client, server)

    run(main())
    assert seen == ["inside", "inside"]


# --- what it looks like ---


def test_private_attributes_and_repr(run):
    async def main():
        server, protocol = await endpoint(local_addr=LOCAL)
        loop = asyncio.get_running_loop()
        fd = server._sock_fd
        found = [
            server._loop is loop,
            server._protocol is protocol,
            server._sock.fileno() == fd,
            server._address,
            list(server._buffer),
            server._conn_lost,
            server._closing,
            server._protocol_paused,
            server._extra["sockname"] == server._sock.getsockname(),
            loop._transports[fd] is server,
            server.max_size,
            server._server,
            repr(server).replace(type(server).__name__, "NAME").replace(str(fd), "N"),
        ]
        server.close()
        found.append(
            repr(server).replace(type(server).__name__, "NAME").replace(str(fd), "N")
        )
        await protocol.closed
        await asyncio.sleep(0)
        found += [server._sock, server._loop, server.is_closing()]
        found.append(
            repr(server).replace(type(server).__name__, "NAME").replace(str(fd), "N")
        )
        return found

    assert run(main()) == [
        *(True, True, True, None, [], 0, False, False, True, True, 256 * 1024, None),
        "<NAME fd=N read=polling write=<idle, bufsize=0>>",
        "<NAME closing fd=N read=idle write=<idle, bufsize=0>>",
        *(None, None, True),
        "<NAME closed fd=N>",
    ]


def test_extra_info(run):
    async def main():
        server, _ = await endpoint(local_addr=LOCAL)
        address = server.get_extra_info("sockname")
        client, _ = await endpoint(remote_addr=address)
        found = [
            server.get_extra_info("peername"),
            client.get_extra_info("peername") == address,
            client.get_extra_info("unheard-of"),
            client.get_extra_info("unheard-of", 5),
            client.get_extra_info(name="unheard-of", default=6),
        ]
        await close(client, server)
        await asyncio.sleep(0)
        found.append(client.get_extra_info("peername") == address)
        found.append(client.get_extra_info("socket").fileno())
        return found

    assert run(main()) == [None, True, None, 5, 6, True, -1]


@needs_pausing
def test_an_endpoint_that_nobody_closed(run):
    async def main():
        transport = (await endpoint(local_addr=LOCAL))[0]
        fd = transport.get_extra_info("socket").fileno()
        transport.pause_reading()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del transport
            gc.collect()
            await asyncio.sleep(0)
        messages = [str(w.message) for w in caught]
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
        return any(f"Transport fd={fd}" in message for message in messages)

    assert run(main())


def test_debug_mode(run):
    async def main():
        server, protocol = await endpoint(Echo, local_addr=LOCAL)
        client, mine = await endpoint(remote_addr=server.get_extra_info("sockname"))
        client.sendto(b"1")
        await until(lambda: mine.got)
        transport, _, right, _ = await blocked()
        await until(lambda: not read_all(right) and not transport._buffer)
        await close(client, server, transport)
        right.close()
        return len(protocol.got)

    assert run(main(), debug=True) == 1


@needs_pausing
def test_the_socket_closed_behind_its_back(run):
    async def main():
        server, protocol = await endpoint(local_addr=LOCAL)
        address = server.get_extra_info("sockname")
        server.pause_reading()
        server._sock.close()
        server.sendto(b"x", address)
        server.abort()
        await protocol.closed
        return [exc.errno for exc in protocol.errors]

    import errno

    assert run(main()) == [errno.EBADF]


def test_a_subclass_of_socket_is_left_to_its_own_methods(run):
    class Own(socket.socket):
        sent = received = 0

        def sendto(self, *args):
            self.sent += 1
            return super().sendto(*args)

        def recvfrom(self, *args):
            self.received += 1
            return super().recvfrom(*args)

    async def main():
        sock = Own(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(LOCAL)
        transport, protocol = await endpoint(sock=sock)
        transport.sendto(b"to myself", sock.getsockname())
        await until(lambda: protocol.got)
        await close(transport)
        return sock.sent, sock.received

    assert run(main()) == (1, 1)


def test_audit_events(run):
    """sendto to an address is audited as the socket's own is."""

    async def main():
        server, protocol = await endpoint(local_addr=LOCAL)
        address = server.get_extra_info("sockname")
        EVENTS.clear()
        server.sendto(b"x", address)
        server.sendto(b"x", address)
        found = [event for event in EVENTS if event[0] == "socket.sendto"]
        await until(lambda: len(protocol.got) == 2)
        await close(server)
        return [args[1] == address for _, args in found]

    listen_to_audits()
    assert run(main()) == [True, True]


EVENTS = []


@functools.cache
def listen_to_audits():
    """For good: an audit hook cannot be removed."""
    sys.addaudithook(
        lambda name, args: name == "socket.sendto" and EVENTS.append((name, args))
    )


# --- where it differs ---


def test_sendto_after_the_end(fast_loop, logs):
    """asyncio's endpoint without a remote address raises AttributeError."""

    async def main():
        server, _protocol = await endpoint(local_addr=LOCAL)
        address = server.get_extra_info("sockname")
        await close(server)
        await asyncio.sleep(0)
        for _ in range(5):
            server.sendto(b"x", address)

    fast_loop.run_until_complete(main())
    assert "socket.send() raised exception." in logs.take_text()


def test_the_class_and_the_copied_buffer(fast_loop):
    async def main():
        transport, _, right, _ = await blocked()
        transport._buffer.clear()
        found = (
            type(transport).__module__,
            type(transport).__name__,
            isinstance(transport, asyncio.DatagramTransport),
            len(transport._buffer),
        )
        transport.abort()
        await transport.get_protocol().closed
        right.close()
        return found

    found = fast_loop.run_until_complete(main())
    assert found == ("fastloop", "DatagramTransport", True, 1)


# ---- many at once ----

N_AT_ONCE = 60


@pytest.mark.parametrize("act", ["schedules", "wakes", "stops", "closes", "raises"])
def test_what_waits_together_comes_one_by_one(loop, logs, act):
    """What a datagram causes happens before the next one is received."""
    events = []

    class Protocol(asyncio.DatagramProtocol):
        def datagram_received(self, data, address):
            events.append(int(data))
            if act == "schedules":
                loop.call_soon(events.append, "soon")
            elif act == "wakes":
                futures.pop(0).set_result(None)
            elif act == "stops":
                loop.stop()
            elif act == "closes" and len(events) == 3:
                transport.close()
            elif act == "raises":
                raise ValueError("on purpose")

    async def wait(future):
        await future
        events.append("woken")

    make = loop.create_datagram_endpoint(Protocol, local_addr=LOCAL)
    transport, _ = loop.run_until_complete(make)
    futures = [loop.create_future() for _ in range(N_AT_ONCE)]
    tasks = [loop.create_task(wait(future)) for future in futures]
    run_once(loop)
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        for n in range(N_AT_ONCE):
            sender.sendto(b"%d" % n, transport.get_extra_info("sockname"))
    if act == "stops":
        loop.run_forever()
        assert events == [0]
    elif act == "closes":
        loop.run_until_complete(asyncio.sleep(0.01))
        assert events == [0, 1, 2]
    else:
        n_each = 1 if act == "raises" else 2
        n_events = n_each * N_AT_ONCE
        loop.run_until_complete(until(lambda: len(events) == n_events))
        assert events[::n_each] == list(range(N_AT_ONCE))
        assert len(set(events[1::2])) == (N_AT_ONCE // 2 if act == "raises" else 1)
    if act == "raises":
        assert len(logs.take()) == N_AT_ONCE
    for task in tasks:
        task.cancel()
    transport.close()
    run_once(loop)


@pytest.mark.parametrize("what", ["call_later", "call_at", "another's data"])
def test_a_crowd_holds_nothing_up(run, what):
    """What is due, or has come, after one datagram is not after the next ones."""

    async def main():
        loop = asyncio.get_running_loop()
        order = []
        done = loop.create_future()
        ours, theirs = socket.socketpair()

        class Other(asyncio.Protocol):
            def data_received(self, data):
                order.append("it")

        class Crowded(Endpoint):
            def datagram_received(self, data, address):
                order.append(data)
                if len(order) == 20 and what == "call_later":
                    loop.call_later(0, order.append, "it")
                elif len(order) == 20 and what == "call_at":
                    loop.call_at(loop.time() - 1, order.append, "it")
                elif len(order) == 20:
                    theirs.send(b"x")
                elif data == b"99":
                    done.set_result(None)

        server, _ = await endpoint(Crowded, local_addr=LOCAL)
        transport = None
        if what == "another's data":
            transport, _ = await loop.create_connection(Other, sock=ours)
        with ours, theirs, socket.socket(type=socket.SOCK_DGRAM) as client:
            for n in range(100):
                client.sendto(b"%d" % n, server.get_extra_info("sockname"))
            await done
            if transport is not None:
                transport.abort()
                await asyncio.sleep(0)
        await close(server)
        return order.index("it")

    assert run(main()) in (20, 21)  # the poll's order of two that are ready
