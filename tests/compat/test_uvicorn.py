"""uvicorn from its command line."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from http.client import HTTPConnection, HTTPSConnection

import pytest

from .support import HERE, LOOPS, TASKS, TIMEOUT_S, need

ANSWER_S = 20


class Server:
    """A uvicorn process that takes connections from a socket made here."""

    def __init__(self, app, loop_kind, output, *options):
        name = "asyncio" if loop_kind == "asyncio" else "fastloop:new_event_loop"
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = self.socket.getsockname()
        fd = self.socket.fileno()
        arguments = [f"programs.{app}", "--loop", name, "--fd", str(fd), *options]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", *arguments],
            cwd=HERE,
            pass_fds=[fd],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def get(self, path, tls=None):
        """tls: a client's ssl.SSLContext, for https."""
        connection = (
            HTTPConnection(*self.address, timeout=ANSWER_S)
            if tls is None
            else HTTPSConnection(*self.address, timeout=ANSWER_S, context=tls)
        )
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def stop(self):
        """The exit status after Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(ANSWER_S)

    def kill(self):
        self.socket.close()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def start_server(loop_kind, tmp_path):
    """start_server(app, *options); shows what the server printed if the test fails."""
    servers = []
    output = tmp_path / "output"

    def start_server(app, *options):
        with output.open("ab") as file:
            servers.append(Server(app, loop_kind, file, *options))
        return servers[-1]

    yield start_server
    for server in servers:
        server.kill()
    print(output.read_text() if output.exists() else "")


def test_asgi(start_server, loop_kind):
    need("uvicorn")
    server = start_server("asgi:app")
    answer = server.get("/path")
    assert (answer["loop"], answer["path"]) == (LOOPS[loop_kind], "/path")
    assert answer["task"] == TASKS[loop_kind]
    assert server.stop() in (0, -signal.SIGINT)


def test_fastapi(start_server, loop_kind):
    need("uvicorn", "fastapi")
    server = start_server("fastapi_app:app")
    assert server.get("/double/21") == {"doubled": 42, "loop": LOOPS[loop_kind]}
    assert server.stop() in (0, -signal.SIGINT)


def test_two_workers(start_server, loop_kind):
    need("uvicorn")
    server = start_server("asgi:app", "--workers", "2")
    deadline = time.monotonic() + TIMEOUT_S - ANSWER_S
    workers = set()
    while len(workers) < 2 and time.monotonic() < deadline:
        answer = server.get("/")
        assert answer["loop"] == LOOPS[loop_kind]
        workers.add(answer["pid"])
    assert len(workers) == 2
    assert server.process.pid not in workers
    assert server.stop() in (0, -signal.SIGINT)


def test_tls(start_server, loop_kind, tmp_path):
    """From its --ssl-* options, a client's certificate included."""
    need("uvicorn", "trustme")
    import trustme

    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    files = [tmp_path / name for name in ("key", "certificates", "authority")]
    made.private_key_pem.write_to_path(files[0])
    for blob in made.cert_chain_pems:
        blob.write_to_path(files[1], append=True)
    authority.cert_pem.write_to_path(files[2])
    server = start_server(
        "asgi:app",
        *("--ssl-keyfile", str(files[0]), "--ssl-certfile", str(files[1])),
        *("--ssl-ca-certs", str(files[2]), "--ssl-cert-reqs", "2"),
        *("--ssl-ciphers", "ECDHE+AESGCM"),
    )
    client = ssl.create_default_context()
    authority.configure_trust(client)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        server.get("/", client)
    authority.issue_cert("client").configure_cert(client)
    answer = server.get("/path", client)
    assert (answer["loop"], answer["path"]) == (LOOPS[loop_kind], "/path")
    assert server.stop() in (0, -signal.SIGINT)
