"""Servers' command lines behind `python -m fastloop`: which loop a handler sees."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection, HTTPException

import pytest

from .support import HERE, LOOPS, TIMEOUT_S, need, run_python

DEADLINE_S = TIMEOUT_S - 10
# Sanic binds its socket some time before a worker accepts from it, and binds it anew.
ANSWER_S = 3
# Of a file that is watched, until one is seen.
CHANGES = 4

# Command line, @ being the path of a Unix socket; workers that answer; packages.
ASGI = "programs.asgi:app"
SERVERS = {
    "uvicorn": (f"uvicorn {ASGI} --uds @", 1, "uvicorn"),
    "uvicorn auto": (f"uvicorn {ASGI} --loop auto --uds @", 1, "uvicorn uvloop"),
    "uvicorn asyncio": (f"uvicorn {ASGI} --loop asyncio --uds @", 1, "uvicorn"),
    "uvicorn uvloop": (f"uvicorn {ASGI} --loop uvloop --uds @", 1, "uvicorn uvloop"),
    "uvicorn workers": (f"uvicorn {ASGI} --workers 2 --uds @", 2, "uvicorn"),
    "uvicorn workers, uvloop": (
        f"uvicorn {ASGI} --workers 2 --loop uvloop --uds @",
        2,
        "uvicorn uvloop",
    ),
    "uvicorn reload": (
        f"uvicorn {ASGI} --reload --reload-dir programs --uds @",
        1,
        "uvicorn",
    ),
    "hypercorn": (f"hypercorn {ASGI} --workers 0 --bind unix:@", 1, "hypercorn"),
    "hypercorn workers": (
        f"hypercorn {ASGI} --workers 2 --bind unix:@",
        2,
        "hypercorn",
    ),
    "hypercorn uvloop": (
        f"hypercorn {ASGI} --worker-class uvloop --bind unix:@",
        1,
        "hypercorn uvloop",
    ),
    "sanic": ("sanic programs.sanic_door:app --unix=@", 1, "sanic"),
    # Each of its workers binds the path anew: one answers.
    "sanic workers": ("sanic programs.sanic_door:app --workers=2 --unix=@", 1, "sanic"),
    "sanic single": (
        "sanic programs.sanic_door:app --single-process --unix=@",
        1,
        "sanic",
    ),
    "aiohttp": ("aiohttp.web -U @ programs.aiohttp_door:make_app", 1, "aiohttp"),
    "gunicorn uvicorn": (
        f"gunicorn -k uvicorn_worker.UvicornWorker -w 2 -b unix:@ {ASGI}",
        2,
        "gunicorn uvicorn_worker",
    ),
    "gunicorn asgi": (f"gunicorn -k asgi -w 1 -b unix:@ {ASGI}", 1, "gunicorn"),
    "gunicorn aiohttp": (
        "gunicorn -k aiohttp.GunicornWebWorker -b unix:@"
        " programs.aiohttp_door:make_app()",
        1,
        "gunicorn aiohttp",
    ),
    "gunicorn aiohttp uvloop": (
        "gunicorn -k aiohttp.GunicornUVLoopWebWorker -b unix:@"
        " programs.aiohttp_door:make_app()",
        1,
        "gunicorn aiohttp uvloop",
    ),
}


class UnixConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=ANSWER_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def get(path):
    connection = UnixConnection(path)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


@pytest.fixture
def path():
    """Of a Unix socket; short, for Sanic makes it longer by 44 characters."""
    with tempfile.TemporaryDirectory() as folder:
        yield f"{folder}/s"


@contextlib.contextmanager
def serving(words, output):
    """A server's process; killed, with all that it started, at the end."""
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=HERE,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        print(output.read_text())


def answers(process, path, workers):
    """What as many workers answered, by their process."""
    deadline = time.monotonic() + DEADLINE_S
    found = {}
    while len(found) < workers:
        assert process.poll() is None, "it has ended"
        assert time.monotonic() < deadline, f"{len(found)} of {workers} answered"
        try:
            answer = get(path)
        except (OSError, HTTPException):
            time.sleep(0.05)  # it is not listening yet
            continue
        found[answer["pid"]] = answer["loop"]
    return found


