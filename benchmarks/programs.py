"""What a request costs real programs on three loops, and asyncio's share of it.

    python benchmarks/programs.py                            all of the room programs
    python benchmarks/programs.py --python 3.13 --cases fastapi,django --rounds 5

CPU time of the server for a request, all its threads; of the HTTP client, its own. The
median of the rounds, which are interleaved. PostgreSQL's time is not in it.

The share is asyncio's: how many of the samples of the program's CPU time found it in
the modules of asyncio's loop, system calls for it included; and in its helpers (locks,
queues, streams, tasks), which `accelerate()` replaces. No loop can win more than that.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from harness import progress
from harness.facts import collect
from harness.rounds import measure, run_child
from harness.venv import SetupError, prepare
from loops import ACCELERATED
from run import choose_cases, describe
from scenarios._share import VARIABLE, read

LOOPS = ["asyncio", "uvloop", "fastloop", ACCELERATED]
SAMPLED_S, LONGEST_S = 5, 120


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--python", metavar="X.Y", help="version or program; default: this Python")
    add("--cases", metavar="A,B", default="programs", help="default: all of the room")
    add("--rounds", type=int, metavar="N", default=7)
    add("--quick", action="store_true", help="half of the requests")
    arguments = parser.parse_args(argv)
    try:
        cases = [describe(case) for case in choose_cases(arguments.cases)]
        venv = prepare(arguments.python, say=progress)
    except SetupError as error:
        print(f"programs: {error}", file=sys.stderr)
        return 2
    scale = 0.5 if arguments.quick else 1.0
    found = measure(venv, cases, LOOPS, arguments.rounds, scale=scale, say=progress)
    shares = {}
    for case in cases:
        values = found[case["name"]]["asyncio"]["values"]
        if values:
            n = int(SAMPLED_S / statistics.median(values))
            shares[case["name"]] = share_of(venv, case["name"], n)
    print(table(collect(venv), cases, found, shares, arguments.rounds))
    return 0


def share_of(venv, case: str, n: int) -> tuple[float, float] | None:
    """The loop's and the helpers' share of the case on asyncio."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples"
        os.environ[VARIABLE] = str(path)
        try:
            run_child(venv, "asyncio", case, n, LONGEST_S)
        finally:
            del os.environ[VARIABLE]
        return read(path)


def table(facts: dict, cases: list, found: dict, shares: dict, rounds: int) -> str:
    """Markdown: a row a case."""
    versions = facts["versions"]
    lines = [
        f"Python {facts['python']} on {facts['cpu']}, uvloop {versions.get('uvloop')};"
        f" CPU time of a request in µs, median of {rounds} rounds.",
        "",
        "| program | asyncio | uvloop | fastloop | accelerated | of asyncio"
        " | share of the loop | of its helpers |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for case in cases:
        cells = [case["name"]]
        for loop in LOOPS:
            values = found[case["name"]][loop]["values"]
            cells.append(f"{statistics.median(values) * 1e6:.0f}" if values else "n/a")
        cells.append(part(found[case["name"]]))
        share = shares.get(case["name"])
        cells += [f"{100 * one:.0f} %" for one in share] if share else ["n/a"] * 2
        lines.append("| " + " | ".join(cells) + " |")
    reasons = {
        f"{case['name']} on {loop}: {entry['reason']}"
        for case in cases
        for loop, entry in found[case["name"]].items()
        if "reason" in entry
    }
    return "\n".join([*lines, *([""] if reasons else []), *sorted(reasons)])


def part(row: dict) -> str:
    """What fastloop costs of asyncio's: the median of the rounds' ratios."""
    pairs = zip(row["fastloop"]["values"], row["asyncio"]["values"], strict=False)
    ratios = [ours / theirs for ours, theirs in pairs]
    return f"{statistics.median(ratios):.2f}" if ratios else "n/a"


if __name__ == "__main__":
    sys.exit(main())
