"""Run every scenario under valgrind; fail on an error that fastloop's code is part of.

    python tests/leaks/valgrind.py

AddressSanitizer sees only what was compiled with it. valgrind also sees what the
interpreter and libc do with our memory, and the use of what was never set.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TIMES = 2
RUN = f"""
import contextlib, os, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.leaks.scenarios import SCENARIOS
for name, scenario in SCENARIOS.items():
    with open(os.devnull, "w") as null, contextlib.redirect_stderr(null):
        for _ in range({TIMES}):
            scenario()
print(len(SCENARIOS))
"""


def main():
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder, "valgrind.log")
        done = subprocess.run(
            [
                *(
                    "valgrind",
                    "--leak-check=no",
                    "--num-callers=40",
                    "--fullpath-after=",
                ),
                *("--child-silent-after-fork=yes", f"--log-file={log}"),
                *(sys.executable, "-c", RUN),
            ],
            env=os.environ | {"PYTHONMALLOC": "malloc"},
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
    for error in ours:
        print(error, end="\n\n")
    ran = done.stdout.strip() or "no"
    print(f"{ran} scenarios, {TIMES} times each: {len(ours)} errors")
    return 1 if ours or done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
