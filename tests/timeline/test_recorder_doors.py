"""The ways to a timeline: --timeline, FASTLOOP_TIMELINE, fastloop.top --timeline."""

import os
import signal
import subprocess
import sys
import time

import pytest

import fastloop
from fastloop import _core
from tests.timeline.recorded import environment, needs_own_tasks, read, run
from tests.watch.outside import Program

SCRIPT = """
import asyncio, os, signal, sys

async def child():
    await asyncio.sleep(0.05)

async def main():
    await asyncio.create_task(child(), name="child")
    {end}

asyncio.run(main())
"""


@pytest.fixture
def script(tmp_path):
    """Writes a program that ends in some way: its path."""

    def write(end="pass"):
        path = tmp_path / "script.py"
        path.write_text(SCRIPT.format(end=end))
        return path

    return write


@needs_own_tasks
@pytest.mark.parametrize(
    ("end", "status", "ended"),
    [
        ("pass", 0, "finished"),
        ("raise ValueError", 1, "failed: ValueError"),
        ("sys.exit(3)", 3, "exit"),
        ("os._exit(4)", 4, "exit"),
        ("os.kill(os.getpid(), signal.SIGINT); await child()", -2, "interrupted"),
        (
            "os.execl(sys.executable, sys.executable, '-c', '')",
            0,
            "became another: os.execv",
        ),
        ("os.fork() or os._exit(0); os.wait()", 0, "finished"),
    ],
)
def test_however_a_program_ends(tmp_path, script, end, status, ended):
    out = tmp_path / "out.json"
    done = run(tmp_path, "-m", "fastloop", "--timeline", out, script(end), "word")
    assert done.returncode == status, done.stderr
    story = read(out)
    assert story.header["ended"] == ended
    assert story.header["title"] == "script.py word"
    assert story.outcomes()["child"] == "result"
    assert "fastloop:" not in done.stderr


def test_tasks_of_asyncios_own_type(tmp_path, script):
    out = tmp_path / "out.json"
    words = "-m", "fastloop", "--timeline", out, script()
    done = run(tmp_path, *words, FASTLOOP_STOCK_TYPES="1")
    assert (done.returncode, done.stderr) == (0, "")
    story = read(out)
    assert story.header["title"].endswith("own type, and shown as callbacks)")
    assert story.header["tasks"] == []
    assert [event[2] for event in story.of("call")].count("child") == 2


def test_a_killed_program_says_so(tmp_path, script):
    for out, form in ("out.json", b"{"), ("out.html", b"<"):
        run(
            tmp_path,
            *("-m", "fastloop", f"--timeline={out}"),
            script("os.kill(os.getpid(), signal.SIGKILL)"),
        )
        text = (tmp_path / out).read_bytes()
        assert text.startswith(form)
        assert b"or its process was killed" in text


def test_the_programs_folder_may_change(tmp_path, script):
    run(tmp_path, "-m", "fastloop", "--timeline=out.json", script("os.chdir('/')"))
    assert read(tmp_path / "out.json").header["ended"] == "finished"


def test_wrong_usage(tmp_path, script):
    done = run(tmp_path, "-m", "fastloop", "--timeline")
    assert done.returncode == 2
    assert "--timeline takes the name of a file" in done.stderr
    done = run(tmp_path, "-m", "fastloop", "--timeline=no/out.json", script())
    assert done.returncode == 2
    assert "cannot write" in done.stderr
    words = "-m", "fastloop", "--timeline=out.json", script()
    done = run(tmp_path, *words, FASTLOOP_TIMELINE="other.json")
    assert done.returncode == 2
    assert "recorded already" in done.stderr


def test_the_environment(tmp_path):
    code = "import fastloop, asyncio; fastloop.run(asyncio.sleep(0))"
    done = run(tmp_path, "-c", code, FASTLOOP_TIMELINE="out-%p.json")
    assert (done.returncode, done.stderr) == (0, "")
    (path,) = tmp_path.glob("out-*.json")
    assert path.name.removeprefix("out-").removesuffix(".json").isdigit()
    assert read(path).header["ended"] == "finished"


