"""Traffic of every kind at random, checked byte by byte:

    python tests/net/soak.py --seconds 60 [--seed N] [--loop asyncio] [--only tcp,udp]

Clients of each kind connect, send, pause, give up at any await and leave, so that
file descriptor numbers are used again all the time. Whatever is sent begins with the
seed of what follows, so whoever receives it knows what must come: nothing may be
lost, doubled, altered or another connection's (of datagrams some may be lost). In the
end no file descriptor, child, task or live object may be left, and memory be flat.

Prints its seed and what it did; exits 1 and says what was wrong, if anything was.
"""

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import pathlib
import random
import socket
import ssl
import sys
import tempfile
import time
import traceback
import warnings
import zlib

SIZES = [0, 1, 100, 5000, 70_000, 400_000]
N_CLIENTS = 3  # of each kind
STUCK_S = 60
FILE_BYTES = 300_000
# From a third of the time on.
MAY_GROW = {"rss": 20_000, "malloc": 2_000, "blocks": 20_000}


def content(seed, size):
    return random.Random(seed).randbytes(size)


def message(rng):
    """Random bytes that say themselves what they are."""
    seed, size = rng.getrandbits(32), rng.choice(SIZES)
    return seed.to_bytes(4, "big") + size.to_bytes(4, "big") + content(seed, size)


def expected_of(head):
    """The message that begins with these eight bytes."""
    seed, size = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big")
    return bytes(head[:8]) + content(seed, size)


class Check:
    """Compares what arrives in pieces with what must arrive."""

    def __init__(self, soak, where):
        self.soak, self.where = soak, where
        self.head, self.rest = bytearray(), None

    def add(self, data):
        if self.rest is None:
            self.head += data
            if len(self.head) < 8:
                return
            data, self.rest = self.head, memoryview(expected_of(self.head))
        if self.rest[: len(data)] != data:
            self.soak.wrong.append(f"{self.where} got something else")
        self.rest = self.rest[len(data) :]


class Echo(asyncio.Protocol):
    """Sends back what it gets, in every manner, and stops reading now and then."""

    def __init__(self, soak, where):
        self.soak, self.rng = soak, random.Random(soak.rng.getrandbits(32))
        self.check = Check(soak, f"{where} server")
        # asyncio sends later changes, its TLS on any loop
        self.may_change = soak.kind == "fastloop" and where != "tls"

    def connection_made(self, transport):
        self.transport = transport
        self.soak.n_open += 1

    def connection_lost(self, exc):
        self.soak.n_open -= 1

    def data_received(self, data):
        self.check.add(data)
        self.send(data)
        often = 0.1 if len(data) > 1000 else 0.01
        if self.rng.random() < often and not self.transport.is_closing():
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(0.001, self.resume)

    def resume(self):
        self.transport.resume_reading()

    def send(self, data):
        middle = self.rng.randrange(len(data) + 1)
        head, tail = data[:middle], data[middle:]
        how = self.rng.randrange(4)
        if how == 0:
            self.transport.write(head)
            self.transport.write(tail)
        elif how == 1:
            # asyncio before 3.14 never finishes with an empty piece
            self.transport.writelines(
                [piece for piece in (head, bytearray(tail)) if piece]
            )
        elif how == 2:
            changing = bytearray(head)
            self.transport.write(changing)
            if self.may_change:
                changing[:] = bytes(len(changing))
            self.transport.write(memoryview(data)[middle:])
        else:
            self.transport.write(data)


class BufferedEcho(Echo, asyncio.BufferedProtocol):
    """The same, read into a buffer of its own."""

    def connection_made(self, transport):
        # not smaller: it takes one turn of the loop to fill it
        self.buffer = bytearray(self.rng.choice([3000, 70_000]))
        super().connection_made(transport)

    def get_buffer(self, sizehint):
        # asyncio's TLS slices it, and would fill copies of a bytearray's slices
        return memoryview(self.buffer)

    def buffer_updated(self, n):
        self.data_received(bytes(self.buffer[:n]))


