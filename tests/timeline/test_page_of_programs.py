"""The pages of real programs, however these end."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.timeline.recorded import needs_own_tasks

pytestmark = [
    pytest.mark.timeout(120),
    needs_own_tasks,
]
DEMO = pathlib.Path(__file__).resolve().parents[2] / "examples" / "demo.py"
SCRIPT = """
import asyncio, os, signal, threading

import fastloop

async def child():
    await asyncio.sleep(0.05)

async def main():
    task = asyncio.create_task(child(), name="child")
    stuck = asyncio.create_task(asyncio.Event().wait(), name="stuck")
    await task
    {end}

asyncio.run(main())
"""


def run(folder, out, *command):
    """Run it with the timeline; the exit status and the errors."""
    done = subprocess.run(
        [sys.executable, "-m", "fastloop", "--timeline", out, *command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(DEMO.parents[1])},
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("raise ValueError", "The program failed with ValueError."),
        ("os.kill(os.getpid(), signal.SIGINT)", "The program was interrupted."),
        ("os._exit(0)", "The program left before its end: this is as far as it got."),
        ("pass", "The program finished."),
    ],
)
def test_a_program_leaves_a_page_as_far_as_it_got(look, tmp_path, end, said):
    (tmp_path / "program.py").write_text(SCRIPT.format(end=end))
    out = tmp_path / "out.html"
    _, errors = run(tmp_path, out, "program.py", "word")
    assert "fastloop:" not in errors
    look.browser.open(out)
    assert look.browser.complaints() == []
    assert look.text("#ended") == said
    assert look.text("h1") == "program.py word"
    names = look.value("model.lanes.slice(0, 3).map((task) => task.name)")
    assert names == ["Task-1", "child", "stuck"]
    waits = look.value("[2, 3].map((id) => model.waitsOf(id).map((w) => w.name))")
    assert waits == [["sleep"], ["Event.wait"]]
    stuck = "pending" if "_exit" in end else "cancelled"
    rows = "[...document.querySelectorAll('tbody tr')]"
    assert look.value(f"{rows}[2].cells[2].innerText") == stuck


def test_a_killed_program_leaves_a_page_that_says_so(look, tmp_path):
    script = SCRIPT.format(end="os.kill(os.getpid(), signal.SIGKILL)")
    (tmp_path / "program.py").write_text(script)
    out = tmp_path / "out.html"
    run(tmp_path, out, "program.py")
    look.browser.ask("Page.navigate", url=out.resolve().as_uri())
    look.browser.frame()
    assert "killed" in look.browser.evaluate("document.documentElement.innerText")


def test_loops_of_threads(look, tmp_path):
    end = (
        "threads = [threading.Thread(target=fastloop.run, args=(child(),),"
        " name=f'thread {i}') for i in (1, 2)];"
        " [thread.start() for thread in threads];"
        " await asyncio.to_thread(lambda: [thread.join() for thread in threads])"
    )
    (tmp_path / "program.py").write_text(SCRIPT.format(end=end))
    out = tmp_path / "out.html"
    status, errors = run(tmp_path, out, "program.py")
    assert status == 0, errors
    look.browser.open(out)
    assert look.browser.complaints() == []
    assert look.value("model.threads.toSorted()") == [
        "MainThread",
        "thread 1",
        "thread 2",
    ]
    assert look.value("picture.pinned.length") == 0
    rows = look.value("picture.rows.map((row) => row.of)")
    assert rows[-6:] == ["calls", "polls"] * 3 and "task" not in rows[-6:]


@pytest.mark.long
def test_the_demo(look, tmp_path):
    """TCP, queues, locks, timeouts, a child process: all of it adds up."""
    out = tmp_path / "out.html"
    status, errors = run(tmp_path, out, DEMO)
    assert status == 0, errors
    look.browser.open(out)
    assert look.browser.complaints() == []
    wrong = look.value(
        "model.lanes.filter((task) => { let at = task.start; "
        " for (const piece of model.pieces(task.id)) {"
        "   if (piece.begin !== at || piece.end < at) return true; at = piece.end; }"
        " return at !== task.end; }).map((task) => model.title(task.id))"
    )
    assert wrong == []
    sums = look.value(
        "model.lanes.filter((task) => Math.abs(task.end - task.start"
        " - model.steps.total(task.id - 1) - task.ready - task.waiting) > 1).length"
    )
    assert sums == 0
    assert look.value("model.lanes.filter((task) => !task.outcome).length") == 0
    out = tmp_path / "out.json"
    status, errors = run(tmp_path, out, DEMO)
    assert status == 0, errors
    events = json.loads(out.read_text())["traceEvents"]
    assert len(events) > 100_000
    starts = {event["id"] for event in events if event["ph"] == "s"}
    ends = {event["id"] for event in events if event["ph"] == "f"}
    assert ends <= starts
