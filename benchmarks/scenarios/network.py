"""Bytes: echo servers of every kind, bulk, accepting, connecting, processes.

The server is a process of its own and its CPU time counts; the client is a C program
that keeps a fixed number of requests in flight and spins on another CPU. `limit` is
a C server that only echoes, `apart` one that sends each message by itself, `floor` one
in C that calls the same Protocol or handler.
"""

import asyncio
import socket

from loops import ACCELERATED

from scenarios._case import Env, case, check, per_operation
from scenarios._net import server_cost, serving

MIB = 1 << 20
GB = 1e9
BLOCK = 16 * MIB
STREAMS = (ACCELERATED, "limit", "apart", "floor")


def _echo(name, doc, kind, n, size, connections, depth=1, family="tcp"):
    def run(env: Env, n: int) -> float:
        with serving(env, kind, size, family) as server:
            return server_cost(
                server,
                connections=connections,
                depth=depth,
                count=n,
                request=size,
                reply=size,
            )

    run.__doc__ = doc
    run.__module__ = __name__
    references = {"proto": ("limit", "floor"), "exact": STREAMS, "line": STREAMS}.get(
        kind, ("limit",)
    )
    case(n=n, clock="server cpu", references=references, name=name)(run)


for _connections, _n in ((1, 3_000), (10, 10_000), (100, 10_000), (1000, 10_000)):
    _echo(
        f"tcp_proto_1k_c{_connections}",
        f"A Protocol echoes 1 KiB to {_connections} connections; per message.",
        "proto",
        _n,
        1024,
        _connections,
    )
_echo(
    "tcp_proto_64_c10_d16",
    "A Protocol echoes 64 B, 16 in flight on each of 10 connections; per message.",
    "proto",
    100_000,
    64,
    10,
    depth=16,
)
_echo(
    "tcp_proto_100k_c10",
    "A Protocol echoes 100 KiB to 10 connections; per message.",
    "proto",
    1_000,
    100 * 1024,
    10,
)
_echo(
    "tcp_exact_1k_c10",
    "Streams: `readexactly`, `write`, `drain`, 1 KiB, 10 connections; per message.",
    "exact",
    5_000,
    1024,
    10,
)
_echo(
    "tcp_exact_64_c10_d16",
    "The same with 64 B and 16 in flight on each connection; per message.",
    "exact",
    20_000,
    64,
    10,
    depth=16,
)
_echo(
    "tcp_exact_100k_c10",
    "The same with 100 KiB; per message.",
    "exact",
    1_000,
    100 * 1024,
    10,
)
_echo(
    "tcp_line_1k_c10",
    "Streams: `readline`, `write`, `drain`, lines of 1 KiB; per message.",
    "line",
    5_000,
    1024,
    10,
)
_echo(
    "tcp_line_64_c10_d16",
    "The same with 64 B and 16 in flight on each connection; per message.",
    "line",
    20_000,
    64,
    10,
    depth=16,
)
_echo(
    "tcp_sock_1k_c10",
    "`sock_recv` and `sock_sendall` of 1 KiB, 10 connections; per message.",
    "sock",
    5_000,
    1024,
    10,
)
_echo(
    "tcp_sock_100k_c10",
    "The same with 100 KiB; per message.",
    "sock",
    1_000,
    100 * 1024,
    10,
)
_echo(
    "unix_proto_1k_c10",
    "A Protocol echoes 1 KiB over a Unix socket; per message.",
    "proto",
    10_000,
    1024,
    10,
    family="unix",
)
_echo(
    "udp_proto_64_c10",
    "A DatagramProtocol echoes 64 B to 10 clients; per datagram.",
    "datagram",
    10_000,
    64,
    10,
    family="udp",
)


@case(n=10_000, clock="server cpu")
def two_writes_c100(env: Env, n: int) -> float:
    """A Protocol answers 64 B with two `write`s, 100 connections; per request."""
    with serving(env, "two_writes", 64) as server:
        return server_cost(
            server, connections=100, count=n, request=64, reply=128 + 1024
        )


@case(n=1_000, clock="server cpu", references=["limit"])
def accept_proto(env: Env, n: int) -> float:
    """Connect, send 64 B, get them back, close, 10 at a time; per connection."""
    with serving(env, "proto") as server:
        return server_cost(
            server, mode="accept", connections=10, count=n, request=64, reply=64
        )


def _bulk_in(env: Env, kind: str, n: int) -> float:
    with serving(env, kind, BLOCK) as server:
        cost = server_cost(server, connections=1, count=n, request=BLOCK, reply=1)
    return cost / (BLOCK / GB)


def _bulk_out(env: Env, kind: str, n: int) -> float:
    with serving(env, kind, BLOCK) as server:
        cost = server_cost(server, connections=1, count=n, request=1, reply=BLOCK)
    return cost / (BLOCK / GB)


