"""Many connections that come and go at random: no byte lost, doubled or crossed.

Each connection begins with the seed of what follows, so whoever receives knows what
must come. FASTLOOP_SOAK_S lengthens it from its few seconds; FASTLOOP_SOAK_SEED
repeats one.
"""

import asyncio
import contextlib
import os
import random
import socket
import time

import pytest

from tests.support import until

SOAK_S = float(os.environ.get("FASTLOOP_SOAK_S", "1"))
SEED = int(
    os.environ.get("FASTLOOP_SOAK_SEED", "0")
) or random.SystemRandom().getrandbits(32)
N_CLIENTS = 12


def content(seed, size):
    return random.Random(seed).randbytes(size)


class Checks(asyncio.Protocol):
    """Echoes what it gets, after checking it against its seed and size."""

    def __init__(self, soak):
        self.soak, self.random = soak, random.Random(soak.random.getrandbits(32))
        self.got, self.expected = bytearray(), None

    def connection_made(self, transport):
        self.transport = transport
        self.soak.n_open += 1

    def connection_lost(self, exc):
        self.soak.n_open -= 1

    def data_received(self, data):
        self.send(data)
        self.got += data
        if self.expected is None and len(self.got) >= 8:
            seed = int.from_bytes(self.got[:4], "big")
            size = int.from_bytes(self.got[4:8], "big")
            self.expected = bytes(self.got[:8]) + content(seed, size)
        if self.expected is not None and not self.expected.startswith(self.got):
            self.soak.wrong.append("the server got something else")
        if self.random.random() < 0.1 and not self.transport.is_closing():
            self.transport.pause_reading()
            loop = asyncio.get_running_loop()
            loop.call_later(0.001, self.transport.resume_reading)

    def send(self, data):
        middle = self.random.randrange(len(data) + 1)
        head, tail = data[:middle], data[middle:]
        how = self.random.randrange(4)
        if how == 0:
            self.transport.write(head)
            self.transport.write(tail)
        elif how == 1:
            # asyncio before 3.14 never finishes with an empty piece
            pieces = [piece for piece in (head, bytearray(tail)) if piece]
            self.transport.writelines(pieces)
        elif how == 2:
            changing = bytearray(head)
            self.transport.write(changing)
            if self.soak.kind == "fastloop":  # asyncio sends later changes
                changing[:] = bytes(len(changing))
            self.transport.write(memoryview(data)[middle:])
        else:
            self.transport.write(data)


class Soak:
    def __init__(self, kind):
        self.kind, self.random = kind, random.Random(SEED)
        self.wrong, self.n_open, self.n_done = [], 0, 0
        self.end = time.monotonic() + SOAK_S

    async def client(self, connect):
        while time.monotonic() < self.end:
            if self.random.random() < 0.15:
                await self.cancelled(connect)
            else:
                await self.exchange(connect)
                self.n_done += 1

    async def cancelled(self, connect):
        """A connection given up at any point; its fd number is used again."""
        task = asyncio.ensure_future(self.exchange(connect))
        for _ in range(self.random.randrange(8)):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        for sock in socket.socketpair():
            sock.close()

    async def exchange(self, connect):
        seed = self.random.getrandbits(32)
        size = self.random.choice([0, 1, 100, 5000, 70_000, 400_000])
        head = seed.to_bytes(4, "big") + size.to_bytes(4, "big")
        data = head + content(seed, size)
        reader, writer = await connect()
        try:
            await asyncio.gather(self.pour(writer, data), self.compare(reader, data))
        finally:
            if self.random.random() < 0.3:
                writer.transport.abort()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def pour(self, writer, data):
        rest = memoryview(data)
        while rest:
            size = self.random.choice([1, 10, 1000, 100_000])
            writer.write(
                rest[:size] if self.random.random() < 0.5 else bytes(rest[:size])
            )
            rest = rest[size:]
            if len(rest) < 5000:
                continue
            await writer.drain()

    async def compare(self, reader, data):
        got = await reader.readexactly(len(data))
        if got != data:
            self.wrong.append("the client got something else")


@pytest.mark.timeout(60 + 3 * SOAK_S)
@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_streams(run, loop_kind, family, tmp_path):
    async def main():
        soak = Soak(loop_kind)
        loop = asyncio.get_running_loop()
        if family == "tcp":
            server = await loop.create_server(lambda: Checks(soak), "127.0.0.1", 0)
            address = server.sockets[0].getsockname()

            async def connect():
                return await asyncio.open_connection(*address)
        else:
            path = str(tmp_path / "soak")
            server = await loop.create_unix_server(lambda: Checks(soak), path)

            async def connect():
                return await asyncio.open_unix_connection(path)

        n_fds = len(os.listdir("/proc/self/fd"))
        await asyncio.gather(*(soak.client(connect) for _ in range(N_CLIENTS)))
        await until(lambda: soak.n_open == 0)
        assert len(os.listdir("/proc/self/fd")) <= n_fds
        server.close()
        await server.wait_closed()
        return soak

    soak = run(main())
    assert soak.wrong == [], f"seed {SEED}"
    assert soak.n_done > 0
