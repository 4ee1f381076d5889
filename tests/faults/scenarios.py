"""What is done while system calls fail: everything that moves bytes, bit by bit.

A scenario is a coroutine function of a Stage. It returns what it brought about, the
same each time when no call fails, and leaves nothing behind, whatever failed.
"""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import tempfile
import threading

SCENARIOS = {}
PATIENCE_S = 0.6
LONG = bytes(range(256)) * 4096


def scenario(function):
    """Register a scenario by its name."""
    SCENARIOS[function.__name__] = function
    return function


class Stage:
    """What a scenario is given, and tells of."""

    def __init__(self, loop, new_event_loop, interposer):
        self.loop = loop
        self.new_event_loop = new_event_loop
        self.facts = []
        self.quiet = interposer.paused
        self.transports = []
        self.servers = []

    def note(self, what, exc):
        """An exception somebody was shown."""
        if exc is not None:
            self.facts.append((what, exc))

    def made(self, transport):
        """A transport, closed at the end."""
        self.transports.append(transport)

    async def server(self, factory, **options):
        """A server on a free port of the loopback, closed at the end; its address."""
        server = await self.loop.create_server(factory, "127.0.0.1", 0, **options)
        self.servers.append(server)
        return server.sockets[0].getsockname()

    async def clean(self):
        """End what is open."""
        for _ in range(4):
            await asyncio.sleep(0)  # who is at the door comes in, as asyncio wants it
        for server in self.servers:
            server.close()
        # those too of which no protocol was told
        for transport in [*self.transports, *self.loop._transports.values()]:
            abort(transport)
        # a pipe's transport closes in a callback, a child's when it was reaped
        for _ in range(6):
            await asyncio.sleep(0)


def abort(transport):
    """transport.abort(), which asyncio's own do not survive when closed."""
    with contextlib.suppress(AttributeError):
        transport.abort()


class Peer(asyncio.Protocol):
    """Collects what it gets; tells the stage how it ended."""

    def __init__(self, stage, *, echo=False):
        self.stage = stage
        self.echo = echo
        self.data = bytearray()
        self.n_lost = 0
        self.closed = stage.loop.create_future()
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport):
        self.transport = transport
        self.stage.made(transport)

    def data_received(self, data):
        self.data += data
        if self.echo:
            self.transport.write(data)

    def pause_writing(self):
        self.writable.clear()

    def resume_writing(self):
        self.writable.set()

    def connection_lost(self, exc):
        self.stage.note("lost", exc)
        self.n_lost += 1
        if self.n_lost > 1:
            self.stage.note("lost again", exc or EOFError())
        if not self.closed.done():
            self.closed.set_result(None)
        self.writable.set()


class BufferedPeer(asyncio.BufferedProtocol):
    """The same into a buffer of its own."""

    def __init__(self, stage):
        self.peer = Peer(stage)
        self.buffer = bytearray(1000)
        self.data = self.peer.data
        self.closed = self.peer.closed
        self.connection_made = self.peer.connection_made
        self.connection_lost = self.peer.connection_lost

    def get_buffer(self, hint):
        return self.buffer

    def buffer_updated(self, count):
        self.data += self.buffer[:count]

    def eof_received(self):
        return None


class DatagramPeer(asyncio.DatagramProtocol):
    """Collects datagrams; an echo sends them back."""

    def __init__(self, stage, *, echo=False, expected=0):
        self.stage = stage
        self.echo = echo
        self.expected = expected
        self.data = []
        self.done = stage.loop.create_future()
        self.closed = stage.loop.create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.stage.made(transport)

    def datagram_received(self, data, address):
        self.data.append(data)
        if self.echo:
            self.transport.sendto(data, address)
        if len(self.data) == self.expected and not self.done.done():
            self.done.set_result(None)

    def error_received(self, exc):
        self.stage.note("error_received", exc)

    def connection_lost(self, exc):
        self.stage.note("lost", exc)
        if not self.closed.done():
            self.closed.set_result(None)


def socket_pair():
    """Two connected sockets, not blocking."""
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    return left, right


# --- connections ------------------------------------------------------------------


@scenario
async def tcp_echo(stage):
    address = await stage.server(lambda: Peer(stage, echo=True))
    transport, peer = await stage.loop.create_connection(lambda: Peer(stage), *address)
    transport.write(b"one")
    transport.write(b"two")
    transport.write(bytearray(b"three"))
    transport.writelines([b"four", memoryview(b"five")])
    await asyncio.sleep(0.01)
    transport.write(b"six")
    transport.write_eof()
    await peer.closed
    return bytes(peer.data), transport.get_extra_info("peername") == address