@pytest.mark.parametrize("name", SERVERS)
def test_the_handlers_loop_is_ours(name, path, tmp_path):
    command, workers, packages = SERVERS[name]
    need(*packages.split())
    words = ["fastloop", "-m", *command.replace("@", path).split()]
    with serving(words, tmp_path / "output") as process:
        found = answers(process, path, workers)
        assert set(found.values()) == {LOOPS["fastloop"]}
        process.send_signal(signal.SIGINT)
        process.wait(DEADLINE_S)
    assert "fastloop: ran on" not in (tmp_path / "output").read_text()


# As in the program of somebody who starts the server from it: workers that answer.
STARTS = {
    "": 1,
    "workers=2": 2,
    "loop='asyncio', workers=2": 2,
    "reload=True, reload_dirs='programs'": 1,
}


@pytest.mark.parametrize("options", STARTS)
def test_a_program_that_starts_uvicorn(options, path, tmp_path):
    need("uvicorn")
    start = f"uvicorn.run({ASGI!r}, app_dir='.', uds={path!r}, {options})"
    (tmp_path / "serve.py").write_text(
        f"import uvicorn\nif __name__ == '__main__':\n    {start}\n"
    )
    words = ["fastloop", str(tmp_path / "serve.py")]
    with serving(words, tmp_path / "output") as process:
        found = answers(process, path, STARTS[options])
        assert set(found.values()) == {LOOPS["fastloop"]}
        process.send_signal(signal.SIGINT)
        process.wait(DEADLINE_S)
    assert "fastloop: ran on" not in (tmp_path / "output").read_text()


def test_uvloop_is_kept_in_workers_too(path, tmp_path):
    need("uvicorn", "uvloop")
    command = f"--keep-uvloop -m uvicorn {ASGI} --loop uvloop --workers 2 --uds {path}"
    with serving(["fastloop", *command.split()], tmp_path / "output") as process:
        found = answers(process, path, 2)
        assert set(found.values()) == {"uvloop.Loop"}


def test_a_reload_is_on_it_again(path, tmp_path):
    """The file that changes is one of a copy."""
    need("uvicorn")
    source = (HERE / "programs" / "asgi.py").read_text()
    app = tmp_path / "changing.py"
    app.write_text(source)
    command = f"uvicorn changing:app --app-dir {tmp_path} --reload --uds {path}"
    command += f" --reload-dir {tmp_path}"
    words = ["fastloop", "-m", *command.split()]
    with serving(words, tmp_path / "output") as process:
        before = answers(process, path, 1)
        # What changes before the reloader first looks goes unseen: change it again.
        after = before
        for turn in range(CHANGES):
            app.write_text(f"{source}\n# changed {turn}\n")
            deadline = time.monotonic() + DEADLINE_S / CHANGES
            while after.keys() == before.keys() and time.monotonic() < deadline:
                time.sleep(0.05)
                after = answers(process, path, 1)
            if after.keys() != before.keys():
                break
        assert after.keys() != before.keys()
        assert set({**before, **after}.values()) == {LOOPS["fastloop"]}


KERNEL = """\
import asyncio, sys
from jupyter_client import AsyncKernelManager

CELL = "import asyncio; kind = type(asyncio.get_running_loop())"
CELL += "; print(kind.__module__ + '.' + kind.__qualname__)"

async def main():
    manager = AsyncKernelManager(
        kernel_name="fastloop", transport="ipc", ip=sys.argv[1]
    )
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=30)
        def output(message):
            if message["msg_type"] == "stream":
                print(message["content"]["text"], end="")
        reply = await client.execute_interactive(CELL, output_hook=output, timeout=30)
        assert reply["content"]["status"] == "ok", reply
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)

asyncio.run(main())
"""


def test_the_kernel_that_one_command_installs(tmp_path, monkeypatch):
    need("ipykernel")
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "share"))
    run_python("-m", "fastloop", "--install-kernel")
    (tmp_path / "client.py").write_text(KERNEL)
    with contextlib.chdir(tmp_path):
        answer = run_python("client.py", tmp_path / "kernel", cwd=tmp_path)
    assert answer == f"{LOOPS['fastloop']}\n"
