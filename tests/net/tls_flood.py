"""Handshakes by the ten thousand, whole ones or given up half-way: memory stays flat.

    python -m tests.net.tls_flood [--handshakes N] [--kind whole|half] [--seed S]
                                  [--loop asyncio]

The clients are a process of their own, some at a time. A client that gives up has sent
a part of its hello, or all of it and then nothing or garbage, or has taken some of the
answer; it closes or resets. The server's resident memory, without what malloc has kept
of what is free, is told ten times; after the first tenth it may not grow by more than
GROWTH_BYTES, nor may descriptors stay open.
"""

import argparse
import asyncio
import contextlib
import ctypes
import gc
import os
import random
import socket
import ssl
import struct
import sys
import time
import warnings

import trustme

GROWTH_BYTES = 2 << 20
AT_A_TIME = 8
RESETTING = struct.pack("ii", 1, 0)


def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def give_back():
    """What malloc has kept of what was free: how much came at once decides of that."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def open_files():
    return len(os.listdir("/proc/self/fd"))


# ---- the clients' process ----


def whole(connection, context):
    """A handshake, and an end in order or not."""
    with context.wrap_socket(
        connection, server_hostname="localhost", suppress_ragged_eofs=False
    ) as tls:
        tls.sendall(b"hello")
        assert tls.recv(5) == b"hello"


def half(connection, context, rng):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    way = rng.randrange(4)
    if way == 0:
        connection.sendall(hello[: rng.randrange(len(hello))])
        return
    connection.sendall(hello)
    if way == 1:
        return
    connection.recv(rng.choice([1, 100, 1 << 16]))
    if way == 2:
        with contextlib.suppress(OSError):
            connection.sendall(rng.randbytes(rng.choice([1, 100, 5000])))


def call(address, context, kind, count, seed):
    """The child: all handshakes, one after the other."""
    rng = random.Random(seed)
    for _ in range(count):
        with socket.create_connection(address, 30) as connection:
            if rng.random() < 0.3:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETTING)
            if kind == "whole":
                whole(connection, context)
            else:
                half(connection, context, rng)


@contextlib.contextmanager
def callers(address, context, kind, count, seed):
    """Children that make count handshakes together; the status of each."""
    children = []
    for i in range(AT_A_TIME):
        with warnings.catch_warnings():
            # Threads of others: idle ones, of executors.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            status = 1
            try:
                call(address, context, kind, count // AT_A_TIME, seed * AT_A_TIME + i)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    yield children


# ---- the server ----


class Server(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def ended(children):
    """Wait for all of them; they have to have ended well."""
    while children:
        await asyncio.sleep(0.02)
        for child in list(children):
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                assert status == 0, f"a client ended with {status}"
                children.remove(child)


async def flood(kind, count, seed, parts=10, say=print):
    """In parts; the growth of memory after the first, and of open files."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(Server, "127.0.0.1", 0, ssl=server)
    resident, files = [], open_files()
    async with listening:
        address = listening.sockets[0].getsockname()
        for part in range(parts):
            each = count // parts
            with callers(address, client, kind, each, seed * parts + part) as children:
                await ended(children)
            for _ in range(100):
                await asyncio.sleep(0)
                if open_files() <= files:
                    break
                await asyncio.sleep(0.02)
            gc.collect()
            give_back()
            resident.append(resident_bytes())
            say(f"{(part + 1) * each:8} {kind}: {resident[-1] >> 10} KiB")
        return max(resident) - resident[0], open_files() - files


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--handshakes", type=int, default=50_000, metavar="N")
    options.add_argument("--kind", choices=["whole", "half"], default="whole")
    options.add_argument("--seed", type=int, default=1, metavar="S")
    options.add_argument("--loop", choices=["asyncio", "fastloop"], default="fastloop")
    asked = options.parse_args()
    if asked.loop == "asyncio":
        factory = asyncio.SelectorEventLoop
    else:
        from fastloop import new_event_loop as factory
    start = time.monotonic()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.get_loop().set_exception_handler(lambda loop, context: None)
        grown, files = runner.run(flood(asked.kind, asked.handshakes, asked.seed))
    print(
        f"{asked.handshakes} handshakes, {asked.kind}: {grown >> 10} KiB more after the"
        f" first tenth, {files} files more; {asked.loop}, seed {asked.seed},"
        f" Python {sys.version.split()[0]}, {time.monotonic() - start:.0f} s"
    )
    sys.exit(grown > GROWTH_BYTES or files > 0)


if __name__ == "__main__":
    main()
