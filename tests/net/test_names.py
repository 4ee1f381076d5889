"""Names: resolving them, and connecting to hosts of several addresses."""

import asyncio
import socket

import pytest

from tests.net.helpers import Recorder, connected, needs_services, serving
from tests.support import child_says, outcome


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


# ---- what needs no look-up ----

HOSTS = [
    None,
    "127.0.0.1",
    b"127.0.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "127.1",
    "0x7f.1",
    "0177.0.0.1",
    "2130706433",
    "1.2.3.4.5",
    "256.0.0.1",
    "0x",
    "",
    "::1",
    b"::1",
    "::",
    "::ffff:127.0.0.1",
    "fe80::1%lo",
    "::1%nosuchinterface",
    "1::2::3",
    "127.0.0.1\0",
]
PORTS = [None, 0, 80, 65535, 65536, -1, 1 << 40, "", "80", b"80", "99999", True]
KINDS = [0, socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, 77]
FAMILIES = [0, socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, 99]
PROTOS = [0, socket.IPPROTO_TCP, socket.IPPROTO_UDP, 77]
FLAGS = [
    0,
    socket.AI_PASSIVE,
    socket.AI_CANONNAME,
    socket.AI_NUMERICHOST,
    socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    socket.AI_V4MAPPED | socket.AI_ALL,
    socket.AI_ADDRCONFIG,
]


def combinations(host):
    """Arguments of getaddrinfo: each value of each with each of two others."""
    yield from ((host, port, 0, 0, 0, 0) for port in PORTS)
    for port in (80, "80", None):
        for family in FAMILIES:
            for kind in KINDS:
                for proto in PROTOS:
                    yield host, port, family, kind, proto, 0
            for flags in FLAGS:
                yield host, port, family, socket.SOCK_STREAM, 0, flags


def no_executor(*args):
    raise AssertionError("the executor was asked")


NUMERIC = [
    host
    for host in HOSTS
    if host not in ("1.2.3.4.5", "256.0.0.1", "0x", "", "1::2::3", "127.0.0.1\0")
]


@pytest.mark.parametrize("host", NUMERIC, ids=repr)
def test_numbers_are_answered_at_once_as_sockets(fast_loop, host):
    fast_loop.run_in_executor = no_executor
    options = "family", "type", "proto", "flags"
    for args in combinations(host):
        expected = outcome(socket.getaddrinfo, *args)
        named = dict(zip(options, args[2:], strict=True))
        asking = fast_loop.getaddrinfo(*args[:2], **named)
        assert outcome(fast_loop.run_until_complete, asking) == expected, args


@pytest.mark.parametrize("host", NUMERIC, ids=repr)
def test_numbers_are_answered_again_as_sockets(fast_loop, host):
    """As often as asked, and whatever was done to an earlier answer."""
    fast_loop.run_in_executor = no_executor
    for args in [
        (host, 80, family, 1, 0, flags) for family in (0, 2) for flags in FLAGS
    ]:
        expected = outcome(socket.getaddrinfo, *args)
        named = dict(zip(("family", "type", "proto", "flags"), args[2:], strict=True))
        for _ in range(3):
            asking = fast_loop.getaddrinfo(*args[:2], **named)
            got = outcome(fast_loop.run_until_complete, asking)
            assert got == expected, args
            if isinstance(got[1], list):
                got[1].clear()
                expected = outcome(socket.getaddrinfo, *args)


@pytest.mark.parametrize("option", ["family", "type", "proto", "flags"])
@pytest.mark.parametrize("wrong", [0.0, [], "0"], ids=repr)
def test_what_equals_a_number_is_none(loop, option, wrong):
    """Also behind a question with the number itself."""

    async def ask(**options):
        return await loop.getaddrinfo("127.0.0.1", 80, **options)

    loop.run_until_complete(ask())
    with pytest.raises(TypeError):
        loop.run_until_complete(ask(**{option: wrong}))


AUDITED = """
import asyncio, sys
import fastloop
heard = []
def hear(event, args):
    if event == "socket.getaddrinfo":
        heard.append(args)
sys.addaudithook(hear)
async def main():
    for _ in range(3):
        await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80, type=1)
fastloop.run(main())
print(heard)
"""


def test_each_look_up_is_audited():
    """The same event for an answer that is known."""
    heard = [("127.0.0.1", 80, 0, 1, 0)] * 3
    assert child_says("fastloop", AUDITED) == f"{heard}\n"


