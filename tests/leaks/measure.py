"""Run scenarios over and over and tell whether anything grows.

    python tests/leaks/measure.py [NAME ...]

On a debug build of Python (python3.14d, from tools/on_python.sh) every reference is
counted; on any Python the objects that the collector knows, the allocated blocks of
memory and the open file descriptors.
"""

import contextlib
import gc
import itertools
import os
import pathlib
import sys

WARM_UP = 2  # caches and freelists fill
ROUNDS = 5
REPEATS = 50

# The cache of method look-ups keeps the names that C code made for one look-up, up
# to some thousands: they are no leak, and would hide one.
clear_caches = getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache


def counts():
    """What may grow, by name."""
    clear_caches()
    gc.collect()
    found = {
        "objects": len(gc.get_objects()),
        "blocks": sys.getallocatedblocks(),
        "fds": len(os.listdir("/proc/self/fd")),
    }
    if hasattr(sys, "gettotalrefcount"):
        found["references"] = sys.gettotalrefcount()
    return found


def growth(scenario):
    """What a scenario makes grow in every round, and by how much in all."""
    # Filled beforehand, so that keeping the numbers does not look like growth.
    history = [counts() for _ in range(WARM_UP + ROUNDS + 1)]
    for found in history[1:]:
        for _ in range(REPEATS):
            scenario()
        found.update(counts())
    grew = {}
    for name in history[0]:
        values = [found[name] for found in history[WARM_UP:]]
        if all(before < after for before, after in itertools.pairwise(values)):
            grew[name] = values[-1] - values[0]
    return grew


def main(names):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
    from tests.leaks.scenarios import SCENARIOS

    status = 0
    for name in names or SCENARIOS:
        with open(os.devnull, "w") as null, contextlib.redirect_stderr(null):
            grew = growth(SCENARIOS[name])
        if grew:
            status = 1
        print(name, grew or "flat", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