class Soak:
    """What all clients share."""

    def __init__(self, kind, seed, seconds):
        self.kind, self.rng = kind, random.Random(seed)
        self.seed, self.seconds = seed, seconds
        self.wrong, self.n_open = [], 0
        self.done, self.given_up, self.bytes = {}, {}, {}
        self.lost = self.sent = 0
        self.end = time.monotonic() + seconds

    def report(self, loop, context):
        exc = context.get("exception")
        if isinstance(exc, (OSError, ssl.SSLError)):
            return  # a client left in the midst of it
        self.wrong.append(
            f"{context['message']}: {exc!r} {context.get('task')!r}"
            + "".join(traceback.format_exception(exc) if exc else ())
        )

    async def client(self, name, exchange, n):
        rng = random.Random(f"{self.seed} {name} {n}")
        for counts in (self.done, self.given_up, self.bytes):
            counts.setdefault(name, 0)
        while time.monotonic() < self.end and not self.wrong:
            await self.once(name, exchange, rng)
            if rng.random() < 0.2:
                for sock in socket.socketpair():
                    sock.close()

    async def once(self, name, exchange, rng):
        from tests.support import counted

        loop = asyncio.get_running_loop()
        coroutine = exchange(self, rng)
        if rng.random() < 0.25:
            at = rng.randrange(1, rng.choice([4, 12, 40]))
            coroutine = counted(coroutine, at, lambda: loop.call_soon(task.cancel))
        task = asyncio.ensure_future(self.bounded(coroutine))
        try:
            self.bytes[name] += await task
            self.done[name] += 1
        except asyncio.CancelledError:
            self.given_up[name] += 1
        except Exception:
            self.wrong.append(f"{name}: {traceback.format_exc()}")

    async def bounded(self, coroutine):
        async with asyncio.timeout(STUCK_S):
            return await coroutine

    # --- parts of exchanges ---

    async def pause(self, rng):
        if rng.random() < 0.05:
            await asyncio.sleep(rng.random() * 0.003)

    async def converse(self, reader, writer, rng, where):
        """Sends a message and gets it back; how many bytes that were."""
        data = message(rng)
        try:
            await asyncio.gather(
                self.pour(writer, data, rng), self.compare(reader, data, rng, where)
            )
        finally:
            if rng.random() < 0.3:
                writer.transport.abort()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        return 2 * len(data)

    async def pour(self, writer, data, rng):
        rest = memoryview(data)
        while rest:
            size = rng.choice([1, 10, 1000, 100_000])
            writer.write(rest[:size] if rng.random() < 0.5 else bytes(rest[:size]))
            rest = rest[size:]
            await self.pause(rng)
            if len(rest) >= 5000:
                await writer.drain()

    async def compare(self, reader, data, rng, where):
        rest = memoryview(data)
        while rest:
            piece = await reader.read(rng.choice([1, 5000, 1 << 20]) + len(rest) // 9)
            if piece != rest[: len(piece)] or not piece:
                self.wrong.append(f"{where} client got something else")
                return
            rest = rest[len(piece) :]
            await self.pause(rng)


# --- kinds of traffic: each starts what it needs, and yields its exchange -----


@contextlib.asynccontextmanager
async def server_of(server):
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()


def echo_factory(soak, where):
    def factory():
        kind = Echo if soak.rng.random() < 0.6 else BufferedEcho
        return kind(soak, where)

    return factory


@contextlib.asynccontextmanager
async def tcp(soak, tls=None, name="tcp"):
    loop = asyncio.get_running_loop()
    options = {"ssl": tls[0]} if tls else {}
    factory = echo_factory(soak, name)
    server = await loop.create_server(factory, "127.0.0.1", 0, **options)

    async def exchange(soak, rng):
        options = {"ssl": tls[1]} if tls else {}
        streams = await asyncio.open_connection(*address, **options)
        return await soak.converse(*streams, rng, name)

    async with server_of(server) as address:
        yield exchange


@contextlib.asynccontextmanager
async def tls(soak):
    async with tcp(soak, contexts(), "tls") as exchange:
        yield exchange


@contextlib.asynccontextmanager
async def unix(soak):
    loop = asyncio.get_running_loop()

    async def exchange(soak, rng):
        streams = await asyncio.open_unix_connection(path)
        return await soak.converse(*streams, rng, "unix")

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s")
        server = await loop.create_unix_server(echo_factory(soak, "unix"), path)
        async with server_of(server):
            yield exchange


@contextlib.asynccontextmanager
async def start_tls(soak):
    """A line each in the clear, then the rest in secret."""
    for_server, for_client = contexts()

    async def upgrade(reader, writer):
        soak.n_open += 1
        upgraded = False
        try:
            async with asyncio.timeout(STUCK_S):
                if await reader.readline() != b"STARTTLS\n":
                    return
                writer.write(b"go ahead\n")
                await writer.start_tls(for_server)
                upgraded = True
                check = Check(soak, "start_tls server")
                while data := await reader.read(1 << 16):
                    check.add(data)
                    writer.write(data)
                    await writer.drain()
        except (OSError, ssl.SSLError):
            pass  # the client left
        finally:
            await leave(writer, upgraded)
            soak.n_open -= 1

    async def leave(writer, upgraded):
        # asyncio's wait_closed() never ends after a start_tls() that failed
        writer.close()
        if upgraded:
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()
        else:
            writer.transport.abort()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def exchange(soak, rng):
        reader, writer = await asyncio.open_connection(*address)
        try:
            writer.write(b"STARTTLS\n")
            if await reader.readline() != b"go ahead\n":
                raise AssertionError("another line")
            await writer.start_tls(for_client, server_hostname="127.0.0.1")
        except BaseException:
            await leave(writer, False)
            raise
        return await soak.converse(reader, writer, rng, "start_tls")

    server = await asyncio.start_server(upgrade, "127.0.0.1", 0)
    async with server_of(server) as address:
        yield exchange


@contextlib.asynccontextmanager
async def sock(soak):
    """Both ends by sock_recv, sock_sendall and their kin."""
    loop = asyncio.get_running_loop()

    async def echo(connection):
        check = Check(soak, "sock server")
        soak.n_open += 1
        try:
            while data := await loop.sock_recv(connection, 1 << 16):
                check.add(data)
                await loop.sock_sendall(connection, data)
        except OSError:
            pass
        finally:
            connection.close()
            soak.n_open -= 1

    async def accept():
        while True:
            connection, _ = await loop.sock_accept(listener)
            task = loop.create_task(echo(connection))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def receive(connection, data, rng):
        rest, buffer = memoryview(data), bytearray(1 << 16)
        while rest:
            if rng.random() < 0.5:
                piece = await loop.sock_recv(connection, rng.choice([1, 100_000]))
            else:
                size = await loop.sock_recv_into(connection, buffer)
                piece = bytes(buffer[:size])
            if piece != rest[: len(piece)] or not piece:
                soak.wrong.append("sock client got something else")
                return
            rest = rest[len(piece) :]
            await soak.pause(rng)

    async def exchange(soak, rng):
        data = message(rng)
        with socket.socket() as connection:
            connection.setblocking(False)
            await loop.sock_connect(connection, listener.getsockname())
            receiving = loop.create_task(receive(connection, data, rng))
            try:
                await loop.sock_sendall(connection, data)
                await receiving
            finally:
                receiving.cancel()
                await asyncio.wait([receiving])
        return 2 * len(data)

    tasks = set()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        accepting = loop.create_task(accept())
        yield exchange
        accepting.cancel()
        await asyncio.wait([accepting, *tasks])


@contextlib.asynccontextmanager
async def sendfile(soak):
    """Parts of a file: by the transport, in clear and over TLS, and by the socket."""
    loop = asyncio.get_running_loop()
    for_server, for_client = contexts()
    whole = content(soak.seed, FILE_BYTES)

    async def serve(reader, writer):
        soak.n_open += 1
        try:
            offset, size = map(int, (await reader.readline()).split())
            writer.write(b"here: ")
            # a file of its own: falling back means reading at its position
            with open(file.name, "rb") as own:
                sent = await loop.sendfile(writer.transport, own, offset, size)
            if sent != min(size, FILE_BYTES - offset):
                soak.wrong.append(f"sendfile says {sent} of {size} at {offset}")
            writer.write(b" over")
        except (OSError, ssl.SSLError, ValueError, RuntimeError):
            pass  # the client left
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()
            soak.n_open -= 1

    async def by_transport(soak, rng):
        offset, size = rng.randrange(FILE_BYTES), 1 + rng.randrange(FILE_BYTES)
        secret = rng.random() < 0.3
        options = {"ssl": for_client} if secret else {}
        reader, writer = await asyncio.open_connection(*addresses[secret], **options)
        try:
            writer.write(b"%d %d\n" % (offset, size))
            got = await reader.read(-1)
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()
        if got != b"here: " + whole[offset : offset + size] + b" over":
            soak.wrong.append(f"sendfile of {size} at {offset} sent something else")
        return len(got)

    async def take(right, size):
        got = bytearray()
        while len(got) < size and (piece := await loop.sock_recv(right, 1 << 17)):
            got += piece
        return got

    async def by_socket(soak, rng):
        offset, size = rng.randrange(FILE_BYTES), 1 + rng.randrange(FILE_BYTES)
        size = min(size, FILE_BYTES - offset)
        left, right = socket.socketpair()
        with left, right, open(file.name, "rb") as own:
            left.setblocking(False)
            right.setblocking(False)
            taking = loop.create_task(take(right, size))
            try:
                await loop.sock_sendfile(left, own, offset, size)
                got = await taking
            finally:
                taking.cancel()
                await asyncio.wait([taking])
        if got != whole[offset : offset + size]:
            soak.wrong.append(f"sock_sendfile of {size} at {offset} sent others")
        return len(got)

    async def exchange(soak, rng):
        way = by_transport if rng.random() < 0.7 else by_socket
        return await way(soak, rng)

    with tempfile.NamedTemporaryFile() as file:
        file.write(whole)
        file.flush()
        plain = await asyncio.start_server(serve, "127.0.0.1", 0)
        secret = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=for_server)
        async with server_of(plain) as one, server_of(secret) as other:
            addresses = one, other
            yield exchange


