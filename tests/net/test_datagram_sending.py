"""Where datagrams go, and what becomes of those that the kernel refuses."""

import asyncio
import os
import select
import socket
import struct
import sys
import tempfile

import pytest

from tests.net.endpoints import (
    LOCAL,
    Echo,
    Endpoint,
    blocked,
    close,
    endpoint,
    read_all,
)
from tests.net.helpers import needs_localhost
from tests.support import outcome, until


def test_what_is_refused_arrives_in_order(run):
    async def main():
        transport, _, right, n = await blocked()
        for m in range(n, n + 30):
            transport.sendto(b"%d" % m)
        got = []

        def done():
            got.extend(read_all(right))
            return len(got) == n + 30

        await until(done)
        await until(lambda: not transport._buffer)
        transport.sendto(b"at once")
        last = right.recv(100)
        await close(transport)
        right.close()
        return got == [b"%d" % m for m in range(n + 30)], last

    assert run(main()) == (True, b"at once")


def test_a_peer_that_reads_one_at_a_time(run):
    """What is refused again goes on waiting, and nothing overtakes it."""

    async def main():
        transport, _, right, n = await blocked()
        total = 3 * n  # more than fits at once
        for m in range(n, total):
            transport.sendto(b"%d" % m)
        got = []
        while len(got) < total + 5:
            await until(lambda: right in select.select([right], [], [], 0)[0])
            got.append(int(right.recv(100)))
            if len(got) <= 5:  # there is room again
                transport.sendto(b"%d" % (total - 1 + len(got)))
        await close(transport)
        right.close()
        return got == list(range(total + 5))

    assert run(main())


def test_close_sends_what_waits_and_abort_does_not(run):
    async def main(end):
        transport, protocol, right, _n = await blocked()
        transport.sendto(b"last")
        end(transport)
        assert transport.is_closing()
        got = []

        def done():
            got.extend(read_all(right))
            return protocol.closed.done()

        await until(done)
        got += read_all(right)
        right.close()
        return b"last" in got, protocol.closed.result()

    assert run(main(lambda transport: transport.close())) == (True, None)
    assert run(main(lambda transport: transport.abort())) == (False, None)


def test_what_waits_is_a_copy(run):
    async def main():
        transport, _, right, _ = await blocked()
        data = bytearray(b"as it was")
        transport.sendto(data)
        data[:] = b"something else entirely"
        view = memoryview(bytearray(b"a view"))
        transport.sendto(view)
        view.release()
        got = []

        def done():
            got.extend(read_all(right))
            return b"a view" in got

        await until(done)
        await close(transport)
        right.close()
        return got[-2:]

    assert run(main()) == [b"as it was", b"a view"]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_kinds_of_data(run, kind):
    async def main():
        server, protocol = await endpoint(local_addr=LOCAL)
        client, _ = await endpoint(remote_addr=server.get_extra_info("sockname"))
        client.sendto(kind(b"data"))
        client.sendto(data=kind(b"by name"), addr=None)
        client.sendto(memoryview(kind(b"0123456789"))[2:5])
        await until(lambda: len(protocol.got) == 3)
        await close(client, server)
        return [data for data, _ in protocol.got], {type(d) for d, _ in protocol.got}

    assert run(main()) == ([b"data", b"by name", b"234"], {bytes})


def test_what_sendto_says_of_wrong_arguments(run):
    async def main():
        server, _ = await endpoint(local_addr=LOCAL)
        address = server.get_extra_info("sockname")
        client, _ = await endpoint(remote_addr=address)
        found = [
            str(outcome(client.sendto, "text")[2]),
            str(outcome(server.sendto, 5, address)[2]),
            str(outcome(server.sendto, None)[2]),
            str(outcome(client.sendto, b"x", ("127.0.0.1", 9))[2]).replace(
                repr(address), "ADDRESS"
            ),
            outcome(client.sendto)[1],
            outcome(client.sendto, b"x", None, None)[1],
            outcome(client.sendto, b"x", there=None)[1],
        ]
        client.sendto(b"x", address)  # its own, by value
        client.sendto(b"x", tuple(address))
        await close(client, server)
        return found

    wants = "data argument must be a bytes-like object, not "
    assert run(main()) == [
        wants + "'str'",
        wants + "'int'",
        wants + "'NoneType'",
        "Invalid address: must be None or ADDRESS",
        TypeError,
        TypeError,
        TypeError,
    ]