@case(n=16, unit="s/GB", clock="server cpu")
def in_proto(env: Env, n: int) -> float:
    """A Protocol receives 16 MiB at a time; per GB."""
    return _bulk_in(env, "swallow", n)


@case(n=16, unit="s/GB", clock="server cpu")
def in_buffered(env: Env, n: int) -> float:
    """A BufferedProtocol receives 16 MiB at a time, 64 KiB at most at once; per GB."""
    return _bulk_in(env, "swallow_buffered", n)


@case(n=16, unit="s/GB", clock="server cpu", references=[ACCELERATED, "limit"])
def in_streams(env: Env, n: int) -> float:
    """`reader.read(65536)` of 16 MiB at a time; per GB."""
    return _bulk_in(env, "swallow_stream", n)


@case(n=16, unit="s/GB", clock="server cpu", references=[ACCELERATED])
def out_drain(env: Env, n: int) -> float:
    """`writer.write` of 64 KiB and `drain`, 16 MiB at a time; per GB."""
    return _bulk_out(env, "pour_stream", n)


@case(n=16, unit="s/GB", clock="server cpu")
def out_writes(env: Env, n: int) -> float:
    """A Protocol writes 16 MiB, 1 KiB at a time, whenever it may; per GB."""
    return _bulk_out(env, "pour", n)


@case(n=16, unit="s/GB", clock="server cpu")
def sendfile(env: Env, n: int) -> float:
    """`loop.sendfile` of a file of 16 MiB; per GB."""
    return _bulk_out(env, "send_file", n)


@case(n=5_000)
def getaddrinfo_numeric(env: Env, n: int) -> float:
    """`loop.getaddrinfo("127.0.0.1", 80, type=SOCK_STREAM)`; each."""

    async def main(count):
        getaddrinfo = asyncio.get_running_loop().getaddrinfo
        for _ in range(count):
            await getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)

    return per_operation(env, main, n)


class _Caller(asyncio.Protocol):
    def __init__(self, done):
        self.done = done

    def connection_made(self, transport):
        transport.write(b"x" * 64)

    def data_received(self, data):
        self.done.set_result(len(data))


@case(n=500)
def client_connect(env: Env, n: int) -> float:
    """`create_connection` to a C server, send 64 B, get them back, close; each."""

    async def main(count):
        loop = asyncio.get_running_loop()
        for _ in range(count):
            done = loop.create_future()
            transport, _ = await loop.create_connection(
                lambda done=done: _Caller(done), "127.0.0.1", port
            )
            check(await done == 64, "the answer was cut")
            transport.close()
            await asyncio.sleep(0)

    with serving(Env("limit", env.new_loop), "proto") as server:
        port = int(server.address.partition(":")[2])
        return per_operation(env, main, n)


@case(n=5_000, references=[ACCELERATED])
def client_streams(env: Env, n: int) -> float:
    """Ten clients by `open_connection`, 1 KiB there and back, `readexactly`; each."""

    async def call(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count):
            writer.write(data)
            await writer.drain()
            check(await reader.readexactly(1024) == data, "the answer was cut")
        writer.close()
        await writer.wait_closed()

    async def main(count):
        await asyncio.gather(*(call(count // 10) for _ in range(10)))

    data = bytes(1024)
    with serving(Env("limit", env.new_loop), "proto") as server:
        port = int(server.address.partition(":")[2])
        return per_operation(env, main, n)


@case(n=50)
def subproc_true(env: Env, n: int) -> float:
    """`create_subprocess_exec("true")` and `wait`; CPU of the parent, per process."""

    async def main(count):
        for _ in range(count):
            process = await asyncio.create_subprocess_exec("true")
            check(await process.wait() == 0, "true failed")

    return per_operation(env, main, n)


@case(n=80)
def subproc_8(env: Env, n: int) -> float:
    """`create_subprocess_exec("true")` and `wait`, eight at once; per process."""

    async def one():
        process = await asyncio.create_subprocess_exec("true")
        check(await process.wait() == 0, "true failed")

    async def main(count):
        for _ in range(count // 8):
            await asyncio.gather(*(one() for _ in range(8)))

    return per_operation(env, main, n, operations=n // 8 * 8)


@case(n=50)
def subproc_cat(env: Env, n: int) -> float:
    """Spawn `cat`, write, read, wait; CPU of the parent, per process."""

    async def main(count):
        for _ in range(count):
            process = await asyncio.create_subprocess_exec(
                "cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
            process.stdin.write(b"meow\n")
            check(await process.stdout.readline() == b"meow\n", "cat said otherwise")
            process.stdin.close()
            check(await process.wait() == 0, "cat failed")

    return per_operation(env, main, n)
