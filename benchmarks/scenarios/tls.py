"""TLS 1.3 over TCP: what a message costs the server, on one connection.

The client is this process, with blocking sockets of Python's `ssl`.
"""

import os
import socket
import ssl
import tempfile

from scenarios._case import Env, NotAvailable, case
from scenarios._net import Server, cpu_seconds, serving

MESSAGE = bytes(1024)


def _certificate(path: str) -> None:
    """A key and a certificate for 127.0.0.1, in one file."""
    try:
        import trustme
    except ImportError:
        raise NotAvailable("needs trustme") from None
    made = trustme.CA().issue_cert("127.0.0.1")
    made.private_key_and_cert_chain_pem.write_to_path(path)


def _exchange(sock: ssl.SSLSocket, n: int) -> None:
    for _ in range(n):
        sock.sendall(MESSAGE)
        left = len(MESSAGE)
        while left:
            got = len(sock.recv(left))
            if not got:
                raise NotAvailable("the server closed the connection")
            left -= got


def _cost(server: Server, n: int) -> float:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    port = int(server.address.partition(":")[2])
    plain = socket.create_connection(("127.0.0.1", port), timeout=20)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with context.wrap_socket(plain) as sock:
        _exchange(sock, max(1, n // 10))
        before = cpu_seconds(server.pid)
        _exchange(sock, n)
        return (cpu_seconds(server.pid) - before) / n


def _echo(env: Env, kind: str, n: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/key-and-certificate.pem"
        _certificate(path)
        cpus = sorted(os.sched_getaffinity(0))
        with serving(env, kind, len(MESSAGE), path=path) as server:
            os.sched_setaffinity(0, {cpus[-1]})
            try:
                return _cost(server, n)
            finally:
                os.sched_setaffinity(0, cpus)


@case(n=3_000, clock="server cpu")
def tls_proto_1k(env: Env, n: int) -> float:
    """A Protocol echoes 1 KiB over TLS; per message."""
    return _echo(env, "tls_proto", n)


@case(n=3_000, clock="server cpu")
def tls_exact_1k(env: Env, n: int) -> float:
    """Streams over TLS: `readexactly`, `write`, `drain`, 1 KiB; per message."""
    return _echo(env, "tls_exact", n)
