"""loop.sock_*: plain sockets, awaited."""

import asyncio
import io
import os
import socket
import tempfile

import pytest

from tests.support import until


def udp():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    return sock


def test_recv_and_sendall(loop, pair):
    left, right = pair

    async def main():
        receiving = asyncio.ensure_future(loop.sock_recv(right, 100))
        await asyncio.sleep(0)
        assert not receiving.done()
        assert await loop.sock_sendall(left, b"hello") is None
        return await receiving

    assert loop.run_until_complete(main()) == b"hello"


def test_recv_at_end(loop, pair):
    left, right = pair
    left.close()
    assert loop.run_until_complete(loop.sock_recv(right, 100)) == b""


def test_recv_into(loop, pair):
    left, right = pair

    async def main():
        buffer = bytearray(10)
        receiving = asyncio.ensure_future(loop.sock_recv_into(right, buffer))
        await asyncio.sleep(0)
        await loop.sock_sendall(left, b"hello")
        return await receiving, bytes(buffer)

    assert loop.run_until_complete(main()) == (5, b"hello" + bytes(5))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_sendall_of_much(loop, pair, kind):
    left, right = pair
    payload = os.urandom(3_000_000)

    async def receive():
        got = bytearray()
        while len(got) < len(payload):
            got += await loop.sock_recv(right, 1 << 20)
        return got

    async def main():
        _, got = await asyncio.gather(loop.sock_sendall(left, kind(payload)), receive())
        return got == payload

    assert loop.run_until_complete(main())


def test_connect_and_accept(loop):
    async def main():
        with socket.socket() as listener, socket.socket() as client:
            listener.setblocking(False)
            client.setblocking(False)
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            accepting = asyncio.ensure_future(loop.sock_accept(listener))
            await asyncio.sleep(0)
            assert await loop.sock_connect(client, listener.getsockname()) is None
            server, address = await accepting
            with server:
                assert server.getblocking() is False
                assert address == client.getsockname()
                await loop.sock_sendall(server, b"accepted")
                return await loop.sock_recv(client, 100)

    assert loop.run_until_complete(main()) == b"accepted"


def test_connect_by_name(loop):
    try:
        socket.gethostbyname("localhost")
    except OSError as error:
        pytest.skip(f"nobody here knows localhost: {error}")

    async def main():
        with socket.socket() as listener, socket.socket() as client:
            listener.setblocking(False)
            client.setblocking(False)
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            port = listener.getsockname()[1]
            await loop.sock_connect(client, ("localhost", port))
            return client.getpeername() == listener.getsockname()

    assert loop.run_until_complete(main())


def test_a_refused_connection(loop):
    async def main():
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            address = closed.getsockname()
        with socket.socket() as client:
            client.setblocking(False)
            with pytest.raises(ConnectionRefusedError):
                await loop.sock_connect(client, address)

    loop.run_until_complete(main())


def test_datagrams(loop):
    async def main():
        with udp() as one, udp() as two:
            receiving = asyncio.ensure_future(loop.sock_recvfrom(two, 100))
            await asyncio.sleep(0)
            assert await loop.sock_sendto(one, b"ping", two.getsockname()) == 4
            data, address = await receiving
            assert address == one.getsockname()
            buffer = bytearray(10)
            answering = asyncio.ensure_future(loop.sock_recvfrom_into(one, buffer))
            await asyncio.sleep(0)
            await loop.sock_sendto(two, b"pong!", address)
            count, sender = await answering
            assert sender == two.getsockname()
            return data, bytes(buffer[:count])

    assert loop.run_until_complete(main()) == (b"ping", b"pong!")


def test_recvfrom_into_part_of_a_buffer(loop):
    async def main():
        with udp() as one, udp() as two:
            await loop.sock_sendto(one, b"abcdef", two.getsockname())
            buffer = bytearray(10)
            count, _ = await loop.sock_recvfrom_into(two, buffer, 3)
            return count, bytes(buffer)

    assert loop.run_until_complete(main()) == (3, b"abc" + bytes(7))