class EchoDatagrams(asyncio.DatagramProtocol):
    def __init__(self, soak):
        self.soak = soak

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        if zlib.crc32(data[4:]) != int.from_bytes(data[:4], "big"):
            self.soak.wrong.append("udp server got an altered datagram")
        self.transport.sendto(data, address)


class Asking(asyncio.DatagramProtocol):
    """One client's datagrams: each begins with a checksum, its number, an order."""

    def __init__(self, soak, number):
        self.soak, self.number = soak, number
        self.sent, self.n_got = {}, 0
        loop = asyncio.get_running_loop()
        self.all, self.closed = loop.create_future(), loop.create_future()

    def connection_lost(self, exc):
        self.closed.set_result(None)

    def datagram_received(self, data, address):
        order = int.from_bytes(data[12:16], "big")
        if self.sent.pop(order, None) != data:
            self.soak.wrong.append("udp client got another's, an altered or a second")
        self.n_got += 1
        if not self.sent and not self.all.done():
            self.all.set_result(None)

    def make(self, order, data):
        body = self.number + order.to_bytes(4, "big") + data
        self.sent[order] = datagram = zlib.crc32(body).to_bytes(4, "big") + body
        return datagram


@contextlib.asynccontextmanager
async def udp(soak):
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: EchoDatagrams(soak), ("127.0.0.1", 0)
    )
    address = transport.get_extra_info("sockname")

    async def exchange(soak, rng):
        connected = rng.random() < 0.5
        where = {"remote_addr": address} if connected else {}
        client, protocol = await loop.create_datagram_endpoint(
            lambda: Asking(soak, rng.randbytes(8)),
            **(where or {"local_addr": ("127.0.0.1", 0)}),
        )
        n = rng.randrange(1, 20)
        try:
            for order in range(n):
                data = rng.randbytes(rng.choice([0, 1, 100, 1400, 9000]))
                target = () if connected else (address,)
                client.sendto(protocol.make(order, data), *target)
                await soak.pause(rng)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(protocol.all, 2)
            soak.sent += n
            soak.lost += len(protocol.sent)
        finally:
            client.close() if rng.random() < 0.5 else client.abort()
            await protocol.closed
        return protocol.n_got * 500

    yield exchange
    transport.close()


