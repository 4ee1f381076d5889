"""Fails if expected.py takes out a test that an outside judge of loops runs.

    python compare_with_judge.py JUDGE.py [--loop fastloop]

JUDGE.py --loop NAME --list prints JSON whose "runs" is {"module::Class": [methods]}.
"""

import argparse
import json
import subprocess
import sys

import suite

# The judge's names for the tests with the package's own Task and Future.
OWN_TYPES = {
    "types-own": "own_types",
    "types-foreign": "own_types_on_test_loop",
    "PkgTask_PkgFuture": "Task_Future",
    "PkgTask_CFuture": "Task_StockFuture",
    "CTask_PkgFuture": "StockTask_Future",
    "PkgTask_PkgFuture_Subclass": "Task_Future_Subclass",
    "PkgFutureTests": "Future",
    "PkgSubFutureTests": "Future_Subclass",
    "PkgFutureDoneCallback": "Future_DoneCallback",
    "PkgFutureInheritance": "Future_Inheritance",
    "PkgFutures2": "Task_Traceback",
    "PkgEagerTaskFactory": "EagerFactory",
    "PkgNonEager": "NotEager",
    "PkgEager": "Eager",
}


def judged(judge, loop_name):
    """The names of the tests that the judge runs, as this suite has them."""
    command = [sys.executable, judge, "--loop", loop_name, "--list"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    runs = json.loads(done.stdout)["runs"]
    for group, methods in runs.items():
        parts = [OWN_TYPES.get(part, part) for part in group.split("::")]
        for method in methods:
            yield ".".join([*parts, method])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("judge")
    parser.add_argument("--loop", default="fastloop")
    options = parser.parse_args()
    names = list(judged(options.judge, options.loop))
    cases = suite.collect(options.loop)
    wrong = []
    for name in names:
        case = cases.get(name)
        if case is None:
            wrong.append(f"{name}: not in this suite")
        elif case.left_out or case.fails:
            wrong.append(f"{name}: {case.left_out or case.fails}")
    print(*wrong, sep="\n", end="\n" if wrong else "")
    print(f"the judge runs {len(names)} tests, {len(wrong)} of them are not run here")
    return 1 if wrong or not names else 0


if __name__ == "__main__":
    sys.exit(main())
