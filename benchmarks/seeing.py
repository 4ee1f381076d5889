"""How soon the watch tells of a step that blocks the loop, and whether rightly.

    python benchmarks/seeing.py                 this Python, which has fastloop
    python benchmarks/seeing.py --rounds 5

Under `FASTLOOP_WATCH=0.1` a program blocks its loop for a second or more, in three ways
in three places. `told` is what it writes to standard error, `asked` what another
process is told by `fastloop.blocked`: seconds from the block's beginning until the line
that blocks was read, the least and the most of the rounds. Exits 1 if the most is over
0.15 s or a line was another one than it should be.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fastloop import blocked

BOUND_S = 0.15
PATIENCE_S = 20.0
PROGRAM = """\
import asyncio, os, re, sys, time
import fastloop

def sleeps():
    time.sleep(1.2)  # sleeps

def computes():
    end = time.monotonic() + 1.2
    while time.monotonic() < end: pass  # computes

def matches():
    re.match("(a|aa)+$", "a" * 60 + "b")  # matches

def blocks():
    print(time.monotonic(), flush=True)
    globals()[sys.argv[1]]()

async def task():
    async def blocking():
        blocks()
    await asyncio.create_task(blocking())

async def timer():
    asyncio.get_running_loop().call_later(0.01, blocks)
    await asyncio.sleep(60)

async def reader():
    left, right = os.pipe()
    asyncio.get_running_loop().add_reader(left, blocks)
    os.write(right, b"x")
    await asyncio.sleep(60)

async def main():
    print("ready", flush=True)
    await asyncio.sleep(0.3)
    await globals()[sys.argv[2]]()

fastloop.run(main())
"""
BLOCKS = {
    "sleeps": "`time.sleep`",
    "computes": "a loop in Python",
    "matches": "a regex, in C with the GIL",
}
PLACES = {"task": "a task", "timer": "a timer's callback", "reader": "a reader"}
WAYS = "told", "asked"


class Seen(NamedTuple):
    """When the line that blocks was read, from the beginning of the block; it."""

    after_s: float
    line: int


def line_of(block: str) -> int:
    """The line of the program that blocks."""
    lines = PROGRAM.splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.endswith(f"# {block}"))


@contextlib.contextmanager
def running(path: Path, block: str, place: str) -> Iterator[subprocess.Popen[str]]:
    """The program, about to block."""
    process = subprocess.Popen(
        [sys.executable, str(path), block, place],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "FASTLOOP_WATCH": "0.1"},
    )
    timer = threading.Timer(PATIENCE_S, process.kill)
    timer.start()
    try:
        with process:
            try:
                yield process
            finally:
                process.kill()
    finally:
        timer.cancel()


def read(process: subprocess.Popen[str], path: Path, block: str) -> tuple[float, int]:
    """When the program's report came to the frame that blocks, and its line."""
    assert process.stderr is not None
    for text in process.stderr:
        if f'File "{path}", line ' in text and text.split()[-1] == block:
            now = time.monotonic()
            return now, int(text.partition(", line ")[2].split()[0].rstrip(","))
    return float("inf"), 0


def ask(process: subprocess.Popen[str], path: Path, block: str) -> tuple[float, int]:
    """The same of what another process is told."""
    _, found = blocked.look(process.pid, PATIENCE_S)
    now = time.monotonic()
    for filename, line, name in found[0]["stack"] if found else ():
        if (filename, name) == (str(path), block):
            return now, line
    return now, 0


def measure(block: str, place: str, way: str) -> Seen:
    """One round: told or asked, of a block in a place."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "program.py")
        path.write_text(PROGRAM)
        with running(path, block, place) as process:
            assert process.stdout is not None
            process.stdout.readline()
            when, line = (read if way == "told" else ask)(process, path, block)
            return Seen(when - float(process.stdout.readline()), line)


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    rounds = parser.parse_args(argv).rounds
    version = sys.version.split()[0]
    print(f"Python {version}, limit 0.1 s, {rounds} rounds: seconds, least and most\n")
    print("| what blocks | in | told | asked |\n| --- | --- | --- | --- |")
    good = True
    for block in BLOCKS:
        for place in PLACES:
            cells = []
            for way in WAYS:
                seen = [measure(block, place, way) for _ in range(rounds)]
                times = [one.after_s for one in seen]
                right = all(one.line == line_of(block) for one in seen)
                good &= right and max(times) <= BOUND_S
                note = "" if right else ", a wrong line"
                cells.append(f"{min(times):.3f} {max(times):.3f}{note}")
            print(f"| {BLOCKS[block]} | {PLACES[place]} | {' | '.join(cells)} |")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