@pytest.mark.parametrize(
    ("host", "port"),
    [(host, 80) for host in HOSTS if host not in NUMERIC]
    + [("127.0.0.1", port) for port in ("http", b"http", "+80", " 80", 1.5)]
    + [(5, 80), (bytearray(b"::1"), 80), ("localhost", 80)],
)
def test_all_else_goes_to_the_executor(fast_loop, host, port):
    """It may block: a name, or what a resolver could take for one."""
    fast_loop.run_in_executor = no_executor
    with pytest.raises(AssertionError, match="the executor was asked"):
        fast_loop.run_until_complete(fast_loop.getaddrinfo(host, port))


@pytest.mark.parametrize("host", [*HOSTS, 5, 1.5], ids=repr)
def test_the_answer_whoever_gives_it(loop, host, monkeypatch):
    if host not in NUMERIC:
        # a name server is not to be asked, who may be far or not there
        ask = socket.getaddrinfo
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda *args, flags=0, **options: ask(
                *args[:5], flags=flags | socket.AI_NUMERICHOST, **options
            ),
        )
    for port in (80, "http", 1.5):
        expected = outcome(socket.getaddrinfo, host, port, 0, socket.SOCK_STREAM)
        asking = loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        assert outcome(loop.run_until_complete, asking) == expected


def test_a_replaced_resolver_gets_its_thread(loop, monkeypatch):
    import threading

    seen = []
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *args: seen.append(threading.get_ident()) or args
    )
    asked = loop.run_until_complete(loop.getaddrinfo("127.0.0.1", 80, flags=1))
    assert asked == ("127.0.0.1", 80, 0, 0, 0, 1)
    assert seen != [threading.get_ident()]


@pytest.mark.parametrize("flags", range(0, 32))
@pytest.mark.parametrize("address", [("127.0.0.1", 80), ("::1", 80, 0, 0)])
def test_getnameinfo_with_any_flags(loop, address, flags, monkeypatch):
    if not flags & socket.NI_NUMERICHOST:
        # who would ask a name server, who may be far or not there
        monkeypatch.setattr(socket, "getnameinfo", lambda *args: ("asked", *args))
    expected = outcome(socket.getnameinfo, address, flags)
    got = outcome(loop.run_until_complete, loop.getnameinfo(address, flags))
    assert got == expected


@pytest.mark.parametrize("address", [(), ("name", 80), ("127.0.0.1", -1), None])
def test_naming_numbers_at_once(fast_loop, address):
    fast_loop.run_in_executor = no_executor
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    expected = outcome(socket.getnameinfo, address, flags)
    got = outcome(fast_loop.run_until_complete, fast_loop.getnameinfo(address, flags))
    assert got == expected


def test_names_on_a_closed_loop(loop):
    loop.close()
    flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    for asking in (
        loop.getaddrinfo("127.0.0.1", 80),
        loop.getnameinfo(("127.0.0.1", 80), flags),
    ):
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            asking.send(None)


def test_numbers_in_debug_mode(loop, caplog):
    loop.set_debug(True)
    loop.slow_callback_duration = 60  # a busy machine is no news
    with caplog.at_level("DEBUG", "asyncio"):
        loop.run_until_complete(loop.getaddrinfo("127.0.0.1", 80))
    assert "Get address info 127.0.0.1:80" in caplog.text
    assert "Getting address info 127.0.0.1:80 took" in caplog.text


def test_serving_and_connecting_by_number_starts_no_thread(fast_loop):
    fast_loop.run_in_executor = no_executor

    async def main():
        async with (
            serving() as address,
            connected(address) as (reader, writer),
        ):
            writer.write(b"x")
            return await reader.read(1)

    assert fast_loop.run_until_complete(main()) == b"x"


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


@needs_services
def test_our_loop_in_the_place_of_asyncios(monkeypatch):
    """As `asyncio.SelectorEventLoop = fastloop.Loop` in somebody's program."""
    import fastloop

    monkeypatch.setattr(asyncio, "SelectorEventLoop", fastloop.Loop)

    async def main():
        loop = asyncio.get_running_loop()
        # a service's name is looked up in the executor
        answer = await loop.getaddrinfo("127.0.0.1", "http", type=socket.SOCK_STREAM)
        name = await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST)
        return answer[0][4], name

    with asyncio.Runner(loop_factory=fastloop.new_event_loop) as runner:
        address, name = runner.run(main())
    assert address == ("127.0.0.1", 80)
    assert name[0] == "127.0.0.1"