@contextlib.asynccontextmanager
async def pipes(soak):
    """os.pipe() between two transports of one loop."""
    loop = asyncio.get_running_loop()

    async def send(end, data, rng):
        transport, protocol = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, end
        )
        writer = asyncio.StreamWriter(transport, protocol, None, loop)
        try:
            rest = memoryview(data)
            while rest:
                size = rng.choice([1, 1000, 100_000])
                writer.write(bytes(rest[:size]))
                rest = rest[size:]
                await soak.pause(rng)
                await protocol._drain_helper()
            transport.close()
        finally:
            if not transport.is_closing():
                transport.abort()

    async def close_in_the_end(files):
        """The transports do, but for those that were never made."""
        soak.n_open += 1
        await until(lambda: all(file.closed for file in files), 2)
        for file in files:
            file.close()
        soak.n_open -= 1

    async def exchange(soak, rng):
        data = message(rng)
        ends = os.pipe()
        files = read_end, write_end = (
            os.fdopen(ends[0], "rb", 0),
            os.fdopen(ends[1], "wb", 0),
        )
        reader = asyncio.StreamReader()
        transport = None
        sending = loop.create_task(send(write_end, data, rng))
        try:
            transport, _ = await loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), read_end
            )
            await soak.compare(reader, data, rng, "pipe")
            await sending
            if await reader.read():
                soak.wrong.append("more came through a pipe than was sent")
        finally:
            sending.cancel()
            if transport is not None:
                transport.close()
            closing = loop.create_task(close_in_the_end(files))
            tasks.add(closing)
            closing.add_done_callback(tasks.discard)
            await asyncio.wait([sending])
        return len(data)

    tasks = set()
    yield exchange


