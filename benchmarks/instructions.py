"""Count instructions per operation under valgrind, which repeat where times do not.

    python benchmarks/instructions.py                     all workloads, this Python
    python benchmarks/instructions.py --python 3.14 --loops uvloop,fastloop
    python benchmarks/instructions.py --profile spawn_await --loops fastloop

A figure is the difference between a long and a short run, divided by the difference
of their lengths: start-up cancels out. Instructions of the program, the interpreter
and the libraries; none of the kernel. `floor` is the same coroutine driven by a bare
am_send loop in C. `--profile` prints the functions in which a workload spends them.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import BENCHMARKS, progress
from harness.report import format_value
from harness.venv import SetupError, Venv, clean_environment, prepare
from loops import LOOPS, PEERS
from workloads import WORKLOADS

SHORT, LONG = 1_000, 4_000
TIMEOUT_S = 300
PROFILED_LENGTH, PROFILED_FUNCTIONS = 11_000, 30


class CountError(Exception):
    """A workload did not run; the message says why."""


def main(argv: list[str] | None = None) -> int:
    """The command."""
    arguments = parse(argv)
    named = arguments.loops.split(",") if arguments.loops else []
    try:
        venv = prepare(
            arguments.python,
            with_fastloop=not named or "fastloop" in named,
            say=progress,
        )
    except SetupError as error:
        print(f"instructions: {error}", file=sys.stderr)
        return 2
    loops = named or ["asyncio", *PEERS.get(venv.version, PEERS["3.11"]), "fastloop"]
    loops = [loop for loop in loops if loop not in venv.missing]
    if arguments.profile:
        for loop in loops:
            print(profile(venv, loop, arguments.profile))
        return 0
    names = arguments.workloads.split(",") if arguments.workloads else list(WORKLOADS)
    print(table(venv, loops, names))
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--python", metavar="X.Y", help="version or program; default: this Python")
    add("--loops", metavar="A,B", help="loops: " + ", ".join([*LOOPS, "floor"]))
    add("--workloads", metavar="A,B", help="default all: " + ", ".join(WORKLOADS))
    add("--profile", metavar="WORKLOAD", choices=list(WORKLOADS))
    return parser.parse_args(argv)


def under_valgrind(venv: Venv, out: str, loop: str, workload: str, n: int) -> str:
    """Run a workload under callgrind; what valgrind said.

    Raises CountError if the workload fails.
    """
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]
    script = [venv.python, BENCHMARKS / "workloads.py", loop, workload, str(n)]
    try:
        done = subprocess.run(
            [*command, *script],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    except FileNotFoundError:
        raise CountError("valgrind is not installed") from None
    except subprocess.TimeoutExpired:
        raise CountError(f"no result in {TIMEOUT_S} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["?"]
        errors = [line for line in lines if not line.startswith("==")]
        raise CountError((errors or lines)[-1][:100])
    return done.stderr


def count(venv: Venv, loop: str, workload: str) -> float:
    """Instructions per operation. Raises CountError."""
    totals = []
    for n in (SHORT, LONG):
        said = under_valgrind(venv, "/dev/null", loop, workload, n)
        found = re.search(r"Collected : (\d+)", said)
        if found is None:
            raise CountError("valgrind named no count")
        totals.append(int(found[1]))
    return (totals[1] - totals[0]) / (LONG - SHORT)


def table(venv: Venv, loops: list[str], workloads: list[str]) -> str:
    """The markdown table of counts; `yield` with the floor and the ratio to it."""
    lines = [
        f"## Instructions per operation, Python {venv.version}",
        "",
        "| workload | " + " | ".join(loops) + " | floor | fastloop / floor |",
        "|" + " --- |" * (len(loops) + 3),
    ]
    for workload in workloads:
        asked = [*loops, "floor"] if workload == "yield" else loops
        counts: dict[str, float] = {}
        reasons: dict[str, str] = {}
        for loop in asked:
            try:
                counts[loop] = count(venv, loop, workload)
            except CountError as error:
                reasons[loop] = f"n/a ({error})"
        cells = [
            format_value(counts[loop], "") if loop in counts else reasons.get(loop, "")
            for loop in [*loops, "floor"]
        ]
        if "floor" in counts and "fastloop" in counts:
            cells.append(f"{counts['fastloop'] / counts['floor']:.2f}")
        else:
            cells.append("")
        lines.append(f"| {workload} | " + " | ".join(map(str.strip, cells)) + " |")
        progress(lines[-1])
    return "\n".join(lines) + "\n"


def profile(venv: Venv, loop: str, workload: str) -> str:
    """The dearest functions of a workload, themselves, in instructions an operation."""
    short = functions(venv, loop, workload, SHORT)
    long = functions(venv, loop, workload, PROFILED_LENGTH)
    length = PROFILED_LENGTH - SHORT
    spent = {where: (long[where] - short.get(where, 0)) / length for where in long}
    total = sum(spent.values())
    lines = [
        f"## {workload} on {loop}, Python {venv.version}: {total:.0f} instructions"
    ]
    for where in sorted(spent, key=spent.get, reverse=True)[:PROFILED_FUNCTIONS]:
        lines.append(f"{spent[where]:8.1f}  {spent[where] / total:6.1%}  {where}")
    return "\n".join(lines) + "\n"


def functions(venv: Venv, loop: str, workload: str, n: int) -> dict[str, int]:
    """Instructions of each function itself in a run of n operations."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "callgrind")
        under_valgrind(venv, out, loop, workload, n)
        shown = subprocess.run(
            ["callgrind_annotate", "--auto=no", "--threshold=100", out],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    found: dict[str, int] = {}
    rows = re.findall(r"^\s*([\d,]+) \(.+?%\)\s+(\S+)", shown, re.MULTILINE)
    for instructions, where in rows:
        if where == "PROGRAM":
            continue
        # Recursion levels ('2) of a function are one function here.
        name = where.rpartition("/")[2].partition("'")[0]
        found[name] = found.get(name, 0) + int(instructions.replace(",", ""))
    return found


if __name__ == "__main__":
    sys.exit(main())
