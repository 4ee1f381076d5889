"""What the network tests share: certificates, made anew for each session."""

import asyncio
import socket
import ssl
import tempfile

import pytest
import trustme


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority):
    """A server's context with a certificate for localhost and 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def client_tls(authority):
    """A client's context that trusts our authority alone."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def file():
    """A file of 7,000 bytes."""
    with tempfile.TemporaryFile() as file:
        file.write(b"content" * 1000)
        file.seek(0)
        yield file


@pytest.fixture
def tcp():
    """A connected pair over TCP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        left = socket.create_connection(listener.getsockname())
        right, _ = listener.accept()
    left.setblocking(False)
    right.setblocking(False)
    with left, right:
        yield left, right


@pytest.fixture
def listener():
    """A listening socket, not blocking."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        yield sock


@pytest.fixture
def own_loop(fast_loop):
    """A loop of ours whose futures are ours too."""
    import fastloop

    if fastloop.Task is asyncio.Task:
        pytest.skip("this run uses asyncio's types")
    return fast_loop
