"""The troubles of docs/seeing.md, each planted in a program, found by its command."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import own_types
from tests.watch.outside import command

TROUBLES = Path(__file__).resolve().parents[2] / "examples" / "troubles"
# The command, and what its answer has in it.
FOUND = {
    "sleep": (
        "blocked --wait 30",
        ["(off CPU)", "database\n    time.sleep(2)"],
    ),
    "compute": ("blocked --wait 30", ["in is_prime\n", "has blocked the loop for"]),
    "regex": (
        "blocked --wait 30",
        ["(C with the GIL)", "handler\n    WORDS.match("],
    ),
    "lock": (
        "tasks --tree",
        [
            "\n  writer (writer): waiting for sleep at ",
            "\n  reader 2 (reader): waiting for Lock.acquire at ",
        ],
    ),
    "leak": ("top --once", [" waiting  notify\n", "       1 "]),
    "slow_peer": (
        "tasks",
        ["waiting for StreamReader.readline at ", " in ask, for "],
    ),
}


@contextlib.contextmanager
def running(name):
    program = subprocess.Popen(
        [sys.executable, TROUBLES / f"{name}.py"],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "FASTLOOP_WATCH": "0.1"},
    )
    try:
        yield program.pid
    finally:
        program.kill()
        program.wait()


@pytest.mark.parametrize(
    "name",
    # only ours know for what they wait
    [pytest.param(n, marks=[own_types] * (n == "slow_peer")) for n in FOUND],
)
def test_is_found(fast_kind, name):
    words, wanted = FOUND[name]
    asked, *options = words.split()
    out = ""
    end = time.monotonic() + 40
    with running(name) as pid:
        while not all(text in out for text in wanted) and time.monotonic() < end:
            _, out, _ = command(asked, pid, *options)
    for text in wanted:
        assert text in out


def test_each_is_told_of():
    text = (TROUBLES.parents[1] / "docs" / "seeing.md").read_text()
    names = {path.stem for path in TROUBLES.glob("*.py")}
    assert names == set(FOUND)
    for name in names:
        assert f"(../examples/troubles/{name}.py)" in text
