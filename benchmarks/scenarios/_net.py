"""A server process, a client process, and the server's CPU time between them."""

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from scenarios._case import Env, NotAvailable

LONGEST_S = 20
START_S = 20
SERVER = Path(__file__).resolve().parent.parent / "server.py"


def program(name: str) -> str:
    """A C program of ours, built into the venv that runs this."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise NotAvailable(f"{name} is not built; benchmarks/run.py builds it")
    return str(path)


@dataclass(frozen=True)
class Server:
    """A running server, the client's word for where it is, and what it complained."""

    process: subprocess.Popen
    address: str
    errors: IO[str]

    @property
    def pid(self) -> int:
        return self.process.pid

    def last_words(self) -> str:
        """Its last line on standard error, empty if there is none."""
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines()
        return lines[-1][:120] if lines else ""


def _cpus() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def _command(env: Env, kind: str, size: int, path: str | None) -> list[str]:
    if env.loop_name in ("limit", "apart"):
        where = f"unix:{path}" if path else "udp" if kind == "datagram" else "tcp"
        manner = []
        if env.loop_name == "apart":
            manner = [f"apart:{size}"]
        elif kind.startswith("swallow"):
            manner = [f"swallow:{size}"]
        return [program("bench_echo"), where, *manner]
    command = [sys.executable, str(SERVER), env.loop_name, kind, str(size)]
    return command + ([path] if path else [])


@contextlib.contextmanager
def serving(
    env: Env, kind: str, size: int = 0, family: str = "tcp", path: str | None = None
):
    """A server of `env`'s loop on the first CPU; it is killed at the end.

    `path` is what the kind wants to know beside the size: of tls_, its certificate.
    Raises NotAvailable if it does not come up, with what it said last.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryFile("w+", errors="replace") as errors,
    ):
        if family == "unix":
            path = f"{folder}/socket"
        cpus = _cpus()
        os.sched_setaffinity(0, {cpus[0]})
        try:
            process = subprocess.Popen(
                _command(env, kind, size, path),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        finally:
            os.sched_setaffinity(0, cpus)
        with process:
            try:
                ready, _, _ = select.select([process.stdout], [], [], START_S)
                port = process.stdout.readline().strip() if ready else ""
                server = Server(
                    process, f"{family}:{path if family == 'unix' else port}", errors
                )
                if not port:
                    raise NotAvailable(server.last_words() or "no server came up")
                yield server
            finally:
                process.kill()


@contextlib.contextmanager
def client(
    server: Server,
    *,
    mode: str = "stream",
    connections: int,
    depth: int = 1,
    count: int,
    request: int | bytes,
    reply: int,
    hello: bytes = b"",
):
    """The C client on the last CPU, warmed up and waiting for its start."""
    payload = str(request) if isinstance(request, int) else f"hex:{request.hex()}"
    command = [program("bench_client"), mode, server.address]
    command += map(str, (connections, depth, count, LONGEST_S, payload, reply))
    if hello:
        command.append(f"hex:{hello.hex()}")
    cpus = _cpus()
    os.sched_setaffinity(0, {cpus[-1]})
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        os.sched_setaffinity(0, cpus)
    with process:
        try:
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(process.stderr.read().strip() or "no answers")
            yield process
        finally:
            process.kill()


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process, all its threads, in seconds."""
    clock = (~pid << 3) | 2  # clock_getcpuclockid() of a process, in the kernel's terms
    return time.clock_gettime(clock)


def server_cost(server: Server, **options) -> float:
    """CPU seconds of the server per request of a client with these options.

    Raises NotAvailable if the client did not get all its answers.
    """
    try:
        return _server_cost(server, **options)
    except RuntimeError as error:
        raise NotAvailable(server.last_words() or str(error)) from None


def _server_cost(server: Server, **options) -> float:
    with client(server, **options) as process:
        before = cpu_seconds(server.pid)
        process.stdin.write("go\n")
        process.stdin.flush()
        line = process.stdout.readline()
        spent = cpu_seconds(server.pid) - before
        if not line:
            raise RuntimeError(process.stderr.read().strip() or "the client ended")
    answer = json.loads(line)
    if not answer["complete"]:
        raise RuntimeError(f"{answer['done']} answers in {LONGEST_S} s")
    return spent / answer["done"]
