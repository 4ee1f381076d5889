"""Whole applications: what a request costs the server, with 16 connections."""

import socket

from scenarios._case import Env, case
from scenarios._net import Server, server_cost, serving

CONNECTIONS = 16
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)
MESSAGE = b"x" * 64
# A binary frame of 64 bytes: from the client masked (with zeroes), back unmasked.
FRAME = b"\x82" + bytes([0x80 | len(MESSAGE)]) + b"\0\0\0\0" + MESSAGE
ANSWER_BYTES = 2 + len(MESSAGE)


def _reply_bytes(server: Server) -> int:
    """The length of the answer to GET, which is the same every time."""
    port = int(server.address.partition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(GET)
        got = b""
        while not got.endswith(b"Hello, world!"):
            data = connection.recv(65536)
            if not data:
                raise RuntimeError("the server closed the connection")
            got += data
    return len(got)


def _hello(env: Env, kind: str, n: int) -> float:
    with serving(env, kind) as server:
        reply = _reply_bytes(server)
        return server_cost(
            server, connections=CONNECTIONS, count=n, request=GET, reply=reply
        )


@case(n=3_000, clock="server cpu")
def uvicorn_hello(env: Env, n: int) -> float:
    """uvicorn (httptools) with an ASGI hello; per request."""
    return _hello(env, "uvicorn", n)


@case(n=3_000, clock="server cpu")
def fastapi_hello(env: Env, n: int) -> float:
    """FastAPI on uvicorn (httptools), a hello; per request."""
    return _hello(env, "fastapi_hello", n)


@case(n=3_000, clock="server cpu")
def aiohttp_hello(env: Env, n: int) -> float:
    """aiohttp's server with a hello; per request."""
    return _hello(env, "aiohttp", n)


@case(n=3_000, clock="server cpu")
def websockets_echo(env: Env, n: int) -> float:
    """The websockets package echoes 64 bytes; per message."""
    with serving(env, "websockets") as server:
        return server_cost(
            server,
            connections=CONNECTIONS,
            count=n,
            request=FRAME,
            reply=ANSWER_BYTES,
            hello=UPGRADE,
        )
