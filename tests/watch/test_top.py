"""python -m fastloop.top: what the loops of a process do."""

import asyncio
import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
import time

import fastloop
from fastloop import top
from tests.support import open_terminal, own_types
from tests.watch.outside import Program, command, keeping_the_gil

PROGRAM = """
fastloop.task_figures()
there = []
async def handler():
    await asyncio.sleep(0.01)
    there.append(1)
    await asyncio.Event().wait()
async def main():
    tasks = [asyncio.create_task(handler(), name="\\x1b[2J") for _ in range(5)]
    time.sleep(0.25)
    while len(there) < 5:
        await asyncio.sleep(0.01)
    asyncio.get_running_loop().call_soon(lambda: print("ready", flush=True))
    await asyncio.Event().wait()
fastloop.run(main())
"""


@own_types  # they have a coroutine to be called after
def test_once(fast_kind, capsys):
    with Program(PROGRAM) as program:
        assert top.main([str(program.pid), "--once"]) == 0
        text = capsys.readouterr().out
        assert top.main([str(program.pid), "--once", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
    lines = text.splitlines()
    version = sys.version.split()[0]
    assert lines[0] == f"process {program.pid}, Python {version}, watch 0.1 s"
    assert lines[1].startswith(f"loop in thread {program.pid}: busy ")
    assert "longest ever 0.25" in text or "longest ever 2" in text
    assert "  6 tasks, " in text and "       5 waiting  handler\n" in text
    assert "       1 waiting  main\n" in text
    own = fastloop.Task is not asyncio.Task  # else they tell less
    assert "slow step: 2" in text
    assert f" s ago, {'Task-1' if own else 'a task'} (main)\n" in text
    assert (" steps: Task-1 (main)\n" in text) == ("dear task: " in text) == own
    assert "\x1b" not in text and "?[2J (handler)" in text
    last = lines[lines.index("last blocks:") + 1]
    assert "Task-1 (main) (off CPU) at <string>:11 in main" in last
    (loop,) = found["loops"]
    assert loop["metrics"]["steps"] > 10 and loop["metrics"]["tasks"] == 6
    assert found["blocks"][0]["elapsed_s"] >= 0.25


def test_live_on_a_terminal(fast_kind):
    """The screen is drawn anew, with rates since the one before; Ctrl-C ends it."""
    with Program(PROGRAM) as program:
        terminal, inside = open_terminal()
        words = ["-m", "fastloop.top", str(program.pid), "--interval", "0.1"]
        shown = subprocess.Popen(
            [sys.executable, *words],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env={**os.environ, "TERM": "xterm"},
        )
        os.close(inside)
        text = b""
        end = time.monotonic() + 30
        while text.count(b"\x1b[H\x1b[J") < 3 and time.monotonic() < end:
            if select.select([terminal], [], [], 1)[0]:
                text += os.read(terminal, 10_000)
        shown.send_signal(signal.SIGINT)
        assert shown.wait(30) == 130
        os.close(terminal)
    assert text.count(b"process ") >= 3 and b"Traceback" not in text
    spans = [
        part.split(b" of ")[1] for part in text.split(b"busy ")[2:] if b"of" in part
    ]
    assert float(spans[0].split()[0]) < 10  # since the screen before


def test_ends_with_the_process(fast_kind):
    with Program(PROGRAM) as program:
        words = ["-m", "fastloop.top", str(program.pid), "--interval", "0.1", "--json"]
        shown = subprocess.Popen(
            [sys.executable, *words], stdout=-1, stderr=-1, text=True
        )
        assert json.loads(shown.stdout.readline())["pid"] == program.pid
        program.process.kill()
        program.process.wait()
        _, err = shown.communicate(timeout=30)
    assert shown.returncode in (3, 8) and err.startswith("fastloop: ")


def test_while_c_code_keeps_the_gil(fast_kind, capsys):
    with keeping_the_gil() as other:
        assert top.main([str(other.pid), "--once"]) == 9
    assert "did not give the GIL up" in capsys.readouterr().out


def test_wrong_usage(fast_kind):
    for words in ["x"], [], ["1", "--interval", "0"], ["1", "--interval", "nan"]:
        code, out, err = command("top", *words)
        assert (code, out) == (2, "") and "usage: python -m fastloop.top" in err


def test_figures_that_were_reset_meanwhile(fast_kind):
    """reset_metrics(): what has been since."""
    loop = fastloop.new_event_loop()
    try:
        metrics = json.loads(json.dumps(dataclasses.asdict(loop.metrics())))
    finally:
        loop.close()
    rest = [0] * (len(metrics["lag"]["counts"]) - 3)
    before = {**metrics, "step_time": {"counts": [9, 9, 9, *rest], "max_s": 1.0}}
    now = {**metrics, "step_time": {"counts": [0, 0, 2, *rest], "max_s": 4e-6}}
    lines = list(
        top._loop({"thread": 1, "tasks": [], "dearest": [], "metrics": now}, before)
    )
    assert lines[1] == "  steps: half up to 4 us, 99 % up to 4 us, longest ever 4 us"
