"""What `python -m fastloop --compare` does: a program with `python` and on fastloop."""

import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from statistics import median
from typing import IO, NamedTuple

from . import _program
from ._options import CommandLine, fail, leading_options

LABELS = ("python", "fastloop")
BRIEF_S = 0.3


class Run(NamedTuple):
    end: str
    wall_s: float
    cpu_s: float
    output: list[bytes]
    errors: list[bytes]


class Interrupted(Exception):
    pass


class Interrupts:
    """The first Ctrl-C is passed on to the program, the next one kills it.

    Nothing is raised where it comes, which may be between two programs, or where one
    is about to be started.
    """

    def __init__(self) -> None:
        self.count = 0
        self.group = 0  # of the program's processes, 0 while there is none
        for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            signal.signal(number, self._came)

    def _came(self, *ignored: object) -> None:
        self.count += 1
        self._pass_on()

    def _pass_on(self) -> None:
        if self.count and self.group:
            with suppress(ProcessLookupError):
                number = signal.SIGINT if self.count == 1 else signal.SIGKILL
                os.killpg(self.group, number)

    def begin(self, group: int) -> None:
        self.group = group
        self._pass_on()

    def end(self) -> None:
        self.group = 0
        if self.count:
            raise Interrupted


def compare(line: CommandLine, words: list[str]) -> int:
    """Run it both ways, in turns; return 0 if both did the same, else 1."""
    if line.run not in (_program.run_path, _program.run_module, _program.run_command):
        fail("--compare wants a script, -m module or -c code, to run it twice")
    interrupts = Interrupts()
    commands = _commands(line, words)
    runs: list[list[Run]] = [[], []]
    feed = _input()
    try:
        for turn in range(1, line.settings.compare + 1):
            for label, command, those in zip(LABELS, commands, runs, strict=True):
                run = _run(command, label, feed, interrupts)
                those.append(run)
                _say(f"run {turn}, {label:8} {run.wall_s:8.2f} s, {run.end}")
    except Interrupted:
        _say("stopped: only a program that ends by itself can be compared")
        return 128 + signal.SIGINT
    _show_times(*runs)
    ended_alike = _show_ends(*runs)
    return 0 if _show_outputs(*runs) and ended_alike else 1


def _commands(line: CommandLine, words: list[str]) -> list[list[str]]:
    before = sys.orig_argv[: len(sys.orig_argv) - len(words)]
    place = 1 + leading_options(before[1:])
    python = [sys.executable, *before[1:place], *line.python]
    ours = [word for word in line.ours if word != "--compare"]
    return [python + line.words, [*python, *before[place:], *ours, *line.words]]


def _input() -> IO[bytes] | None:
    """Return the file that standard input is, which each run gets from here on."""
    try:
        kind = os.fstat(0).st_mode
    except OSError:
        return None
    if stat.S_ISREG(kind):
        return open(0, "rb", buffering=0, closefd=False)
    if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
        _say("standard input can be read but once: both find it empty (use < FILE)")
    return None


def _run(
    command: list[str], label: str, feed: IO[bytes] | None, interrupts: Interrupts
) -> Run:
    environment = dict(os.environ)
    if label == "python":
        for name in "CHILDREN", "ACCELERATE", "WATCH", "TIMELINE":
            environment.pop(f"FASTLOOP_{name}", None)
    place = feed.tell() if feed else 0
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=feed or subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env=environment,
            process_group=0,  # Ctrl-C reaches it by us, and once
        )
        status, cpu_s = _wait(process, interrupts)
        wall_s = time.perf_counter() - start
        if feed:
            feed.seek(place)
        end = f"status {status}" if status >= 0 else f"signal {-status}"
        return Run(end, wall_s, cpu_s, _lines(output), _lines(errors))


def _wait(
    process: "subprocess.Popen[bytes]", interrupts: Interrupts
) -> tuple[int, float]:
    """Return the exit status, and the seconds of CPU of it and its own children."""
    interrupts.begin(process.pid)
    _, code, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(code)
    interrupts.end()
    return process.returncode, used.ru_utime + used.ru_stime


def _lines(file: IO[bytes]) -> list[bytes]:
    file.seek(0)
    return file.read().splitlines(keepends=True)


def _show_times(plain: list[Run], ours: list[Run]) -> None:
    what = f"seconds, median of {len(plain)}" if len(plain) > 1 else "seconds"
    _say(f"\n{what:24}{LABELS[0]:>10}{LABELS[1]:>10}{'ratio':>8}")
    for name, title in ("cpu_s", "CPU, user and system"), ("wall_s", "wall clock"):
        one, other = (median(getattr(run, name) for run in r) for r in (plain, ours))
        _say(f"{title:24}{one:10.3f}{other:10.3f}{one / max(other, 1e-9):8.2f}")
    if median(run.cpu_s for run in plain) < BRIEF_S:
        _say("It is too brief to judge by: Python's own start is in these.")
    _say("")


def _show_ends(plain: list[Run], ours: list[Run]) -> bool:
    for label, run in zip(LABELS, (plain[-1], ours[-1]), strict=True):
        said = [line for line in run.errors if line.startswith(b"fastloop: ran on ")]
        for line in said or run.errors[-3:] if run.end != "status 0" else said:
            _say(f"{label} wrote: {_text(line)}")
    ends = [" or ".join(sorted({run.end for run in runs})) for runs in (plain, ours)]
    if ends[0] == ends[1]:
        _say(f"Both ended with {ends[0]}.")
    else:
        _say(f"With python it ended with {ends[0]}, on fastloop with {ends[1]}.")
    return ends[0] == ends[1]


def _show_outputs(plain: list[Run], ours: list[Run]) -> bool:
    """Say whether they printed the same; return whether they may have."""
    one = plain[0].output
    other = next((run.output for run in plain + ours if run.output != one), one)
    if one == other:
        _say(f"Both printed the same, {len(one)} line{'s' * (len(one) != 1)}.")
        return True
    if any(run.output != one for run in plain):
        _say("With python alone, too, it prints something else each time.")
    alike = [re.sub(rb"[0-9]+", b"0", b"".join(lines)) for lines in (one, other)]
    if alike[0] == alike[1]:
        _say("What they printed differs in numbers only, as where times are printed.")
        return True
    order = " in the order of lines" if sorted(one) == sorted(other) else ""
    _say(f"What they printed differs{order}.")
    at = next((n for n, p in enumerate(zip(one, other)) if p[0] != p[1]), None)  # noqa: B905
    at = min(len(one), len(other)) if at is None else at
    for lines in one, other:
        text = _text(lines[at]) if at < len(lines) else "(nothing)"
        _say(f"  line {at + 1}: {text}")
    return False


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip()[:200]


def _say(text: str) -> None:
    print(text, flush=True)
