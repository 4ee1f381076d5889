"""Profilers and coverage as they are run: from outside, or around the program."""

import json
import subprocess
import sys

import pytest

from .support import DOORS, TIMEOUT_S, command_path, need, run_python

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


def test_py_spy(loop_kind, tmp_path):
    """The coroutines of a running process are on the stack that it sees."""
    need("py-spy")
    command = [sys.executable, *DOORS[loop_kind], "-c", BUSY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
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
    (thread,) = json.loads(done.stdout)
    assert thread["frames"][0]["name"] == "busy"


def test_coverage_run(loop_kind, tmp_path):
    """Every line that ran is counted, and `python -m fastloop` is passed through."""
    need("coverage")
    (tmp_path / "partly.py").write_text(PARTLY)
    coverage = ["-m", "coverage"]
    run = [*coverage, "run", "--include=partly.py", *DOORS[loop_kind], "partly.py"]
    output = run_python(*run, cwd=tmp_path)
    assert output.startswith(loop_kind)
    report = json.loads(run_python(*coverage, "json", "-q", "-o", "-", cwd=tmp_path))
    (found,) = report["files"].values()
    assert found["missing_lines"] == [8]
