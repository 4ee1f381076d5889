"""Run examples/demo.py on asyncio, on fastloop and accelerated, in turns, and compare.

    python examples/compare.py [--rounds N]

Accelerated is fastloop with asyncio's own helpers (gather, sleep, locks, queues, ...)
in C as well. Prints which loop each run was on and whose Queue it used, checks that all
gave the same results, and shows the median seconds of each part side by side. Exits 1
if results differ or a run was on the wrong loop. Times of one run on one machine:
benchmarks/ measures with care.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

DEMO = pathlib.Path(__file__).resolve().with_name("demo.py")
# What goes between `python` and the demo; whose loop, and whose Queue, it must be.
WAYS = {
    "asyncio": ([], "asyncio", "asyncio"),
    "fastloop": (["-m", "fastloop"], "fastloop", "asyncio"),
    "accelerated": (["-m", "fastloop", "--accelerate"], "fastloop", "fastloop"),
}


def run(way):
    """Run the demo one way and return its report."""
    door, loop, queue = WAYS[way]
    done = subprocess.run(
        [sys.executable, *door, str(DEMO)],
        cwd=DEMO.parent.parent,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    if done.returncode:
        sys.exit(f"{way}: the demo ended with status {done.returncode}")
    report = json.loads(done.stdout)
    used = report["loop"], report["queue"]
    if tuple(name.split(".")[0] for name in used) != (loop, queue):
        sys.exit(f"{way}: the demo ran on {used[0]}, with {used[1]}")
    return report


def medians(reports, part):
    """Median seconds of a part for each way: a list of wall clock, a list of CPU."""
    return [
        [statistics.median(r["seconds"][part][kind] for r in reports[w]) for w in WAYS]
        for kind in ("wall", "cpu")
    ]


def show(reports):
    """Print a table of medians: a row for each part, the ways side by side."""
    names = "".join(f"{way:>12}" for way in WAYS)
    print(f"\n{'seconds':10}{'wall clock':^36}{'CPU':^36}{'asyncio : CPU of':>24}")
    print(f"{'':10}{names}{names}{'fastloop':>12}{'accelerated':>12}")
    for part in reports["asyncio"][0]["seconds"]:
        wall, cpu = medians(reports, part)
        figures = "".join(f"{figure:12.3f}" for figure in wall + cpu)
        busy = min(cpu) >= 0.005
        ratios = [f"{cpu[0] / other:.2f}" if busy else "-" for other in cpu[1:]]
        print(f"{part:10}{figures}{ratios[0]:>12}{ratios[1]:>12}")
    print("The last columns are ratios of CPU times: above 1, asyncio needs more.")


def main():
    parser = argparse.ArgumentParser(description="Compare the three ways.")
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    reports = {way: [] for way in WAYS}
    for number in range(rounds):
        for way in WAYS:
            report = run(way)
            reports[way].append(report)
            print(
                f"round {number + 1}: {way:11} ran on {report['loop']},"
                f" with {report['queue']}",
                flush=True,
            )
    first = reports["asyncio"][0]
    for report in [report for way in WAYS for report in reports[way]]:
        if report["digest"] != first["digest"]:
            sys.exit(f"the results differ:\n{first}\n{report}")
    print(f"\nPython {first['python']}. The results of all runs are the same:")
    for part, result in first["results"].items():
        print(f"  {part}: {json.dumps(result)}")
    show(reports)


if __name__ == "__main__":
    main()