@scenario
async def unix_echo(stage):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        server = await stage.loop.create_unix_server(
            lambda: Peer(stage, echo=True), path
        )
        stage.servers.append(server)
        transport, peer = await stage.loop.create_unix_connection(
            lambda: Peer(stage), path
        )
        transport.write(b"hello")
        await asyncio.sleep(0.005)
        transport.write_eof()
        await peer.closed
        return bytes(peer.data)


async def pair(stage, *factories):
    """Two transports over a pair of sockets, and their protocols."""
    made = []
    socks = socket_pair()
    try:
        for sock, factory in zip(socks, factories, strict=True):
            made.append(await stage.loop.create_connection(factory, sock=sock))
    except BaseException:
        for sock in socks[len(made) :]:
            sock.close()
        raise
    return [each for both in made for each in both]


@scenario
async def slow_reader(stage):
    left, left_peer, right, right_peer = await pair(
        stage, lambda: Peer(stage), lambda: Peer(stage)
    )
    right.pause_reading()
    left.write(LONG)
    left.write(b"more")
    await asyncio.sleep(0.005)
    right.resume_reading()
    await left_peer.writable.wait()
    left.write(bytearray(b"end"))
    left.close()
    await right_peer.closed
    return len(right_peer.data), right_peer.data[-7:]


@scenario
async def half_closed_while_full(stage):
    left, left_peer, _, right_peer = await pair(
        stage, lambda: Peer(stage), lambda: Peer(stage)
    )
    left.write(LONG)
    left.write_eof()
    await right_peer.closed
    await left_peer.closed
    return len(right_peer.data)


@scenario
async def buffered(stage):
    left, _, _, right_peer = await pair(
        stage, lambda: Peer(stage), lambda: BufferedPeer(stage)
    )
    left.write(b"x" * 3000)
    left.close()
    await right_peer.closed
    return bytes(right_peer.data)


@scenario
async def peer_vanishes(stage):
    ours, theirs = socket_pair()
    try:
        transport, peer = await stage.loop.create_connection(
            lambda: Peer(stage), sock=ours
        )
    except BaseException:
        ours.close()
        raise
    finally:
        with stage.quiet():
            theirs.close()
    transport.write(b"nobody")
    await peer.closed
    return len(peer.data)


@scenario
async def streams(stage):
    async def handle(reader, writer):
        stage.made(writer.transport)
        try:
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        except OSError as exc:
            stage.note("raised", exc)
            stage.note("lost", reader.exception())  # which drain() says nothing of
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    stage.servers.append(server)
    address = server.sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(*address)
    stage.made(writer.transport)
    try:
        for _ in range(3):
            writer.write(b"line\n")
            await writer.drain()
            assert await reader.readline() in {b"line\n", b""}
    except ConnectionResetError:
        stage.note("lost", reader.exception())
        raise
    writer.write_eof()
    rest = await reader.read()
    writer.close()
    await writer.wait_closed()
    return rest


@scenario
async def accepting(stage):
    made = []

    class Greeter(Peer):
        def connection_made(self, transport):
            super().connection_made(transport)
            made.append(self)
            transport.write(b"hello")
            transport.close()

    address = await stage.server(lambda: Greeter(stage), backlog=10)
    socks = []
    try:
        with stage.quiet():
            for _ in range(4):
                socks.append(socket.create_connection(address))
        while len(made) < 4 or not all(peer.closed.done() for peer in made):
            await asyncio.sleep(0.002)
        with stage.quiet():
            return [sock.recv(10) for sock in socks]
    finally:
        with stage.quiet():
            for sock in socks:
                sock.close()


@scenario
async def start_tls(stage):
    certificate = os.environ["FASTLOOP_TESTS_CERTIFICATE"]
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate)
    asking = ssl.create_default_context(cafile=certificate)
    asking.check_hostname = False
    asking.verify_mode = ssl.CERT_NONE
    address = await stage.server(lambda: Peer(stage, echo=True), ssl=serving)
    loop = stage.loop
    plain, peer = await loop.create_connection(lambda: Peer(stage), *address)
    await asyncio.sleep(0)
    if plain.is_closing():
        return None
    transport = await loop.start_tls(plain, peer, asking, ssl_handshake_timeout=0.3)
    stage.made(transport)
    transport.write(b"secret")
    while len(peer.data) < 6 and not peer.closed.done():
        await asyncio.sleep(0.002)
    transport.close()
    await peer.closed
    return bytes(peer.data)


@scenario
async def sendfile(stage):
    left, _, _, right_peer = await pair(stage, lambda: Peer(stage), lambda: Peer(stage))
    with tempfile.TemporaryFile() as file:
        file.write(b"content" * 1000)
        sent = await stage.loop.sendfile(left, file, 7)
        where = file.tell()
    left.close()
    await right_peer.closed
    return sent, where, bytes(right_peer.data)


