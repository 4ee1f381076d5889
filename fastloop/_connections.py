"""Connecting, by a way to addresses in numbers that is shorter than asyncio's; and
what is asyncio's own once the writes that wait are sent."""

import asyncio
import socket
from asyncio import base_events
from typing import Any

from . import _tls

# Programs put our loop in the place of asyncio.SelectorEventLoop.
_Asyncio = asyncio.SelectorEventLoop
# As they were at import: who replaces them sees every connection, and every socket.
_by_asyncio = _Asyncio.create_connection
_socket = socket.socket
_socket_is_pythons = _socket.__module__ == "socket"


def _family(host: str) -> int:
    """The family of an address in numbers; 0 if host is a name, or has a zone."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host)
    except (OSError, ValueError):
        return 0
    return family


async def _connect(
    loop: Any, protocol_factory: Any, family: int, host: str, port: int
) -> Any:
    sock = _socket(
        family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, socket.IPPROTO_TCP
    )
    try:
        address = (host, port) if family == socket.AF_INET else (host, port, 0, 0)
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return await loop._create_connection_transport(sock, protocol_factory, None, None)


class Connections:
    """create_connection, start_tls and run_in_executor of the loop."""

    async def create_connection(
        self: Any,
        protocol_factory: Any,
        host: Any = None,
        port: Any = None,
        **options: Any,
    ) -> tuple[Any, Any]:
        """create_connection(factory, host, port, **options) -> (transport, protocol).

        Connects as BaseEventLoop.create_connection, which see for the options and for
        what is raised: OSError if the connection can't be made, ValueError if the
        arguments don't go together.
        """
        # Fast path: nothing to resolve, to bind or to encrypt. A connection made,
        # used and closed costs 47,100 instructions, 66,600 without it.
        if (
            not options
            and type(host) is str
            and type(port) is int
            and (family := _family(host))
            and _socket_is_pythons
            and base_events.socket.socket is _socket  # type: ignore[attr-defined]
            and _Asyncio.create_connection is _by_asyncio
            and not self.get_debug()
        ):
            return await _connect(self, protocol_factory, family, host, port)  # type: ignore[no-any-return]
        return await _Asyncio.create_connection(
            self, protocol_factory, host, port, **options
        )

    create_connection.__wrapped__ = _by_asyncio  # type: ignore[attr-defined]

    async def start_tls(
        self: Any, transport: Any, protocol: Any, sslcontext: Any, **options: Any
    ) -> Any:
        """start_tls(transport, protocol, sslcontext, **options) -> transport.

        As BaseEventLoop.start_tls, which see for the options and for what is raised:
        TypeError if the transport cannot be upgraded, ssl.SSLError and OSError if the
        handshake fails.
        """
        self._send_waiting()
        return await _tls.start_tls(self, transport, protocol, sslcontext, **options)

    start_tls.__wrapped__ = _Asyncio.start_tls  # type: ignore[attr-defined]

    def run_in_executor(self: Any, executor: Any, func: Any, *args: Any) -> Any:
        """run_in_executor(executor, func, *args) -> future of what func(*args) returns.

        As BaseEventLoop.run_in_executor, after sending what waits: the thread may run
        at once.
        """
        self._send_waiting()
        return _Asyncio.run_in_executor(self, executor, func, *args)