def test_an_address_of_the_wrong_type_ends_the_endpoint(run, logs):
    """asyncio has no better word for it: the socket's TypeError is fatal."""

    async def main():
        server, protocol = await endpoint(local_addr=LOCAL)
        server.sendto(b"to nobody")
        return type(await protocol.closed), server.is_closing()

    assert run(main()) == (TypeError, True)
    assert "Fatal write error on datagram transport" in logs.take_text()


def test_a_buffer_with_gaps_ends_the_endpoint(run, logs):
    async def main():
        server, _ = await endpoint(local_addr=LOCAL)
        client, protocol = await endpoint(remote_addr=server.get_extra_info("sockname"))
        client.sendto(memoryview(b"abcdef")[::2])
        found = type(await protocol.closed)
        await close(server)
        return found

    assert run(main()) is BufferError
    assert "Fatal write error on datagram transport" in logs.take_text()


def test_what_waits_goes_although_the_protocol_raises(run, logs):
    class Raising(Endpoint):
        def datagram_received(self, data, address):
            raise ZeroDivisionError

    async def main():
        transport, _, right, n = await blocked(Raising)
        right.send(b"to it")
        found = read_all(right)
        await until(lambda: found.extend(read_all(right)) or len(found) == n)
        await close(transport)
        right.close()
        return found == [b"%d" % i for i in range(n)]

    assert run(main())
    assert "ZeroDivisionError" in logs.take_text()


@needs_localhost
def test_names_are_looked_up(run):
    async def main():
        server, protocol = await endpoint(local_addr=LOCAL)
        client, mine = await endpoint(local_addr=LOCAL)
        port = server.get_extra_info("sockname")[1]
        client.sendto(b"by name", ("localhost", port))
        client.sendto(b"again", ("localhost", port))
        await until(lambda: len(protocol.got) == 2)
        client.sendto(b"", ("no such name", port))
        client.sendto(b"x", ("no such name", port))
        errors = {type(exc) for exc in mine.errors}
        await close(client, server)
        return [data for data, _ in protocol.got], errors

    assert run(main()) == ([b"by name", b"again"], {socket.gaierror})


def test_addresses_in_turn(run):
    """Each datagram goes where it is sent, whatever was seen before."""

    async def main():
        servers = [(await endpoint(Echo, local_addr=LOCAL)) for _ in range(3)]
        addresses = [t.get_extra_info("sockname") for t, _ in servers]
        client, mine = await endpoint(local_addr=LOCAL)
        for n in range(30):
            host, port = addresses[n % 3]
            address = addresses[n % 3] if n % 2 else (host, port)
            client.sendto(b"%d" % n, address)
        await until(lambda: len(mine.got) == 30)
        found = [sorted(int(d) for d, _ in protocol.got) for _, protocol in servers]
        answers = {(int(data) % 3, addr) for data, addr in mine.got}
        await close(client, *(t for t, _ in servers))
        return found, answers == set(enumerate(addresses))

    assert run(main()) == ([list(range(n, 30, 3)) for n in range(3)], True)


def test_an_address_that_changes(run):
    """A list is no address to be remembered."""

    class Port(int):
        pass

    async def main():
        first, one = await endpoint(local_addr=LOCAL)
        second, two = await endpoint(local_addr=LOCAL)
        client, mine = await endpoint(local_addr=LOCAL)
        for transport in (first, second, first):
            host, port = transport.get_extra_info("sockname")
            client.sendto(b"x", (host, Port(port)))
        await until(lambda: len(one.got) == 2 and two.got)
        await close(client, first, second)
        return mine.errors

    assert run(main()) == []


