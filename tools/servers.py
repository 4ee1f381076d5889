"""Servers from Debian's packages on loopback, each as long as a `with` lasts.

    with servers.postgres() as server:
        connect("127.0.0.1", server.port)

A server has a folder of its own for all its files and listens on 127.0.0.1, at ports
that the kernel gave, most on a Unix socket too; it has a certificate for TLS. It ends
when the thread that started it does. Each raises Absent where it cannot be had.
"""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

START_S, END_S = 30, 20
TRIES = 5  # another process may take a port between the kernel's word and the server
ROLE = "tester"  # who may do all in PostgreSQL
UNPRIVILEGED = ("postgres", "nobody")
FOLDERS = "/usr/sbin:/sbin:/usr/local/sbin"


class Absent(Exception):
    """A server cannot be had here; the message says why."""


@dataclass(frozen=True)
class Server:
    """A running server: where it is found, and whom a client of its TLS trusts."""

    folder: str
    port: int
    tls_port: int
    socket: str
    authority: str
    pid: int

    def settings(self) -> dict[str, str | int]:
        """The same for a program's arguments."""
        return asdict(self)


Command = Callable[[int, int], list[object]]  # of the two ports


def find(name: str, more: str = "") -> str:
    """The program's path. Raises Absent."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), FOLDERS, more])
    found = shutil.which(name, path=path)
    if found is None:
        raise Absent(f"there is no {name} on this machine")
    return found


def find_postgres(name: str) -> str:
    """The same of a program of PostgreSQL's newest version. Raises Absent."""
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    newest = sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
    return find(name, os.pathsep.join(map(str, newest)))


@contextlib.contextmanager
def postgres() -> Iterator[Server]:
    """PostgreSQL, which trusts everybody; with a superuser and a database of ROLE."""
    program, initdb = find_postgres("postgres"), find_postgres("initdb")
    user = _unprivileged() if os.geteuid() == 0 else None
    with _folder(user) as folder:
        data = folder / "data"
        options = ["--auth=trust", "--no-sync", "--locale=C", "--encoding=UTF8"]
        _call(_as(user, [initdb, "-D", data, "-U", ROLE, *options]), folder)

        def command(port: int, tls_port: int) -> list[object]:
            settings = {
                "listen_addresses": "127.0.0.1",
                "port": port,
                "unix_socket_directories": folder,
                "ssl": "on",
                "ssl_cert_file": folder / "server.pem",
                "ssl_key_file": folder / "key.pem",
                "fsync": "off",
                "shared_buffers": "16MB",
                "max_connections": 60,
            }
            named = [f"{name}={value}" for name, value in settings.items()]
            options = [word for one in named for word in ("-c", one)]
            return _as(user, [program, "-D", data, *options], "QUIT")

        def is_ready(port: int) -> bool:
            # its last line says so, and a client has to be told the same
            with contextlib.suppress(OSError):
                return (data / "postmaster.pid").read_text().endswith("ready   \n")
            return False

        with _started(command, folder, is_ready) as server:
            create = ["-c", f"create database {ROLE}", "postgres"]
            where = ["-h", folder, "-p", server.port, "-U", ROLE]
            _call([find_postgres("psql"), *where, *create], folder)
            yield server


@contextlib.contextmanager
def redis() -> Iterator[Server]:
    """Redis, which keeps nothing."""
    program = find("redis-server")
    with _folder() as folder:

        def command(port: int, tls_port: int) -> list[object]:
            tls = {
                "port": tls_port,
                "cert-file": folder / "server.pem",
                "key-file": folder / "key.pem",
                "ca-cert-file": folder / "authority.pem",
                "auth-clients": "no",
            }
            secret = [word for name in tls for word in (f"--tls-{name}", tls[name])]
            plain = ["--bind", "127.0.0.1", "--port", port, "--save", ""]
            paths = ["--dir", folder, "--unixsocket", folder / "socket"]
            return _as(None, [program, *plain, *paths, *secret])

        with _started(command, folder, _connects) as server:
            yield server


