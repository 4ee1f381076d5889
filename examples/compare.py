"""Run examples/demo.py on asyncio and on fastloop, in turns, and compare.

    python examples/compare.py [--rounds N]

Prints which loop each run was on, checks that all gave the same results, and shows
the median seconds of each part side by side. Exits 1 if results differ or a run was
on the wrong loop. Times of one run on one machine: benchmarks/ measures with care.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

DEMO = pathlib.Path(__file__).resolve().with_name("demo.py")
WAYS = {"asyncio": [], "fastloop": ["-m", "fastloop"]}


def run(way):
    """Run the demo one way and return its report."""
    done = subprocess.run(
        [sys.executable, *WAYS[way], str(DEMO)],
        cwd=DEMO.parent.parent,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    if done.returncode:
        sys.exit(f"{way}: the demo ended with status {done.returncode}")
    report = json.loads(done.stdout)
    if report["loop"].split(".")[0] != way:
        sys.exit(f"{way}: the demo ran on {report['loop']}")
    return report


def show(reports):
    """Print a table of medians: a row for each part, both loops side by side."""
    print(f"\n{'seconds':12}{'wall clock':^22}{'CPU':^22}{'asyncio /':>10}")
    print(f"{'':12}" + f"{'asyncio':>11}{'fastloop':>11}" * 2 + f"{'fastloop':>10}")
    for part in reports["asyncio"][0]["seconds"]:
        plain, ours = (
            {
                kind: statistics.median(r["seconds"][part][kind] for r in reports[way])
                for kind in ("wall", "cpu")
            }
            for way in WAYS
        )
        figures = plain["wall"], ours["wall"], plain["cpu"], ours["cpu"]
        busy = min(figures[2:]) >= 0.005
        ratio = f"{plain['cpu'] / ours['cpu']:.2f}" if busy else "-"
        columns = "".join(f"{figure:11.3f}" for figure in figures)
        print(f"{part:12}{columns}{ratio:>10}")
    print("The last column is the ratio of CPU times: above 1, fastloop needs less.")


def main():
    parser = argparse.ArgumentParser(description="Compare the two loops.")
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    reports = {way: [] for way in WAYS}
    for number in range(rounds):
        for way in WAYS:
            report = run(way)
            reports[way].append(report)
            print(f"round {number + 1}: {way:8} ran on {report['loop']}", flush=True)
    first = reports["asyncio"][0]
    for report in reports["asyncio"] + reports["fastloop"]:
        if report["digest"] != first["digest"]:
            sys.exit(f"the results differ:\n{first}\n{report}")
    print(f"\nPython {first['python']}. The results of all runs are the same:")
    for part, result in first["results"].items():
        print(f"  {part}: {json.dumps(result)}")
    show(reports)


if __name__ == "__main__":
    main()