def test_ipv6(run):
    async def main():
        try:
            server, protocol = await endpoint(Echo, local_addr=("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
        address = server.get_extra_info("sockname")
        client, mine = await endpoint(local_addr=("::1", 0))
        for addr in (address[:2], address, address[:3]):
            client.sendto(b"six", addr)
        await until(lambda: len(mine.got) == 3)
        found = {addr for _, addr in mine.got} == {address}
        lengths = {len(addr) for _, addr in protocol.got}
        await close(client, server)
        return found, lengths

    assert run(main()) == (True, {4})


@pytest.mark.parametrize("form", ["path", "abstract", "nameless"])
def test_unix_addresses(run, form):
    async def main():
        with tempfile.TemporaryDirectory() as folder:
            name = {"path": os.path.join(folder, "sock"), "abstract": "\0fl-test"}
            local = name.get(form, name["path"]) + (
                str(os.getpid()) if form == "abstract" else ""
            )
            server, protocol = await endpoint(local_addr=local, family=socket.AF_UNIX)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            sock.setblocking(False)
            if form != "nameless":
                sock.bind("")
            client, mine = await endpoint(sock=sock)
            client.sendto(b"one", server.get_extra_info("sockname"))
            client.sendto(b"two", local)
            client.sendto(b"three", os.fsencode(local))
            await until(lambda: len(protocol.got) == 3)
            addresses = {addr for _, addr in protocol.got}
            same = addresses == {client.get_extra_info("sockname") or None}
            client.sendto(b"x", os.path.join(folder, "missing"))
            client.sendto(b"x", "x" * 108)  # one too many
            await close(client, server)
            return same, [type(exc) for exc in mine.errors]

    assert run(main()) == (True, [FileNotFoundError, OSError])


def test_netlink_requests(run):
    """Its addresses are made by the socket object; it always has a peer."""

    async def main():
        try:
            sock = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 0)
        except OSError:
            pytest.skip("no netlink here")
        sock.setblocking(False)
        sock.bind((0, 0))
        transport, protocol = await endpoint(sock=sock)
        # a request for the interfaces: length, type, flags, sequence, port, family
        request = struct.pack("=IHHIIB3xIiII", 32, 18, 0x301, 7, 0, 0, 0, 0, 0, 0)
        transport.sendto(request, "whatever")
        await until(lambda: protocol.got)
        await close(transport)
        return protocol.got[0][1]

    assert run(main()) == (0, 0)


def test_packets(run, logs):
    """A family whose addresses the socket object makes and takes apart."""

    async def main():
        try:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        except PermissionError:
            pytest.skip("not allowed to use packet sockets")
        sock.setblocking(False)
        sock.bind(("lo", 0x88B5))
        transport, protocol = await endpoint(sock=sock)
        transport.sendto(b"packet", ("lo", 0x88B5))
        transport.sendto(b"x", ("no such interface", 1))
        await until(lambda: b"packet" in [data for data, _ in protocol.got])
        transport.sendto(b"x", "no address")
        ended = type(await protocol.closed)
        return protocol.got[0][1][:2], ended, len(protocol.errors)

    assert run(main()) == (("lo", 0x88B5), TypeError, 1)
    assert "Fatal write error on datagram transport" in logs.take_text()


def test_broadcast_needs_leave(run):
    async def main():
        client, mine = await endpoint(local_addr=("0.0.0.0", 0))
        client.sendto(b"x", ("255.255.255.255", 9))
        await close(client)
        return [type(exc) for exc in mine.errors]

    assert run(main()) == [PermissionError]


def test_an_unconnected_endpoint_with_a_remote_address(run):
    """allow_broadcast leaves the socket unconnected."""

    async def main():
        server, _protocol = await endpoint(Echo, local_addr=LOCAL)
        address = server.get_extra_info("sockname")
        client, mine = await endpoint(remote_addr=address, allow_broadcast=True)
        client.sendto(b"one")
        client.sendto(b"two", address)
        wrong = outcome(client.sendto, b"x", ("127.0.0.1", 9))[1]
        await until(lambda: len(mine.got) == 2)
        found = client.get_extra_info("peername"), client._address == address
        await close(client, server)
        return found, wrong

    assert run(main()) == ((None, True), ValueError)


def test_sendto_when_closing(run, logs):
    """An endpoint with a remote address drops it; one without still sends."""

    async def main():
        server, protocol = await endpoint(local_addr=LOCAL)
        address = server.get_extra_info("sockname")
        client, mine = await endpoint(remote_addr=address)
        free, its = await endpoint(local_addr=LOCAL)
        client.close()
        free.close()
        client.sendto(b"dropped")
        free.sendto(b"sent", address)
        await until(lambda: protocol.got)
        for _ in range(5):
            client.sendto(b"dropped")
        await close(server)
        await asyncio.gather(mine.closed, its.closed)
        return [data for data, _ in protocol.got], client._conn_lost

    assert run(main()) == ([b"sent"], 7)
    assert logs.take_text().count("socket.send() raised exception.") == 2


# --- flow control ---


def test_the_water_marks(run):
    async def main():
        server, _ = await endpoint(local_addr=LOCAL)
        found = [server.get_write_buffer_limits()]
        server.set_write_buffer_limits(high=1000)
        found.append(server.get_write_buffer_limits())
        server.set_write_buffer_limits(low=10)
        found.append(server.get_write_buffer_limits())
        server.set_write_buffer_limits(0)
        found.append(server.get_write_buffer_limits())
        found.append(outcome(server.set_write_buffer_limits, high=1, low=2)[1])
        await close(server)
        return found

    assert run(main()) == [(16384, 65536), (250, 1000), (10, 40), (0, 0), ValueError]


def test_what_the_buffer_counts(run):
    """From 3.13 on, some bytes for each datagram are added to its own."""

    async def main():
        transport, _, right, _ = await blocked()
        before = transport.get_write_buffer_size()
        transport.sendto(bytes(100))
        grown = transport.get_write_buffer_size() - before
        waiting = [(data[:3], addr) for data, addr in transport._buffer]
        transport.abort()
        await transport.get_protocol().closed
        right.close()
        return grown, len(waiting), waiting[-1]

    header = 8 if sys.version_info >= (3, 13) else 0
    assert run(main()) == (100 + header, 2, (bytes(3), None))


def test_a_protocol_whose_pausing_raises(run, logs):
    class Fails(Endpoint):
        def pause_writing(self):
            raise ValueError("in pause_writing")

        def resume_writing(self):
            raise ValueError("in resume_writing")

    async def main():
        transport, _protocol, right, _ = await blocked(Fails)
        transport.set_write_buffer_limits(high=2000)
        transport.sendto(bytes(3000))
        await until(lambda: read_all(right) == [] and not transport._protocol_paused)
        closing = transport.is_closing()
        await close(transport)
        right.close()
        return closing

    assert run(main()) is False
    text = logs.take_text()
    assert "protocol.pause_writing() failed" in text
    assert "protocol.resume_writing() failed" in text


def test_an_error_between_waiting_datagrams(run):
    """It is told, and the others are sent."""

    async def main():
        transport, protocol, right, n = await blocked()
        transport.sendto(bytes(1 << 20))  # too long for the kernel
        transport.sendto(b"after it")
        got = []

        def done():
            got.extend(read_all(right))
            return b"after it" in got

        await until(done)
        await close(transport)
        right.close()
        return len(got) == n + 1, [exc.errno for exc in protocol.errors]

    import errno

    assert run(main()) == (True, [errno.EMSGSIZE])


def test_nothing_is_counted_that_does_not_wait(fast_loop):
    """asyncio counts wide items as bytes, and on 3.13.0 never all that it has added."""

    async def main():
        transport, _, right, _ = await blocked()
        transport.sendto(memoryview(bytes(80)).cast("d"))
        await until(lambda: not read_all(right) and not transport._buffer)
        left = transport.get_write_buffer_size()
        await close(transport)
        right.close()
        return left

    assert fast_loop.run_until_complete(main()) == 0
