"""loop.sock_*: connecting, accepting, datagrams, files."""

import asyncio
import errno
import os
import socket
import tempfile

import pytest

from tests.net.helpers import datagram_socket, needs_localhost, settle

# ---- connecting and accepting ----


def test_connecting_and_accepting(loop, listener):
    async def main():
        with socket.socket() as client:
            client.setblocking(False)
            assert await loop.sock_connect(client, listener.getsockname()) is None
            server, address = await loop.sock_accept(listener)
            with server:
                assert type(server) is socket.socket
                assert address == client.getsockname()
                assert server.gettimeout() == 0
                assert os.get_inheritable(server.fileno()) is False
                assert (server.family, server.type, server.proto) == (
                    listener.family,
                    listener.type,
                    listener.proto,
                )

    loop.run_until_complete(main())


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_ipv6(loop):
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 on this machine")

    async def main():
        with listener, socket.socket(socket.AF_INET6) as client:
            listener.setblocking(False)
            client.setblocking(False)
            port = listener.getsockname()[1]
            await loop.sock_connect(client, ("::1", port))
            server, address = await loop.sock_accept(listener)
            with server:
                assert address == client.getsockname()
                assert address[0] == "::1"

    loop.run_until_complete(main())


def test_unix(loop, tmp_path):
    path = str(tmp_path / "socket")

    async def main():
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            listener.setblocking(False)
            with socket.socket(socket.AF_UNIX) as client:
                client.setblocking(False)
                await loop.sock_connect(client, path)
                server, address = await loop.sock_accept(listener)
                with server:
                    assert address == ""
                    await loop.sock_sendall(server, b"x")
                    return await loop.sock_recv(client, 10)

    assert loop.run_until_complete(main()) == b"x"


def test_refused(loop):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = closed.getsockname()

    async def main():
        with socket.socket() as client:
            client.setblocking(False)
            with pytest.raises(ConnectionRefusedError) as caught:
                await loop.sock_connect(client, address)
            return str(caught.value)

    text = loop.run_until_complete(main())
    assert text == f"[Errno {errno.ECONNREFUSED}] Connect call failed {address}"


@pytest.fixture
def silent():
    """An address that answers no more: its backlog is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        filling = []
        for _ in range(3):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
            filling.append(sock)
        yield listener.getsockname()
        for sock in filling:
            sock.close()


@pytest.mark.parametrize("n_turns", range(4))
def test_connecting_cancelled(loop, silent, n_turns):
    async def main():
        with socket.socket() as client:
            client.setblocking(False)
            task = asyncio.ensure_future(loop.sock_connect(client, silent))
            for _ in range(n_turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await settle()
            assert loop.remove_writer(client) is False

    loop.run_until_complete(main())


def test_connected_already(loop, tcp):
    with pytest.raises(OSError) as caught:
        loop.run_until_complete(loop.sock_connect(tcp[0], ("127.0.0.1", 1)))
    assert caught.value.errno == errno.EISCONN


def test_accepting_with_no_fd_left(loop, listener):
    """EMFILE is the caller's; the connection is there when he has room again."""
    import resource

    async def main():
        with socket.create_connection(listener.getsockname()):
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            lowest = os.dup(0)
            os.close(lowest)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
            try:
                with pytest.raises(OSError) as caught:
                    await loop.sock_accept(listener)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert caught.value.errno == errno.EMFILE
            server, _ = await loop.sock_accept(listener)
            server.close()

    loop.run_until_complete(main())


def test_a_default_timeout(loop, listener):
    """An accepted socket is non-blocking all the same."""
    socket.setdefaulttimeout(5)
    try:

        async def main():
            with socket.socket() as client:
                client.setblocking(False)
                await loop.sock_connect(client, listener.getsockname())
                server, _ = await loop.sock_accept(listener)
                with server:
                    return server.gettimeout()

        assert loop.run_until_complete(main()) == 0
    finally:
        socket.setdefaulttimeout(None)


# ---- datagrams ----


@pytest.mark.parametrize("address", ["unix", "abstract", "unnamed"])
def test_datagrams_on_unix(loop, tmp_path, address):
    names = {
        "unix": str(tmp_path / "sender"),
        "abstract": b"\0fastloop-test-%d" % os.getpid(),
        "unnamed": None,
    }
    path = str(tmp_path / "receiver")

    async def main():
        with (
            datagram_socket(socket.AF_UNIX, path) as receiver,
            datagram_socket(socket.AF_UNIX, names[address]) as sender,
        ):
            assert await loop.sock_sendto(sender, b"one", path) == 3
            assert await loop.sock_recvfrom(receiver, 10) == (b"one", names[address])
            await loop.sock_sendto(sender, b"two", path)
            buffer = bytearray(10)
            count, sent_from = await loop.sock_recvfrom_into(receiver, buffer)
            assert (count, sent_from) == (3, names[address])

    loop.run_until_complete(main())