NGINX = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 16m;
    upstream behind {{
        server unix:{folder}/behind;
        keepalive 4;
    }}
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls_port} ssl;
        ssl_certificate {folder}/server.pem;
        ssl_certificate_key {folder}/key.pem;
        root {folder}/files;
        location /behind/ {{
            proxy_pass http://behind;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $http_connection;
        }}
    }}
}}
"""


@contextlib.contextmanager
def nginx() -> Iterator[Server]:
    """nginx, with what is in folder/files, and before a server on folder/behind."""
    program = find("nginx")
    with _folder() as folder:
        (folder / "files").mkdir()

        def command(port: int, tls_port: int) -> list[object]:
            ports = {"port": port, "tls_port": tls_port}
            (folder / "conf").write_text(NGINX.format(folder=folder, **ports))
            return _as(None, [program, "-e", "stderr", "-c", folder / "conf"])

        with _started(command, folder, _connects) as server:
            yield server


SSHD = """
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


@contextlib.contextmanager
def sshd() -> Iterator[Server]:
    """OpenSSH's, for who runs this and has folder/user_key; trusts folder/host_key."""
    program, keygen = find("sshd"), find("ssh-keygen")
    with _folder() as folder, contextlib.ExitStack() as stack:
        for name in ("host_key", "user_key"):
            key = ["-q", "-t", "ed25519", "-N", "", "-f", folder / name]
            _call([keygen, *key], folder)
        (folder / "conf").write_text(SSHD.format(folder=folder))
        if os.geteuid() == 0:
            stack.enter_context(_empty_folder(Path("/run/sshd")))

        def command(port: int, tls_port: int) -> list[object]:
            return _as(None, [program, "-D", "-e", "-f", folder / "conf", "-p", port])

        yield stack.enter_context(_started(command, folder, _connects))


# --- what they share ----------------------------------------------------------


def _unprivileged() -> str:
    for name in UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise Absent("there is no user for a server that refuses root")


@contextlib.contextmanager
def _folder(user: str | None = None) -> Iterator[Path]:
    """A folder of this user's with certificates in it."""
    with tempfile.TemporaryDirectory(prefix="server-") as name:
        folder = Path(name)
        _make_certificates(folder)
        if user:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, user)
        yield folder


def _make_certificates(folder: Path) -> None:
    try:
        import trustme
    except ImportError:
        raise Absent("trustme is not installed") from None
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    made.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "key.pem").chmod(0o600)
    for blob in made.cert_chain_pems:
        blob.write_to_path(folder / "server.pem", append=True)


@contextlib.contextmanager
def _empty_folder(path: Path) -> Iterator[None]:
    """Where a daemon of root's puts itself when it has nothing to see."""
    if path.exists():
        yield
        return
    path.mkdir(mode=0o755)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.rmdir()


def _as(user: str | None, command: list[object], at_end: str = "TERM") -> list[object]:
    """The command that runs as this user, and gets a signal when its parent ends."""
    prefix: list[object] = [find("setpriv"), "--pdeathsig", at_end]
    if user:
        group = pwd.getpwnam(user).pw_gid
        prefix += ["--reuid", user, "--regid", group, "--clear-groups"]
    return [*prefix, *command]


def _environment(folder: Path) -> dict[str, str]:
    path = os.environ.get("PATH", os.defpath)
    return {"PATH": path, "HOME": str(folder), "LC_ALL": "C", "TZ": "UTC"}


def _call(command: list[object], folder: Path) -> None:
    """Run what must succeed. Raises RuntimeError with what it said."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=START_S,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stdout.strip()}")


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        for sock in (one, other):
            sock.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _connects(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


@contextlib.contextmanager
def _started(
    command: Command, folder: Path, is_ready: Callable[[int], bool]
) -> Iterator[Server]:
    """The server's process, from when it answers. Raises RuntimeError with its log."""
    log = folder / "log"
    for _ in range(TRIES):
        port, tls_port = _free_ports()
        with log.open("w") as output:
            process = subprocess.Popen(
                list(map(str, command(port, tls_port))),
                cwd=folder,
                env=_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            if _comes_up(process, lambda port=port: is_ready(port)):
                yield Server(
                    folder=str(folder),
                    port=port,
                    tls_port=tls_port,
                    socket=str(folder / "socket"),
                    authority=str(folder / "authority.pem"),
                    pid=process.pid,
                )
                return
        finally:
            _end(process)
        if "in use" not in log.read_text():
            break
    raise RuntimeError(f"{command(0, 0)[3]} did not start: {log.read_text()}")


def _comes_up(process: subprocess.Popen[bytes], is_ready: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        if is_ready():
            return True
        time.sleep(0.01)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