@contextlib.asynccontextmanager
async def children(soak):
    """cat, and a child that is killed."""

    async def exchange(soak, rng):
        data = message(rng)
        child = await asyncio.create_subprocess_exec(
            "cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        try:
            if rng.random() < 0.2:
                child.kill()
                if await child.wait() != -9:
                    soak.wrong.append(f"a killed child ended as {child.returncode}")
                return 0
            out, _ = await child.communicate(data)
            if out != data or child.returncode != 0:
                soak.wrong.append(f"cat gave something else, {child.returncode}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            # It ends when its pipes do, and nobody may be left to read them.
            child._transport.close()
            await child.wait()
        return 2 * len(data)

    yield exchange


KINDS = (tcp, unix, tls, start_tls, sock, sendfile, udp, pipes, children)


# --- the run ------------------------------------------------------------------


def contexts():
    """A server's and a client's."""
    import trustme

    authority = trustme.CA()
    for_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(for_server)
    for_client = ssl.create_default_context()
    authority.configure_trust(for_client)
    return for_server, for_client


async def until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        await asyncio.sleep(0.01)


async def measure(soak, figures):
    await asyncio.sleep(soak.seconds / 3)
    from tests.footprint import memory

    figures["memory after a third"] = memory()


async def main(soak, kinds, figures):
    from tests.footprint import memory, open_fds

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(soak.report)
    async with contextlib.AsyncExitStack() as stack:
        exchanges = [
            (kind.__name__, await stack.enter_async_context(kind(soak)))
            for kind in kinds
        ]
        figures["fds at first"] = len(open_fds())
        figures["tasks at first"] = len(asyncio.all_tasks())
        measuring = loop.create_task(measure(soak, figures))
        await asyncio.gather(
            *(
                soak.client(name, exchange, n)
                for name, exchange in exchanges
                for n in range(N_CLIENTS)
            )
        )
        measuring.cancel()
        await asyncio.wait([measuring])
        await until(lambda: soak.n_open == 0, 10)
        await until(lambda: len(open_fds()) <= figures["fds at first"], 10)
        await until(lambda: len(asyncio.all_tasks()) <= figures["tasks at first"], 10)
        figures["memory at the end"] = memory()
        figures["fds at the end"] = len(open_fds())
        figures["tasks at the end"] = len(asyncio.all_tasks())
        if soak.n_open:
            soak.wrong.append(f"{soak.n_open} connections are still open")
    await until(lambda: len(asyncio.all_tasks()) == 1, 10)


def judge(soak, figures):
    """What the figures say, beyond what was seen on the way."""
    from tests.footprint import live_objects

    for what in ("fds", "tasks"):
        before, after = figures[f"{what} at first"], figures[f"{what} at the end"]
        if after > before:
            soak.wrong.append(f"{what}: {before} at first, {after} in the end")
    before = figures.get("memory after a third", {})
    for what, size in before.items() if soak.seconds >= 30 else ():
        grown = figures["memory at the end"][what] - size
        if grown > MAY_GROW[what]:
            soak.wrong.append(f"{what} grew by {grown}")
    with contextlib.suppress(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
        soak.wrong.append("there are children left")
    if live_objects() != figures["live at first"]:
        soak.wrong.append(f"live objects {live_objects()}")
    if soak.sent > 0 and soak.lost == soak.sent:
        soak.wrong.append("not one datagram was answered")


def show(soak, figures):
    print(f"{'kind':>10} {'done':>8} {'given up':>9} {'MB':>9}")
    for name in soak.done:
        megabytes = soak.bytes[name] / 1e6
        done, given_up = soak.done[name], soak.given_up[name]
        print(f"{name:>10} {done:8} {given_up:9} {megabytes:9.1f}")
    total = sum(soak.done.values()), sum(soak.given_up.values())
    print(
        f"{'all':>10} {total[0]:8} {total[1]:9} {sum(soak.bytes.values()) / 1e6:9.1f}"
    )
    print(f"datagrams: {soak.sent} sent, {soak.lost} not answered in time")
    print(", ".join(f"{name}: {value}" for name, value in figures.items()))


def soak_for(seconds, seed, kind="fastloop", only=None):
    """Runs it; the list of what was wrong."""
    from tests.conftest import factory_of
    from tests.footprint import live_objects

    kinds = [each for each in KINDS if not only or each.__name__ in only]
    gc.collect()
    factory = factory_of(kind)
    factory().close()
    soak = Soak(kind, seed, seconds)
    figures = {"live at first": live_objects()}
    with warnings.catch_warnings(), asyncio.Runner(loop_factory=factory) as runner:
        warnings.simplefilter("error")
        runner.run(main(soak, kinds, figures))
    gc.collect()
    judge(soak, figures)
    show(soak, figures)
    return soak.wrong


def run():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--loop", default="fastloop", choices=["asyncio", "fastloop"])
    parser.add_argument("--only", type=lambda names: names.split(","))
    options = parser.parse_args()
    seed = options.seed
    if seed is None:
        seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}, {options.seconds:g} s on {options.loop}", flush=True)
    # of clients that left
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    wrong = soak_for(options.seconds, seed, options.loop, options.only)
    for each in wrong[:10]:
        print("WRONG:", each)
    print("something was wrong" if wrong else "all as it must be")
    return bool(wrong)


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
    sys.exit(run())