@pytest.mark.parametrize("n_steps", [0, 1, 2])
def test_a_cancelled_wait_leaves_no_watch(loop, pair, n_steps):
    left, right = pair

    async def main():
        task = asyncio.ensure_future(loop.sock_recv(left, 10))
        for _ in range(n_steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        assert loop.remove_reader(left) is False
        right.send(b"next")
        return await loop.sock_recv(left, 10)

    assert loop.run_until_complete(main()) == b"next"


def test_a_timed_out_wait(loop, pair):
    left, right = pair

    async def main():
        for _ in range(5):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(loop.sock_recv(left, 10), 0.001)
        right.send(b"late")
        return await loop.sock_recv(left, 10)

    assert loop.run_until_complete(main()) == b"late"


def test_a_blocking_socket_in_debug_mode(loop):
    loop.set_debug(True)
    left, right = socket.socketpair()

    async def main():
        with pytest.raises(ValueError, match="the socket must be non-blocking"):
            await loop.sock_recv(left, 10)
        with pytest.raises(ValueError, match="the socket must be non-blocking"):
            await loop.sock_sendall(left, b"x")

    loop.run_until_complete(main())
    left.close()
    right.close()
    loop.set_debug(False)


def test_an_ssl_socket_is_refused(loop, client_tls):
    with socket.socket() as plain:
        wrapped = client_tls.wrap_socket(
            plain, server_hostname="localhost", do_handshake_on_connect=False
        )
        with wrapped:
            for coroutine in (
                loop.sock_recv(wrapped, 10),
                loop.sock_sendall(wrapped, b"x"),
                loop.sock_accept(wrapped),
            ):
                with pytest.raises(TypeError, match="Socket cannot be of type SSL"):
                    loop.run_until_complete(coroutine)


def test_an_error_of_the_socket(loop, pair):
    left, right = pair

    async def main():
        right.close()
        with pytest.raises(BrokenPipeError):
            await loop.sock_sendall(left, bytes(10_000_000))

    loop.run_until_complete(main())


def test_two_sockets_wait_side_by_side(loop):
    pairs = [socket.socketpair() for _ in range(20)]
    for both in pairs:
        for sock in both:
            sock.setblocking(False)

    async def main():
        receiving = [
            asyncio.ensure_future(loop.sock_recv(left, 10)) for left, _ in pairs
        ]
        await asyncio.sleep(0)
        for n, (_, right) in reversed(list(enumerate(pairs))):
            await loop.sock_sendall(right, b"%d" % n)
        return await asyncio.gather(*receiving)

    assert loop.run_until_complete(main()) == [b"%d" % n for n in range(20)]
    for left, right in pairs:
        left.close()
        right.close()


# ---- sendfile ----

CONTENT = os.urandom(1_000_000)


@pytest.fixture
def file():
    with tempfile.TemporaryFile() as file:
        file.write(CONTENT)
        file.seek(0)
        yield file


async def receive(loop, sock):
    got = bytearray()
    while data := await loop.sock_recv(sock, 1 << 20):
        got += data
    return bytes(got)


def tcp_pair():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        left = socket.create_connection(listener.getsockname())
        right, _ = listener.accept()
    left.setblocking(False)
    right.setblocking(False)
    return left, right


@pytest.mark.parametrize(
    ("offset", "count"), [(0, None), (1000, None), (0, 5000), (500, 70_000)]
)
def test_sock_sendfile(loop, file, offset, count):
    async def main():
        left, right = tcp_pair()
        with left, right:
            receiving = asyncio.ensure_future(receive(loop, right))
            sent = await loop.sock_sendfile(left, file, offset, count)
            left.close()
            got = await receiving
        assert file.tell() == offset + sent
        return sent, got

    end = len(CONTENT) if count is None else offset + count
    expected = CONTENT[offset:end]
    assert loop.run_until_complete(main()) == (len(expected), expected)


def test_sock_sendfile_of_what_is_no_file(loop):
    async def main():
        left, right = tcp_pair()
        with left, right:
            receiving = asyncio.ensure_future(receive(loop, right))
            sent = await loop.sock_sendfile(left, io.BytesIO(CONTENT), fallback=True)
            with pytest.raises(asyncio.SendfileNotAvailableError):
                await loop.sock_sendfile(left, io.BytesIO(CONTENT), fallback=False)
            left.close()
            return sent, await receiving == CONTENT

    assert loop.run_until_complete(main()) == (len(CONTENT), True)


def test_sock_sendfile_wrong_arguments(loop, file):
    left, right = tcp_pair()
    with left, right:
        for args, error in (
            ((-1,), ValueError),
            (("x",), TypeError),
            ((0, 0), ValueError),
            ((0, "x"), TypeError),
        ):
            with pytest.raises(error):
                loop.run_until_complete(loop.sock_sendfile(left, file, *args))


@pytest.mark.parametrize("secret", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("fallback", [False, True])
def test_sendfile(run, file, secret, fallback, server_tls, client_tls):
    async def main():
        loop = asyncio.get_running_loop()
        got = bytearray()
        done = asyncio.Event()

        async def collect(reader, writer):
            while data := await reader.read(1 << 20):
                got.extend(data)
            writer.close()
            done.set()

        server = await asyncio.start_server(
            collect, "127.0.0.1", 0, ssl=server_tls if secret else None
        )
        transport, _ = await loop.create_connection(
            asyncio.Protocol,
            *server.sockets[0].getsockname(),
            ssl=client_tls if secret else None,
        )
        transport.write(b"head")
        try:
            sent = await loop.sendfile(transport, file, 100, 500_000, fallback=fallback)
        except RuntimeError as exc:
            sent = str(exc)
        transport.write(b"tail")
        transport.close()
        await done.wait()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.001)
        return sent, bytes(got)

    sent, got = run(main())
    if secret and not fallback:
        assert sent.startswith("fallback is disabled and native sendfile is not")
        assert got == b"headtail"
    else:
        assert sent == 500_000
        assert got == b"head" + CONTENT[100:500_100] + b"tail"


def test_sendfile_on_a_closing_transport(run, file):
    async def main():
        loop = asyncio.get_running_loop()
        left, right = tcp_pair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=left)
        transport.close()
        with pytest.raises(RuntimeError, match="Transport is closing"):
            await loop.sendfile(transport, file)
        right.close()
        await asyncio.sleep(0)

    run(main())


def test_watches_are_free_again_after_use(loop, pair):
    left, right = pair

    async def main():
        seen = []
        await loop.sock_sendall(left, b"first")
        await loop.sock_recv(right, 10)
        loop.add_reader(right, lambda: seen.append(right.recv(10)))
        await loop.sock_sendall(left, b"second")
        await until(lambda: seen)
        assert loop.remove_reader(right) is True
        return seen

    assert loop.run_until_complete(main()) == [b"second"]
