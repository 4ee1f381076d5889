"""Names: resolving them, and connecting to hosts of several addresses."""

import asyncio
import socket

import pytest

from tests.net.helpers import Recorder, connected, serving
from tests.support import outcome


@pytest.mark.parametrize(
    ("args", "options"),
    [
        (("127.0.0.1", 80), {}),
        (("127.0.0.1", "http"), {"type": socket.SOCK_STREAM}),
        (("localhost", 80), {"family": socket.AF_INET, "type": socket.SOCK_STREAM}),
        (("::1", 80), {"type": socket.SOCK_DGRAM}),
        ((None, 80), {"flags": socket.AI_PASSIVE, "type": socket.SOCK_STREAM}),
        ((None, 0), {}),
        ((b"127.0.0.1", b"80"), {}),
        (("127.0.0.1", None), {}),
        (("127.0.0.1", 80), {"proto": socket.IPPROTO_UDP}),
        (("127.0.0.1", 80), {"flags": socket.AI_NUMERICHOST}),
    ],
)
def test_getaddrinfo_as_sockets(run, args, options):
    async def main():
        return await asyncio.get_running_loop().getaddrinfo(*args, **options)

    expected = outcome(socket.getaddrinfo, *args, **options)
    assert outcome(run, main()) == expected


def test_a_name_that_is_not_known(run):
    async def main():
        flags = socket.AI_NUMERICHOST
        await asyncio.get_running_loop().getaddrinfo("no.such.name", 80, flags=flags)

    with pytest.raises(socket.gaierror):
        run(main())


def test_getnameinfo(run):
    async def main():
        loop = asyncio.get_running_loop()
        flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        return await loop.getnameinfo(("127.0.0.1", 80), flags)

    assert run(main()) == ("127.0.0.1", "80")


def answers(*addresses):
    """A getaddrinfo that gives these addresses for any name."""

    async def getaddrinfo(host, port, **options):
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (address, port) if ":" not in address else (address, port, 0, 0),
            )
            for address in addresses
        ]

    return getaddrinfo


@pytest.mark.parametrize("delay", [None, 0, 0.01, 5])
def test_several_addresses_the_first_ones_refuse(run, delay):
    async def main():
        loop = asyncio.get_running_loop()
        async with serving() as (host, port):
            loop.getaddrinfo = answers("127.0.0.3", "127.0.0.2", host)
            options = {} if delay is None else {"happy_eyeballs_delay": delay}
            async with connected(("many.test", port), **options) as (reader, writer):
                writer.write(b"x\n")
                assert await reader.readline() == b"x\n"
                peer = writer.get_extra_info("peername")
            del loop.getaddrinfo
            return peer == (host, port)

    assert run(main())


@pytest.mark.parametrize("delay", [None, 0.001])
def test_every_address_refuses(run, delay):
    async def main():
        loop = asyncio.get_running_loop()
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        loop.getaddrinfo = answers("127.0.0.1", "127.0.0.2")
        with pytest.raises(OSError, match=r"[Cc]onne"):
            await loop.create_connection(
                Recorder, "many.test", port, happy_eyeballs_delay=delay
            )
        del loop.getaddrinfo

    run(main())


def test_an_address_that_never_answers(run):
    """Happy eyeballs: the second address is tried while the first still hangs."""

    async def main():
        loop = asyncio.get_running_loop()
        async with serving() as (host, port):
            with socket.socket() as full:
                # A listener whose backlog is full: connecting to it hangs.
                full.bind(("127.0.0.2", port))
                full.listen(0)
                fillers = []
                for _ in range(3):
                    sock = socket.socket()
                    sock.setblocking(False)
                    sock.connect_ex(full.getsockname())
                    fillers.append(sock)
                loop.getaddrinfo = answers("127.0.0.2", host)
                async with connected(
                    ("many.test", port), happy_eyeballs_delay=0.01
                ) as (reader, writer):
                    writer.write(b"x\n")
                    line = await reader.readline()
                    peer = writer.get_extra_info("peername")
                for sock in fillers:
                    sock.close()
            del loop.getaddrinfo
            return line, peer == (host, port)

    assert run(main()) == (b"x\n", True)


def test_interleave(run):
    async def main():
        loop = asyncio.get_running_loop()
        async with serving() as (host, port):
            loop.getaddrinfo = answers("::1", host)
            async with connected(
                ("many.test", port), interleave=1, happy_eyeballs_delay=0.01
            ) as (_, writer):
                peer = writer.get_extra_info("peername")
            del loop.getaddrinfo
            return peer == (host, port)

    assert run(main())


def test_local_addr(run):
    async def main():
        seen = []

        async def note(reader, writer):
            seen.append(writer.get_extra_info("peername"))
            writer.close()
            await writer.wait_closed()

        async with (
            serving(note) as address,
            connected(address, local_addr=("127.0.0.2", 0)) as (reader, _),
        ):
            await reader.read()
        return seen[0][0]

    assert run(main()) == "127.0.0.2"


def test_wrong_arguments(run):
    async def main():
        loop = asyncio.get_running_loop()
        for options, text in (
            ({}, "host and port was not specified"),
            ({"host": "x", "port": 1, "sock": 5}, "can not be specified"),
            ({"host": "x", "port": 1, "server_hostname": "x"}, "server_hostname"),
            ({"host": "x", "port": 1, "ssl_handshake_timeout": 1}, "handshake"),
        ):
            with pytest.raises(ValueError, match=text):
                await loop.create_connection(Recorder, **options)

    run(main())