# --- sockets ------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def ending(task):
    """The task has ended when this does."""
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await task


async def accept(loop, listener, stack):
    """A connection that is closed with the stack."""
    sock, _ = await loop.sock_accept(listener)
    return stack.enter_context(sock)


@scenario
async def sock_connections(stage):
    loop = stage.loop
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.setblocking(False)
        client = stack.enter_context(socket.socket())
        client.setblocking(False)
        accepting = asyncio.ensure_future(accept(loop, listener, stack))
        async with ending(accepting):
            await asyncio.sleep(0)
            await loop.sock_connect(client, listener.getsockname())
            server = await accepting
        receiving = asyncio.ensure_future(loop.sock_recv(server, 100))
        async with ending(receiving):
            await asyncio.sleep(0)
            await loop.sock_sendall(client, b"hello")
            got = [await receiving]
        buffer = bytearray(100)
        await loop.sock_sendall(server, b"answer")
        while sum(map(len, got)) < 5:
            got.append(await loop.sock_recv(server, 100))
        count = await loop.sock_recv_into(client, buffer)
        while count < 6:
            count += await loop.sock_recv_into(client, memoryview(buffer)[count:])
        return b"".join(got), bytes(buffer[:count])


async def receive_all(loop, sock, sending):
    """How much came, which is all unless sending fails."""
    got = 0
    while got < len(LONG):
        receiving = asyncio.ensure_future(loop.sock_recv(sock, 1 << 18))
        async with ending(receiving):
            await asyncio.wait({receiving, sending}, return_when="FIRST_COMPLETED")
            if sending.done():
                sending.result()
            got += len(await receiving)
    return got


@scenario
async def sock_sendall_in_pieces(stage):
    loop = stage.loop
    left, right = socket_pair()
    with left, right:
        sending = asyncio.ensure_future(loop.sock_sendall(left, LONG))
        async with ending(sending):
            got = await receive_all(loop, right, sending)
            await sending
        return got


@scenario
async def sock_both_directions(stage):
    """One waits to read and another to write, of one socket: one watch for both."""
    loop = stage.loop
    left, right = socket_pair()
    with left, right:
        reading = asyncio.ensure_future(loop.sock_recv(left, 10))
        await asyncio.sleep(0)
        sending = asyncio.ensure_future(loop.sock_sendall(left, LONG))
        async with ending(sending), ending(reading):
            got = await receive_all(loop, right, sending)
            await sending
            await loop.sock_sendall(right, b"d")
            return got, await reading


@scenario
async def sock_datagrams(stage):
    loop = stage.loop
    with socket.socket(type=socket.SOCK_DGRAM) as left:
        left.setblocking(False)
        left.bind(("127.0.0.1", 0))
        with socket.socket(type=socket.SOCK_DGRAM) as right:
            right.setblocking(False)
            right.bind(("127.0.0.1", 0))
            receiving = asyncio.ensure_future(loop.sock_recvfrom(right, 100))
            async with ending(receiving):
                await asyncio.sleep(0)
                n = await loop.sock_sendto(left, b"one", right.getsockname())
                data, address = await receiving
            assert address == left.getsockname()
            buffer = bytearray(10)
            await loop.sock_sendto(left, b"two", right.getsockname())
            count, _ = await loop.sock_recvfrom_into(right, buffer)
            return n, data, bytes(buffer[:count])


@scenario
async def sock_sendfile(stage):
    loop = stage.loop
    left, right = socket_pair()
    with left, right, tempfile.TemporaryFile() as file:
        file.write(LONG)
        sending = asyncio.ensure_future(loop.sock_sendfile(left, file))
        async with ending(sending):
            got = await receive_all(loop, right, sending)
            return got, await sending, file.tell()


def once(loop, fd, event):
    """A reader's callback that comes once."""
    event.set()
    loop.remove_reader(fd)


@scenario
async def watches(stage):
    loop = stage.loop
    left, right = socket_pair()
    events = []
    with left, right:
        try:
            loop.add_reader(left, lambda: events.append(left.recv(10)))
            readable = asyncio.Event()
            loop.add_reader(right.fileno(), once, loop, right.fileno(), readable)
            writable = asyncio.Event()
            loop.add_writer(left, writable.set)
            await writable.wait()
            loop.remove_writer(left)
            with stage.quiet():
                left.send(b"to right")
            await readable.wait()
            with stage.quiet():
                right.send(b"to left")
            while not events:
                await asyncio.sleep(0.001)
        finally:
            for sock in left, right:
                for remove in loop.remove_reader, loop.remove_writer:
                    with contextlib.suppress(OSError):
                        remove(sock)
        return events


