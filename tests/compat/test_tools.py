"""Profilers, debuggers and coverage as they are run: from outside, or around the
program; on a loop of ours also while the watch is on."""

import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys

import pytest

from fastloop import blocked

from .support import DOORS, TIMEOUT_S, command_path, need, run_python

WATCHES = ["0", "0.05"]

BUSY = """
import asyncio, time

async def busy():
    print("ready", flush=True)
    while True:
        pass

async def main():
    await asyncio.create_task(busy())

asyncio.run(main())
"""

PARTLY = """
import asyncio

async def partly(number):
    await asyncio.sleep(0)
    if number:
        return type(asyncio.get_running_loop()).__module__
    raise ValueError  # not reached

print(asyncio.run(partly(1)))
"""

DEBUGGED = """
import asyncio, debugpy
print(debugpy.listen(("127.0.0.1", 0))[1], flush=True)
debugpy.wait_for_client()

async def debugged(number):
    await asyncio.sleep(0)
    debugpy.breakpoint()
    number += 1
    await asyncio.sleep(0.01)
    return number, type(asyncio.get_running_loop()).__module__

print(*asyncio.run(debugged(1)))
"""

MONITORED = """
import aiomonitor, asyncio, sys

async def waits():
    await asyncio.Event().wait()

async def main():
    loop = asyncio.get_running_loop()
    with aiomonitor.start_monitor(
        loop, host="127.0.0.1", port=0, webui_port=0, console_enabled=False,
        hook_task_factory=True,
    ) as monitor:
        task = asyncio.create_task(waits(), name="mine")
        await asyncio.sleep(0.01)
        listed = monitor.format_running_task_list("", False)
        print(sum(one.name == "mine" for one in listed), flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        task.cancel()

asyncio.run(main())
"""


@pytest.mark.parametrize("watch", WATCHES)
def test_py_spy(loop_kind, watch):
    """The coroutines of a running process are on the stack that it sees."""
    need("py-spy")
    command = [sys.executable, *DOORS[loop_kind], "-c", BUSY]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "FASTLOOP_WATCH": watch},
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            arguments = ["dump", "--json", "--pid", str(process.pid)]
            done = subprocess.run(
                [command_path("py-spy"), *arguments],
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
            )
        finally:
            process.kill()
    for refusal in ("Permission", "Unsupported", "unsupported", "Failed to find a py"):
        if done.returncode and refusal in done.stderr:
            pytest.skip(f"py-spy: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    # with the watch on, a thread of it may be about to look
    threads = json.loads(done.stdout)
    assert "busy" in [one["frames"][0]["name"] for one in threads if one["frames"]]
    assert len(threads) == 1 or watch != "0"


class Debugger:
    """As much of the debug adapter protocol as it takes."""

    def __init__(self, port):
        address = "127.0.0.1", int(port)
        self.sock = socket.create_connection(address, timeout=TIMEOUT_S)
        self.file = self.sock.makefile("rb")
        self.numbers = itertools.count(1)
        self.seen = []

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.file.close()
        self.sock.close()

    def send(self, command, **arguments):
        message = {"seq": next(self.numbers), "type": "request", "command": command}
        body = json.dumps({**message, "arguments": arguments}).encode()
        self.sock.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def wait_for(self, kind):
        """The next message of that event, or answer to that command."""
        while True:
            size = 0
            while (line := self.file.readline()) != b"\r\n":
                assert line, self.seen
                name, _, value = line.partition(b":")
                size = int(value) if name == b"Content-Length" else size
            message = json.loads(self.file.read(size))
            self.seen.append(message)
            if kind in (message.get("event"), message.get("command")):
                assert message.get("success", True), message
                return message.get("body")

    def ask(self, command, **arguments):
        self.send(command, **arguments)
        return self.wait_for(command)


@pytest.mark.parametrize("watch", WATCHES)
def test_debugpy(loop_kind, tmp_path, watch):
    """A breakpoint in a task; while it is there, the watch says so."""
    need("debugpy")
    path = tmp_path / "debugged.py"
    path.write_text(DEBUGGED)
    program = subprocess.Popen(
        [sys.executable, *DOORS[loop_kind], str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "FASTLOOP_WATCH": watch},
    )
    with program as process, contextlib.ExitStack() as stack:
        try:
            debugger = stack.enter_context(Debugger(process.stdout.readline()))
            debugger.ask("initialize", adapterID="tests")
            debugger.send("attach", justMyCode=False)
            debugger.wait_for("initialized")
            debugger.ask("configurationDone")
            thread = debugger.wait_for("stopped")["threadId"]
            frame = debugger.ask("stackTrace", threadId=thread)["stackFrames"][0]
            assert frame["name"] == "debugged"
            found = debugger.ask("evaluate", expression="number", frameId=frame["id"])
            assert found["result"] == "1"
            if loop_kind == "fastloop" and watch != "0":
                _, (block,) = blocked.look(process.pid, TIMEOUT_S)
                assert "debugged" in {name for _, _, name in block["stack"]}
            debugger.ask("continue", threadId=thread)
            # a process of debugpy's has the other end too
            assert process.stdout.readline().split()[0] == "2"
            assert process.wait() == 0
        finally:
            process.kill()


@pytest.mark.parametrize("watch", WATCHES)
def test_aiomonitor(loop_kind, watch):
    """It and the watch's commands see the same tasks."""
    need("aiomonitor")
    with subprocess.Popen(
        [sys.executable, *DOORS[loop_kind], "-c", MONITORED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "FASTLOOP_WATCH": watch},
    ) as process:
        try:
            assert process.stdout.readline() == "1\n"
            if loop_kind == "fastloop" and watch != "0":
                said = run_python("-m", "fastloop.tasks", str(process.pid))
                assert ": waiting for Event.wait at <string>:5 in waits" in said
                assert "\nmine (" in said
            process.communicate("go\n", timeout=TIMEOUT_S)
            assert process.returncode == 0
        finally:
            process.kill()


@pytest.mark.parametrize("watch", WATCHES)
def test_coverage_run(loop_kind, tmp_path, monkeypatch, watch):
    """Every line that ran is counted, and `python -m fastloop` is passed through."""
    need("coverage")
    monkeypatch.setenv("FASTLOOP_WATCH", watch)
    (tmp_path / "partly.py").write_text(PARTLY)
    coverage = ["-m", "coverage"]
    run = [*coverage, "run", "--include=partly.py", *DOORS[loop_kind], "partly.py"]
    output = run_python(*run, cwd=tmp_path)
    assert output.startswith(loop_kind)
    report = json.loads(run_python(*coverage, "json", "-q", "-o", "-", cwd=tmp_path))
    (found,) = report["files"].values()
    assert found["missing_lines"] == [8]
