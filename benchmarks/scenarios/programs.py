"""Real programs: what a request costs the server, or the client that asks."""

import contextlib
import os
import socket
import ssl
import sys
import tempfile
from pathlib import Path

from applications import CERTIFICATE, DATABASE
from loops import ACCELERATED

from scenarios import _share
from scenarios._case import Env, NotAvailable, case, check, per_operation
from scenarios._net import Server, cpu_seconds, server_cost, serving
from scenarios.apps import CONNECTIONS

GET = b"GET /orders/321?name=some HTTP/1.1\r\nHost: localhost\r\n\r\n"
TOOLS = Path(__file__).resolve().parents[2] / "tools"
CALLERS = 8


def port_of(server: Server) -> int:
    """Where it listens on 127.0.0.1."""
    return int(server.address.partition(":")[2])


def answer_bytes(connection: socket.socket) -> int:
    """The length of the answer to GET, which is the same every time."""
    connection.sendall(GET)
    got = b""
    while b"\r\n\r\n" not in got:
        got += _more(connection)
    head, _, body = got.partition(b"\r\n\r\n")
    check(head.startswith(b"HTTP/1.1 200"), got[:100])
    (length,) = (
        int(line.partition(b":")[2])
        for line in head.lower().splitlines()
        if line.startswith(b"content-length")
    )
    while len(body) < length:
        body += _more(connection)
    return len(head) + 4 + length


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise RuntimeError("the server closed the connection")
    return data


def http_cost(env: Env, kind: str, n: int) -> float:
    """CPU seconds of the server for a GET, with 16 connections."""
    with serving(env, kind) as server:
        where = "127.0.0.1", port_of(server)
        with socket.create_connection(where, timeout=10) as connection:
            reply = answer_bytes(connection)
        return server_cost(
            server, connections=CONNECTIONS, count=n, request=GET, reply=reply
        )


@case(n=2_000, clock="server cpu", references=[ACCELERATED])
def fastapi(env: Env, n: int) -> float:
    """FastAPI under uvicorn, a model as JSON; per request."""
    return http_cost(env, "fastapi", n)


@case(n=1_000, clock="server cpu", references=[ACCELERATED])
def fastapi_postgres(env: Env, n: int) -> float:
    """FastAPI, SQLAlchemy's session and asyncpg with PostgreSQL; per request."""
    sys.path.append(str(TOOLS))
    import servers

    try:
        with servers.postgres() as database:
            role = servers.ROLE
            where = f"{role}@127.0.0.1:{database.port}/{role}"
            os.environ[DATABASE] = f"postgresql+asyncpg://{where}"
            return http_cost(env, "fastapi_database", n)
    except servers.Absent as absent:
        raise NotAvailable(str(absent)) from None


@case(n=1_000, clock="server cpu", references=[ACCELERATED])
def fastapi_sqlite(env: Env, n: int) -> float:
    """The same with aiosqlite, whose thread's time is in it; per request."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ[DATABASE] = f"sqlite+aiosqlite:///{folder}/database"
        return http_cost(env, "fastapi_database", n)


@case(n=2_000, clock="server cpu", references=[ACCELERATED])
def django(env: Env, n: int) -> float:
    """Django's ASGI handler under uvicorn, an async view; per request."""
    return http_cost(env, "django", n)


@case(n=2_000, clock="server cpu", references=[ACCELERATED])
def fastapi_tls(env: Env, n: int) -> float:
    """FastAPI over TLS 1.3, eight connections that take turns; per request."""
    import trustme

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "certificate"
        made = trustme.CA().issue_cert("127.0.0.1")
        made.private_key_and_cert_chain_pem.write_to_path(path)
        os.environ[CERTIFICATE] = str(path)
        with serving(env, "fastapi_tls") as server:
            return _by_tls(server, n)


def _by_tls(server: Server, n: int) -> float:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with contextlib.ExitStack() as stack:
        connections = []
        for _ in range(CALLERS):
            plain = socket.create_connection(("127.0.0.1", port_of(server)), timeout=10)
            secret = stack.enter_context(context.wrap_socket(plain))
            reply = answer_bytes(secret)
            connections.append(secret)
        before = cpu_seconds(server.pid)
        for _ in range(n // CALLERS):
            for connection in connections:
                connection.sendall(GET)
            for connection in connections:
                left = reply
                while left:
                    left -= len(_more(connection))
        return (cpu_seconds(server.pid) - before) / (n // CALLERS * CALLERS)


@case(n=2_000, clock="server cpu", references=[ACCELERATED])
def grpc(env: Env, n: int) -> float:
    """A unary call of grpc.aio's server, eight at once; per call."""
    import asyncio

    import grpc as package

    with serving(env, "grpc") as server:

        async def main():
            where = f"127.0.0.1:{port_of(server)}"
            async with package.aio.insecure_channel(where) as channel:
                call = channel.unary_unary("/Shop/Order")

                async def caller(count):
                    for _ in range(count):
                        check(b"price" in await call(b'{"number": 1}'), "no price")

                async def callers(count):
                    await asyncio.gather(*(caller(count) for _ in range(CALLERS)))

                await callers(20)
                before = cpu_seconds(server.pid)
                await callers(n // CALLERS)
                return cpu_seconds(server.pid) - before

        return asyncio.run(main()) / (n // CALLERS * CALLERS)


@case(n=1_000, clock="cpu", references=[ACCELERATED])
def aiohttp_client(env: Env, n: int) -> float:
    """aiohttp's client, eight requests at once of uvicorn's hello; its CPU, each."""
    import asyncio

    import aiohttp

    async def main(count):
        async with aiohttp.ClientSession() as session:

            async def caller():
                for _ in range(count // CALLERS):
                    async with session.get(url) as response:
                        check(await response.read() == b"Hello, world!", "cut")

            await asyncio.gather(*(caller() for _ in range(CALLERS)))

    sampled = os.environ.pop(_share.VARIABLE, None)
    with serving(Env("asyncio", env.new_loop), "uvicorn") as server:
        url = f"http://127.0.0.1:{port_of(server)}/"
        _share.start(sampled)
        return per_operation(env, main, n)
