"""Run the scenarios and the tests of tests/core under valgrind.

    python tests/leaks/valgrind.py

Fails on an error that fastloop's code is part of. AddressSanitizer sees only what was
compiled with it. valgrind also sees what the interpreter and libc do with our memory,
and the use of what was never set.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIMES = 2
SCENARIOS = f"""
import contextlib, os, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.leaks.scenarios import SCENARIOS
for name, scenario in SCENARIOS.items():
    with open(os.devnull, "w") as null, contextlib.redirect_stderr(null):
        for _ in range({TIMES}):
            scenario()
print(len(SCENARIOS), "scenarios, {TIMES} times each")
"""
# Everything takes some twenty times as long.
PYTEST = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "timeout=300"]
PYTEST += ["-o", "faulthandler_timeout=0", "-k", "not asyncios", "tests/core"]


def run(*arguments):
    """Python under valgrind: its exit status, its output, and errors that are ours."""
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder, "valgrind.log")
        done = subprocess.run(
            [
                *("valgrind", "--leak-check=no", "--num-callers=40"),
                *("--fullpath-after=", "--child-silent-after-fork=yes"),
                *(f"--log-file={log}", sys.executable, *arguments),
            ],
            cwd=ROOT,
            env=os.environ
            | {"PYTHONMALLOC": "malloc", "FASTLOOP_TESTS_FASTLOOP_ONLY": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        # Blank lines part the errors; valgrind starts each line with the process.
        errors = re.sub(r"^==\d+== ?", "", log.read_text(), flags=re.M).split("\n\n")
    # What Python code runs under our frames is not ours.
    ours = [
        error
        for error in errors
        if "/csrc/" in error.partition(": _PyEval_EvalFrameDefault ")[0]
    ]
    return done.returncode, done.stdout.strip(), ours


def main():
    failed = False
    totals = []
    for arguments in (["-c", SCENARIOS], PYTEST):
        status, output, errors = run(*arguments)
        print(output, *errors, sep="\n\n", flush=True)
        last = (output.splitlines() or ["nothing ran"])[-1]
        totals.append(f"{last}: {len(errors)} errors")
        failed = failed or status != 0 or errors
    print("; ".join(totals))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