# --- datagrams, pipes, processes --------------------------------------------------


@scenario
async def datagrams(stage):
    loop = stage.loop
    server, _ = await loop.create_datagram_endpoint(
        lambda: DatagramPeer(stage, echo=True), ("127.0.0.1", 0)
    )
    address = server.get_extra_info("sockname")
    client, peer = await loop.create_datagram_endpoint(
        lambda: DatagramPeer(stage, expected=3), remote_addr=address
    )
    other, other_peer = await loop.create_datagram_endpoint(
        lambda: DatagramPeer(stage, expected=2), ("127.0.0.1", 0)
    )
    for data in b"one", b"two", b"three":
        client.sendto(data)
    for _ in range(2):
        other.sendto(b"else", address)
    await peer.done
    await other_peer.done
    for each in client, other, server:
        each.close()
    await peer.closed
    return peer.data, other_peer.data


@scenario
async def pipes(stage):
    loop = stage.loop
    with stage.quiet():
        reading_fd, writing_fd = os.pipe()
    with open(reading_fd, "rb", 0) as reading, open(writing_fd, "wb", 0) as writing:
        _, reader = await loop.connect_read_pipe(lambda: Peer(stage), reading)
        transport, _ = await loop.connect_write_pipe(lambda: Peer(stage), writing)
        transport.write(b"one")
        transport.write(LONG)
        while len(reader.data) < 3 and not reader.closed.done():
            await asyncio.sleep(0.002)
        transport.write(b"end")
        transport.close()
        await reader.closed
        return len(reader.data), bytes(reader.data[-3:])


@scenario
async def process(stage):
    child = await asyncio.create_subprocess_exec(
        "cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        out, _ = await child.communicate(b"meow")
        return out, child.returncode
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        stage.made(Closer(child._transport))


class Closer:
    """A subprocess transport, which has close() only."""

    def __init__(self, transport):
        self.abort = transport.close


# --- the loop itself ----------------------------------------------------------------


@scenario
async def waking(stage):
    loop = stage.loop
    woken = asyncio.Event()

    def wake():
        for _ in range(3):  # one lost is not the end
            threading.Event().wait(0.02)
            loop.call_soon_threadsafe(woken.set)

    thread = threading.Thread(target=wake)
    start = loop.time()
    thread.start()
    try:
        await woken.wait()
        return loop.time() - start < PATIENCE_S / 2
    finally:
        thread.join()


@scenario
async def executor(stage):
    return await stage.loop.run_in_executor(None, int, "42")


@scenario
async def signals(stage):
    seen = asyncio.Event()
    stage.loop.add_signal_handler(signal.SIGUSR1, seen.set)
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        await seen.wait()
        return True
    finally:
        with contextlib.suppress(OSError):
            stage.loop.remove_signal_handler(signal.SIGUSR1)


@scenario
async def sleeping(stage):
    for _ in range(3):
        await asyncio.sleep(0.002)
    return True


def another_loop(stage):
    """A loop made, run, and closed; what came of it."""
    loop = stage.new_event_loop()
    try:
        return loop.run_until_complete(asyncio.sleep(0.001, "slept"))
    finally:
        loop.close()


@scenario
async def life(stage):
    """Calls fail from the making of the loop on, and until it is closed."""
    return await asyncio.sleep(0.001, "lived")


@scenario
async def forking(stage):
    """A child's loop works; and so does the parent's afterwards."""
    loop = stage.loop
    left, right = socket_pair()
    with left, right:
        loop.add_reader(left, bool)
        try:
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    asyncio.events._set_running_loop(None)
                    status = 0 if another_loop(stage) == "slept" else 1
                except OSError as exc:
                    status = 100 + exc.errno
                finally:
                    os._exit(status)
            with stage.quiet():
                _, status = os.waitpid(pid, 0)
            status = os.waitstatus_to_exitcode(status)
            if status > 100:
                number = status - 100
                stage.note("raised in the child", OSError(number, os.strerror(number)))
            return status
        finally:
            loop.remove_reader(left)


@scenario
async def closed_behind(stage):
    """A descriptor with a duplicate is closed behind the loop's back."""
    loop = stage.loop
    left, right = socket_pair()
    twin = left.dup()
    seen = asyncio.Event()
    with left, right, twin:
        fd = left.fileno()
        loop.add_reader(fd, bool)
        with stage.quiet():
            left.close()
            right.send(b"to the ghost")
        loop.remove_reader(fd)
        await asyncio.sleep(0.002)
        loop.add_reader(twin, seen.set)
        try:
            await seen.wait()
        finally:
            loop.remove_reader(twin)
        return True
