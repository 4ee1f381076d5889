"""Measure the timers and the ready ring by themselves, in C, in nanoseconds.

    python benchmarks/containers.py

Needs the compiler that builds the extension and nothing else. See c/containers.c for
what is done.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent
CSRC = BENCHMARKS.parent / "csrc"
OPTIONS = ["-std=c11", "-D_GNU_SOURCE", "-O3", f"-I{CSRC}"]


def main() -> int:
    """The command."""
    sources = [BENCHMARKS / "c" / "containers.c", *sorted(CSRC.glob("base/*.c"))]
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "containers"
        command = ["cc", *OPTIONS, *map(str, sources), "-o", str(program), "-lm"]
        try:
            subprocess.run(command, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"containers: could not compile: {error}", file=sys.stderr)
            return 2
        return subprocess.run([str(program)]).returncode


if __name__ == "__main__":
    sys.exit(main())