def test_empty_and_cut_datagrams(loop):
    async def main():
        with datagram_socket() as one, datagram_socket() as two:
            address = two.getsockname()
            for data in (b"", b"abcdef", b"gone", b"next"):
                assert await loop.sock_sendto(one, data, address) == len(data)
            got = [(await loop.sock_recvfrom(two, n))[0] for n in (10, 3, 0, 10)]
            await loop.sock_sendto(one, b"", address)
            got.append(await loop.sock_recv(two, 10))
            return got

    assert loop.run_until_complete(main()) == [b"", b"abc", b"", b"next", b""]


def test_the_longest_datagram(loop):
    async def main():
        with datagram_socket() as one, datagram_socket() as two:
            data = os.urandom(65507)
            await loop.sock_sendto(one, data, two.getsockname())
            got = await loop.sock_recvfrom(two, 1 << 17)
            with pytest.raises(OSError) as caught:
                await loop.sock_sendto(one, bytes(65508), two.getsockname())
            assert caught.value.errno == errno.EMSGSIZE
            return got == (data, one.getsockname())

    assert loop.run_until_complete(main())


def test_a_datagram_nobody_takes(loop):
    with datagram_socket() as closed:
        address = closed.getsockname()

    async def main():
        with datagram_socket() as sock:
            sock.connect(address)
            await loop.sock_sendall(sock, b"x")
            with pytest.raises(ConnectionRefusedError):
                await loop.sock_recv(sock, 10)

    loop.run_until_complete(main())


@needs_localhost
def test_datagrams_to_a_name(loop):
    async def main():
        with datagram_socket() as one, datagram_socket() as two:
            port = two.getsockname()[1]
            await loop.sock_sendto(one, b"x", ("localhost", port))
            return await loop.sock_recv(two, 10)

    assert loop.run_until_complete(main()) == b"x"


# ---- sendfile ----


def big_file(size):
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(os.urandom(size))
    file.seek(0)
    return file


def test_a_file_sent_in_pieces(loop, tcp):
    left, right = tcp

    async def main():
        with big_file(5_000_000) as file:
            sending = asyncio.ensure_future(
                loop.sock_sendfile(left, file, 7, 4_000_000)
            )
            got = bytearray()
            while len(got) < 4_000_000:
                got += await loop.sock_recv(right, 1 << 20)
            assert await sending == 4_000_000
            assert file.tell() == 4_000_007
            file.seek(7)
            assert file.read(4_000_000) == got

    loop.run_until_complete(main())


def test_a_file_cancelled_in_the_midst(own_loop, tcp):
    """The file stands behind what was sent; asyncio leaves it where it was."""
    left, right = tcp
    loop = own_loop

    async def main():
        with big_file(20_000_000) as file:
            sending = asyncio.ensure_future(loop.sock_sendfile(left, file))
            got = bytearray(await loop.sock_recv(right, 1 << 16))
            await settle()
            sending.cancel()
            await asyncio.wait([sending])
            left.close()
            while data := await loop.sock_recv(right, 1 << 20):
                got += data
            assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == len(got)

    loop.run_until_complete(main())


def test_a_file_closed_in_the_midst(own_loop, tcp):
    """Its number may be another file's by then: that is not sent."""
    left, right = tcp

    async def read():
        while await own_loop.sock_recv(right, 1 << 20):
            pass

    async def main():
        file = big_file(20_000_000)
        sending = asyncio.ensure_future(own_loop.sock_sendfile(left, file))
        await settle()
        file.close()
        reading = asyncio.ensure_future(read())
        with pytest.raises(ValueError, match="closed file"):
            await sending
        left.close()
        await reading

    own_loop.run_until_complete(main())


def test_an_empty_file_and_one_from_its_end(loop, tcp):
    async def main():
        with tempfile.TemporaryFile() as empty, big_file(100) as file:
            return (
                await loop.sock_sendfile(tcp[0], empty),
                await loop.sock_sendfile(tcp[0], file, 100),
                await loop.sock_sendfile(tcp[0], file, 1000),
                await loop.sock_sendfile(tcp[0], file, 90, 1000),
            )

    assert loop.run_until_complete(main()) == (0, 0, 0, 10)


@pytest.mark.parametrize("offset", [0, 50, 100, 200])
@pytest.mark.parametrize("size", [0, 100])
def test_where_the_file_stands_as_asyncio(own_loop, tcp, offset, size):
    asyncios = asyncio.new_event_loop()

    def position(loop):
        with big_file(size) as file:
            file.seek(7)
            loop.run_until_complete(loop.sock_sendfile(tcp[0], file, offset))
            return file.tell()

    try:
        assert position(own_loop) == position(asyncios)
    finally:
        asyncios.close()


def test_a_text_file(loop, tcp):
    with (
        tempfile.TemporaryFile("w+") as file,
        pytest.raises(ValueError, match="binary mode"),
    ):
        loop.run_until_complete(loop.sock_sendfile(tcp[0], file))
