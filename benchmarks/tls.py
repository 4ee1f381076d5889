"""TLS: what a server spends, in instructions under valgrind or in CPU time.

    python benchmarks/tls.py                                  instructions, this Python
    python benchmarks/tls.py --python 3.14 --servers uvloop,fastloop
    python benchmarks/tls.py --rounds 7                       CPU time, interleaved
    python benchmarks/tls.py --profile echo_1k --servers fastloop

The server is a process of its own, the client is this one: one connection (of `accept`:
one after the other), a request at a time. What is counted begins after a warm-up.
Instructions are those of the program, the interpreter and OpenSSL; none of the kernel,
which CPU time counts too. Nor are those by which fastloop names a step that took a
millisecond or more: under valgrind many do.

`limit` is c/tls_echo.c, an epoll server that drives OpenSSL over memory BIOs; it wants
the headers of OpenSSL. `aiofastnet` is that package over uvloop, `aiofastnet_fastloop`
the same over fastloop.

`--here` takes the packages of the Python that runs this, and makes no environment.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from harness import BENCHMARKS, progress
from harness.venv import SetupError, Venv, clean_environment, prepare
from loops import LOOPS, PEERS

START_S, READ_S, END_S = 60, 100, 60
MIB = 1 << 20
SHOWN = 40
SLOWED = "fl_loop_note_slow"  # runs because valgrind is slow
FUNCTIONS = re.compile(r"^\s*([\d,]+) \(.+?%\)\s+(\S+)", re.MULTILINE)


class Case(NamedTuple):
    """What a server does, and how often the client asks."""

    kind: str  # of server.py
    size: int
    operate: object  # (connect, warm, n, watch): asks it warm + n times
    warm: int
    n: int
    has_limit: bool


class CaseError(Exception):
    """A server did not do its case; the message says why."""


def read_exactly(sock, size):
    """Take that many bytes and forget them."""
    while size:
        got = len(sock.recv(min(size, 1 << 18)))
        if got == 0:
            raise CaseError("the server has closed")
        size -= got


class Watch(NamedTuple):
    """What to call when a case has warmed up, and when it has done all."""

    begin: object
    end: object


def echo(size):
    """n messages of that size, there and back."""
    data = bytes(size)

    def operate(connect, warm, n, watch):
        with connect() as sock:
            for i in range(warm + n):
                if i == warm:
                    watch.begin()
                sock.sendall(data)
                read_exactly(sock, size)
            watch.end()

    return operate


def take(connect, warm, n, watch):
    """Get n times a MiB."""
    with connect() as sock:
        for i in range(warm + n):
            if i == warm:
                watch.begin()
            sock.sendall(b"x")
            read_exactly(sock, MIB)
        watch.end()


def accept(connect, warm, n, watch):
    """n times: connect, handshake, 64 bytes, close."""
    data = bytes(64)
    for i in range(warm + n):
        if i == warm:
            watch.begin()
        with connect() as sock:
            sock.sendall(data)
            read_exactly(sock, len(data))
    watch.end()


CASES = {
    "echo_1k": Case("tls_proto", 1024, echo(1024), 200, 1000, True),
    "streams_1k": Case("tls_exact", 1024, echo(1024), 200, 1000, False),
    "echo_100k": Case("tls_proto", 0, echo(100 * 1024), 10, 40, True),
    "out_1m": Case("tls_pour_stream", MIB, take, 3, 10, False),
    "accept": Case("tls_proto", 0, accept, 10, 30, True),
}
SERVERS = [
    "limit",
    *("asyncio", "uvloop", "zuvloop", "blazio"),
    *("aiofastnet", "aiofastnet_fastloop", "fastloop"),
]


def main(argv: list[str] | None = None) -> int:
    """The command."""
    arguments = parse(argv)
    try:
        venv = here() if arguments.here else prepare(arguments.python, say=progress)
    except SetupError as error:
        print(f"tls: {error}", file=sys.stderr)
        return 2
    peers = (*PEERS.get(venv.version, PEERS["3.11"]), "aiofastnet")
    names = (
        arguments.servers.split(",")
        if arguments.servers
        else [
            name
            for name in SERVERS
            if name in ("limit", "asyncio", "fastloop")
            or name.partition("_")[0] in peers
        ]
    )
    cases = arguments.cases.split(",") if arguments.cases else list(CASES)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(venv, Path(folder), arguments.here)
        if arguments.profile:
            for name in names:
                print(bench.profile(name, arguments.profile))
        elif arguments.rounds:
            print(bench.time_table(names, cases, arguments.rounds))
        else:
            print(bench.table(names, cases))
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--python", metavar="X.Y", help="version or program; default: this Python")
    add("--here", action="store_true", help="this Python with the packages it has")
    add("--servers", metavar="A,B", help="of " + ", ".join(SERVERS))
    add("--cases", metavar="A,B", help="default all: " + ", ".join(CASES))
    add("--rounds", type=int, metavar="N", help="CPU time, best of N rounds")
    add("--profile", metavar="CASE", choices=list(CASES))
    return parser.parse_args(argv)


def here() -> Venv:
    """The Python that runs this, as it is."""
    return Venv(Path(sys.prefix), ".".join(map(str, sys.version_info[:2])))


class Bench:
    """Servers of one Python, with a certificate."""

    def __init__(self, venv: Venv, folder: Path, as_is: bool):
        self.venv, self.folder = venv, folder
        self.environment = dict(os.environ) if as_is else clean_environment()
        self.environment["PYTHONHASHSEED"] = "0"
        self.pem = folder / "key-and-certificate.pem"
        make_certificate(self.venv, self.pem)
        self.client = ssl.create_default_context()
        self.client.check_hostname = False
        self.client.verify_mode = ssl.CERT_NONE

    def command(self, name: str, case: Case) -> list:
        """The server's command line. Raises CaseError."""
        if name == "limit":
            if not case.has_limit:
                raise CaseError("only echoes")
            return [self.limit(), self.pem]
        base = name.partition("_")[0]
        if base in self.venv.missing:
            raise CaseError(self.venv.missing[base])
        script = [self.venv.python, BENCHMARKS / "server.py"]
        return [*script, name, case.kind, case.size, self.pem]

    def limit(self) -> Path:
        """The C program, built. Raises CaseError."""
        program = self.folder / "tls_echo"
        if not program.exists():
            given = os.environ.get("TLS_ECHO")  # one that was built elsewhere
            if given:
                shutil.copy(given, program)
                return program
            done = subprocess.run(
                [
                    *("gcc", "-std=c11", "-O2", "-Wall", "-Wextra"),
                    *(BENCHMARKS / "c" / "tls_echo.c", "-o", program),
                    *("-lssl", "-lcrypto"),
                ],
                capture_output=True,
                text=True,
            )
            if done.returncode:
                raise CaseError("not built: " + done.stderr.strip().splitlines()[0])
        return program

    @contextlib.contextmanager
    def serving(self, name: str, case: Case, before: list):
        """A server's process, and a function that connects to it. Raises CaseError."""
        command = [str(each) for each in (*before, *self.command(name, case))]
        errors = self.folder / "errors"
        with errors.open("w") as stderr:
            process = subprocess.Popen(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        with process:
            try:
                line = process.stdout.readline().strip()
                if not line:
                    said = errors.read_text().strip().splitlines() or ["?"]
                    raise CaseError(said[-1][:100])
                yield process, lambda: self.connect(int(line))
            finally:
                process.terminate()
                try:
                    process.wait(END_S)
                except subprocess.TimeoutExpired:
                    process.kill()

    def connect(self, port: int) -> ssl.SSLSocket:
        """A blocking socket, the handshake done."""
        sock = socket.create_connection(("127.0.0.1", port), READ_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.client.wrap_socket(sock)

    # ---- instructions ----

    def run_counted(self, name: str, case: Case, out: str) -> int:
        """The instructions of the case's n operations. Raises CaseError."""
        log = self.folder / "valgrind"
        before = ["valgrind", "--tool=callgrind", "--instr-atstart=no"]
        before += [f"--log-file={log}", f"--callgrind-out-file={out}"]
        before += [f"--toggle-collect={SLOWED}", "--collect-atstart=yes"]
        with self.serving(name, case, before) as (process, connect):

            def instrument(on):
                subprocess.run(
                    ["callgrind_control", "-i", on, str(process.pid)],
                    check=True,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )

            watch = Watch(lambda: instrument("on"), lambda: instrument("off"))
            case.operate(connect, case.warm, case.n, watch)
        found = re.search(r"Collected : (\d+)", log.read_text())
        if found is None:
            raise CaseError("valgrind named no count")
        return int(found[1])

    def count(self, name: str, case: Case) -> float:
        """Instructions an operation. Raises CaseError."""
        return self.run_counted(name, case, "/dev/null") / case.n

    def table(self, names: list[str], cases: list[str]) -> str:
        """The markdown table of counts."""
        return self.in_a_table("Instructions", names, cases, self.count)

    # ---- CPU time ----

    def time(self, name: str, case: Case) -> float:
        """Microseconds of the server's CPU an operation. Raises CaseError."""
        spent = []
        with self.serving(name, case, []) as (process, connect):
            clock = (~process.pid << 3) | 2  # its CPU clock, in the kernel's terms

            def look():
                spent.append(time.clock_gettime(clock))

            case.operate(connect, case.warm, case.n, Watch(look, look))
        return (spent[1] - spent[0]) / case.n * 1e6

    def time_table(self, names: list[str], cases: list[str], rounds: int) -> str:
        """The markdown table of times: least of the rounds, and their median."""
        found: dict[tuple[str, str], list[float]] = {}
        for _ in range(rounds):
            for case in cases:
                for name in names:
                    with contextlib.suppress(CaseError, OSError):
                        spent = self.time(name, CASES[case])
                        found.setdefault((name, case), []).append(spent)
        lines = head(f"Microseconds of CPU, best of {rounds}", self.venv, cases)
        for name in names:
            cells = [
                f"{min(got):.1f} ({statistics.median(got):.1f})"
                if (got := found.get((name, case)))
                else "n/a"
                for case in cases
            ]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    # ---- both ----

    def in_a_table(self, what: str, names: list[str], cases: list[str], of) -> str:
        """A row a server, a column a case."""
        lines = head(what, self.venv, cases)
        for name in names:
            cells = []
            for case in cases:
                try:
                    cells.append(f"{of(name, CASES[case]):,.0f}")
                except (CaseError, OSError) as error:
                    cells.append(f"n/a ({error})")
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
            progress(lines[-1])
        return "\n".join(lines)

    def profile(self, name: str, case: str) -> str:
        """The dearest functions of a case, themselves, in instructions an operation."""
        out = self.folder / "callgrind"
        self.run_counted(name, CASES[case], str(out))
        shown = subprocess.run(
            ["callgrind_annotate", "--auto=no", "--threshold=100", out],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        spent: dict[str, float] = {}
        for instructions, where in FUNCTIONS.findall(shown):
            if where != "PROGRAM":
                where = where.rpartition("/")[2].partition("'")[0]
                count = int(instructions.replace(",", "")) / CASES[case].n
                spent[where] = spent.get(where, 0) + count
        lines = [f"## {case} on {name}: {sum(spent.values()):,.0f} instructions"]
        for where in sorted(spent, key=spent.get, reverse=True)[:SHOWN]:
            lines.append(f"{spent[where]:10.1f}  {where}")
        return "\n".join(lines)


def head(what: str, venv: Venv, cases: list[str]) -> list[str]:
    """The beginning of a table."""
    return [
        f"## {what} an operation, Python {venv.version}",
        "",
        "| server | " + " | ".join(cases) + " |",
        "|" + " --- |" * (len(cases) + 1),
    ]


def make_certificate(venv: Venv, path: Path) -> None:
    """A key and a certificate for 127.0.0.1, in one file."""
    script = (
        "import sys, trustme; made = trustme.CA().issue_cert('127.0.0.1');"
        "made.private_key_and_cert_chain_pem.write_to_path(sys.argv[1])"
    )
    subprocess.run([venv.python, "-c", script, path], check=True)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    assert set(SERVERS) <= {"limit", *LOOPS}
    sys.exit(main())
