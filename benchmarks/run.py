"""Measure asyncio, its fast replacements and fastloop side by side.

    python benchmarks/run.py                     everything, on this Python
    python benchmarks/run.py --python 3.14 --cases tasks,timer_churn --quick

Makes a venv of its own in benchmarks/.venv-X.Y, with pinned peers and with fastloop
built from this tree in release mode. Prints a table per room and the losses; a run of
all cases also leaves JSON and markdown in benchmarks/results/.
"""

import argparse
import json
import sys
from pathlib import Path

from harness import BENCHMARKS, progress, report, targets
from harness.facts import collect
from harness.rounds import measure
from harness.venv import SetupError, prepare
from loops import ACCELERATED, LOOPS, PEERS, REFERENCES
from scenarios import CASES, ON_DEMAND, ROOMS

MIN_ROUNDS = 7


def main(argv: list[str] | None = None) -> int:
    """The command."""
    arguments = parse(argv)
    if arguments.load:
        result = json.loads(arguments.load.read_text())
        show(result, arguments.targets)
        return 0
    try:
        cases = choose_cases(arguments.cases)
        named = check_loops(arguments.loops)
        venv = prepare(
            arguments.python,
            with_fastloop=not named or bool({"fastloop", ACCELERATED} & set(named)),
            say=progress,
        )
        loops = named or default_loops(venv.version, cases)
    except SetupError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    for name, reason in venv.missing.items():
        if name in loops:
            loops.remove(name)
            progress(f"without {name}: {reason}")
    rounds = arguments.rounds or (3 if arguments.quick else MIN_ROUNDS)
    result = {
        "facts": collect(venv),
        "rounds": rounds,
        "quick": arguments.quick,
        "loops": loops,
        "cases": [describe(case) for case in cases],
    }
    scale = 0.2 if arguments.quick else 1.0
    result["results"] = measure(
        venv, result["cases"], loops, rounds, scale=scale, say=progress
    )
    show(result, arguments.targets)
    out = arguments.out
    if out is None and not arguments.quick and not arguments.cases:
        out = BENCHMARKS / "results" / f"python-{venv.version}.json"
    if out:
        store(result, out)
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--python", metavar="X.Y", help="version or program; default: this Python")
    add("--cases", metavar="A,B", help="cases or rooms: " + ", ".join(ROOMS))
    add("--loops", metavar="A,B", help="loops: " + ", ".join(LOOPS))
    add("--rounds", type=int, metavar="N", help=f"default {MIN_ROUNDS}, quick 3")
    add("--quick", action="store_true", help="fewer rounds of a fifth of the work")
    add("--out", type=Path, metavar="FILE", help="JSON; .md, .png, .svg beside it")
    add("--targets", action="store_true", help="say which of targets.toml is met")
    add("--load", type=Path, metavar="FILE", help="show a stored result, measure none")
    return parser.parse_args(argv)


def choose_cases(wanted: str | None) -> list:
    """The cases named, singly or by room; by default all but those on demand."""
    if not wanted:
        return [case for case in CASES.values() if case.room not in ON_DEMAND]
    names = wanted.split(",")
    unknown = [name for name in names if name not in CASES and name not in ROOMS]
    if unknown:
        raise SetupError(f"no such case or room: {', '.join(unknown)}")
    return [c for c in CASES.values() if c.name in names or c.room in names]


def check_loops(wanted: str | None) -> list[str]:
    """The loops named, none if none are."""
    loops = wanted.split(",") if wanted else []
    unknown = [loop for loop in loops if loop not in (*LOOPS, *REFERENCES)]
    if unknown:
        raise SetupError(f"no such loop: {', '.join(unknown)}")
    return loops


def default_loops(version: str, cases: list) -> list[str]:
    """asyncio, the peers of that Python, fastloop, and the references of the cases."""
    loops = ["asyncio", *PEERS.get(version, PEERS["3.11"]), "fastloop"]
    wanted = {name for case in cases for name in case.references}
    return loops + [name for name in REFERENCES if name in wanted]


def describe(case) -> dict:
    """What a result file says of a case."""
    return {
        "name": case.name,
        "room": case.room,
        "n": case.n,
        "unit": case.unit,
        "clock": case.clock,
        "references": list(case.references),
        "doc": case.doc,
    }


def show(result: dict, with_targets: bool) -> None:
    """Print the report."""
    print(report.render(result))
    if with_targets:
        print(targets.render(result))


def store(result: dict, out: Path) -> None:
    """Write JSON and markdown."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result) + "\n")
    out.with_suffix(".md").write_text(report.render(result))
    progress(f"wrote {out.name}; now benchmarks/readme.py --pictures quotes it")


if __name__ == "__main__":
    sys.exit(main())