def test_an_environment_that_cannot_be(tmp_path):
    done = run(tmp_path, "-c", "import fastloop", FASTLOOP_TIMELINE="no/out.json")
    assert done.returncode == 0
    assert "FASTLOOP_TIMELINE='no/out.json' is ignored" in done.stderr


def test_children_leave_the_file_alone(tmp_path):
    (tmp_path / "script.py").write_text(
        "import asyncio, multiprocessing\n"
        "def job():\n"
        "    asyncio.run(asyncio.sleep(0))\n"
        "if __name__ == '__main__':\n"
        "    context = multiprocessing.get_context('spawn')\n"
        "    child = context.Process(target=job)\n"
        "    child.start()\n"
        "    child.join()\n"
        "    print(child.exitcode, open('out.json').read()[:16])\n"
    )
    done = run(tmp_path, "-m", "fastloop", "--timeline=out.json", "script.py")
    assert done.stdout == '0 {"traceEvents": \n', done.stderr
    assert read(tmp_path / "out.json").header["loops"] == []


# ---- from outside ----

SERVER = """
async def worker():
    while True:
        await asyncio.sleep(0.01)

async def main():
    task = asyncio.create_task(worker(), name="worker")
    print("ready", flush=True)
    await task

fastloop.run(main())
"""


def top(tmp_path, pid, *words):
    return run(tmp_path, "-m", "fastloop.top", pid, "--timeline=out.json", *words)


@needs_own_tasks
def test_from_outside(tmp_path):
    with Program(SERVER) as program:
        for _ in range(2):  # it can be done again
            done = top(tmp_path, program.pid, "--seconds=0.3")
            assert (done.returncode, done.stderr) == (0, "")
            story = read(tmp_path / "out.json")
            assert story.header["ended"] == "stopped"
            assert ("end", "worker", "sleep") in story.events
            assert story.outcomes()["worker"] == "pending"
            assert 0.3e9 <= story.header["length_ns"] < 20e9


TELLS_WHEN = """
async def tell():
    while not getattr(sys.modules.get("fastloop._timeline_outside"), "_until", 0):
        await asyncio.sleep(0.01)
    print("it records", flush=True)
    await asyncio.sleep(60)

print("ready", flush=True)
fastloop.run(tell())
"""


def test_ctrl_c_ends_it_sooner(tmp_path):
    with Program(TELLS_WHEN) as program:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "fastloop.top", str(program.pid)),
                *("--timeline=out.json", "--seconds=50"),
            ],
            env=environment(tmp_path),
            cwd=tmp_path,
        )
        assert program.line() == "it records"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert read(tmp_path / "out.json").header["ended"] == "stopped"


def test_one_that_records_itself_is_left_alone(tmp_path):
    text = f"fastloop.timeline({str(tmp_path / 'own.html')!r}).__enter__()" + SERVER
    with Program(text) as program:
        done = top(tmp_path, program.pid, "--seconds=0.1")
    assert done.returncode == 10
    assert "a timeline is being recorded already" in done.stderr


def test_seconds_that_are_no_use(tmp_path):
    for seconds in "0", "61", "nan":
        done = top(tmp_path, os.getpid(), f"--seconds={seconds}")
        assert done.returncode == 2


def test_one_that_nobody_asks_for_ends(tmp_path, monkeypatch):
    from fastloop import _timeline_outside

    with fastloop.watch(10):
        monkeypatch.setattr(_timeline_outside, "LONGEST_S", 0.05)
        monkeypatch.setattr(_timeline_outside, "_GRACE_S", 0.05)
        assert _timeline_outside.begin()["error"] == ""
        assert "already" in _timeline_outside.begin()["error"]
        while _timeline_outside._until:
            time.sleep(0.001)
        assert _core._timeline_stop() is None
        assert _timeline_outside.end()[0]["error"] == "nothing is recorded any more"
