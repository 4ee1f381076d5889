"""create_connection to addresses in numbers and to what is none."""

import asyncio
import contextlib
import contextvars
import gc
import os
import socket

import pytest

from tests.footprint import open_fds
from tests.net.helpers import Recorder, serving
from tests.support import until

NUMBERS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


@contextlib.contextmanager
def refusing(family):
    """The address of a port that nobody listens on."""
    with socket.socket(family) as closed:
        try:
            closed.bind((NUMBERS[family], 0))
        except OSError:
            pytest.skip("no IPv6 on this machine")
        yield closed.getsockname()


def outcome(run, *args, **options):
    """What create_connection raises, as text."""

    async def main():
        loop = asyncio.get_running_loop()
        with pytest.raises(Exception) as caught:
            await loop.create_connection(asyncio.Protocol, *args, **options)
        return type(caught.value).__name__, str(caught.value)

    return run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", b"127.0.0.1", "::1"])
@pytest.mark.parametrize("port_type", [int, str])
@pytest.mark.parametrize("debug", [False, True])
def test_the_connection_that_is_made(run, host, port_type, debug):
    listening = host if isinstance(host, str) else host.decode()
    if ":" in listening and not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("no IPv6 on this machine")

    async def main():
        loop = asyncio.get_running_loop()
        async with serving(host=listening) as address:
            transport, protocol = await loop.create_connection(
                Recorder, host, port_type(address[1])
            )
            sock = transport.get_extra_info("socket")
            seen = (
                transport.get_extra_info("peername") == address,
                transport.get_extra_info("sockname") == sock.getsockname(),
                sock.type,
                sock.proto,
                sock.gettimeout(),
                sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0,
                os.get_inheritable(sock.fileno()),
            )
            transport.close()
            await protocol.closed
            return seen

    assert run(main(), debug=debug) == (
        (True, True, socket.SOCK_STREAM, socket.IPPROTO_TCP, 0.0, True, False)
    )


@pytest.mark.parametrize("family", NUMBERS)
@pytest.mark.parametrize("debug", [False, True])
def test_a_refused_port(run, family, debug):
    async def main(address):
        loop = asyncio.get_running_loop()
        with pytest.raises(ConnectionRefusedError, match="Connect call failed") as e:
            await loop.create_connection(asyncio.Protocol, *address[:2])
        assert str(address[1]) in str(e.value)

    with refusing(family) as address:
        run(main(address), debug=debug)


@pytest.mark.parametrize(
    ("args", "options"),
    [
        (("127.0.0.1", 65536), {}),
        (("127.0.0.1", -1), {}),
        (("127.0.0.1", None), {}),
        (("127.0.0.1", 1), {"family": socket.AF_INET6}),
        (("127.0.0.1", 1), {"server_hostname": "name"}),
        (("127.0.0.1", 1), {"sock": socket}),
        (("127.0.0.1", 1), {"local_addr": ("::1", 0)}),
        (("", 1), {"ssl": True}),
        ((), {}),
    ],
)
def test_bad_arguments(args, options, run):
    """The same as asyncio says."""

    def by_asyncio(coroutine):
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            return runner.run(coroutine)

    assert outcome(run, *args, **options) == outcome(by_asyncio, *args, **options)


def test_unknown_keywords(run):
    async def main():
        loop = asyncio.get_running_loop()
        with pytest.raises(TypeError, match="colour"):
            await loop.create_connection(asyncio.Protocol, "::1", 1, colour="blue")

    run(main())


def test_what_fails_leaves_no_socket(run):
    async def main(address):
        loop = asyncio.get_running_loop()
        for port in (address[1], 65536):
            with contextlib.suppress(OSError, OverflowError):
                await loop.create_connection(asyncio.Protocol, "127.0.0.1", port)
        before = open_fds()
        for port in (address[1], 65536) * 5:
            with contextlib.suppress(OSError, OverflowError):
                await loop.create_connection(asyncio.Protocol, "127.0.0.1", port)
        assert open_fds() == before

    gc.collect()
    with refusing(socket.AF_INET) as address:
        run(main(address))


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_factory_that_raises(run, listener):
    """Older asyncio leaves the socket to the collector."""

    async def main():
        loop = asyncio.get_running_loop()
        address = listener.getsockname()
        with pytest.raises(ZeroDivisionError):
            await loop.create_connection(lambda: 1 // 0, *address)
        gc.collect()

    gc.collect()
    before = open_fds()
    run(main())
    assert open_fds() == before


def test_a_first_callback_that_raises_is_reported(run, logs):
    class Raising(Recorder):
        def connection_made(self, transport):
            super().connection_made(transport)
            raise ZeroDivisionError

    async def main():
        loop = asyncio.get_running_loop()
        async with serving() as address:
            transport, protocol = await loop.create_connection(Raising, *address)
            transport.close()
            await protocol.closed

    run(main())
    assert "ZeroDivisionError" in str(logs.take())


def test_a_subclass_sees_its_own_sock_connect(loop):
    seen = []

    class Loop(type(loop)):
        async def sock_connect(self, sock, address):
            seen.append(address)
            return await super().sock_connect(sock, address)

    async def main():
        async with serving() as address:
            loop = asyncio.get_running_loop()
            transport, protocol = await loop.create_connection(Recorder, *address)
            transport.close()
            await protocol.closed
            assert seen == [address]

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(main())


def test_who_replaces_the_socket_class_sees_every_socket(run, monkeypatch):
    """As packages do that route connections through a proxy."""
    made = []

    class Socket(socket.socket):
        def __init__(self, *args, fileno=None, **kwargs):
            if fileno is None:  # else it was accepted
                made.append(self)
            super().__init__(*args, fileno=fileno, **kwargs)

    async def main():
        async with serving() as address:
            monkeypatch.setattr(socket, "socket", Socket)
            loop = asyncio.get_running_loop()
            transport, protocol = await loop.create_connection(Recorder, *address)
            monkeypatch.undo()
            transport.close()
            await protocol.closed

    run(main())
    assert len(made) == 1


def test_who_replaces_create_connection_sees_every_call(run, monkeypatch):
    """As packages do that trace connections."""
    seen = []
    plain = asyncio.BaseEventLoop.create_connection

    async def traced(self, *args, **options):
        seen.append(args[1:])
        return await plain(self, *args, **options)

    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", traced)

    async def main():
        async with serving() as address:
            loop = asyncio.get_running_loop()
            transport, protocol = await loop.create_connection(Recorder, *address)
            transport.close()
            await protocol.closed
            assert seen == [address]

    run(main())


def test_the_context_of_its_callbacks(run):
    """What each callback of a connection sees of the others' context."""
    variable = contextvars.ContextVar("variable")

    class Noting(Recorder):
        def __init__(self):
            super().__init__()
            variable.set("factory")

        def connection_made(self, transport):
            noted.append(variable.get())
            variable.set("made")
            super().connection_made(transport)

        def data_received(self, data):
            noted.append(variable.get())
            variable.set("data")
            super().data_received(data)

        def connection_lost(self, exc):
            noted.append(variable.get())
            super().connection_lost(exc)

    async def main():
        async with serving() as address:
            loop = asyncio.get_running_loop()
            variable.set("start")
            transport, protocol = await loop.create_connection(Noting, *address)
            for n in (1, 2):
                transport.write(b"x")
                await until(lambda n=n: len(protocol.data) == n)
            transport.close()
            await protocol.closed

    def by_asyncio(coroutine):
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            return runner.run(coroutine)

    noted = []
    by_asyncio(main())
    expected, noted = noted, []
    run(main())
    assert noted == expected
