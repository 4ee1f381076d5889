"""How much of a program's CPU time asyncio's loop takes, by sampling.

A signal comes with the kernel's ticks of CPU time, 100 to 1000 a second; the line of
Python that it finds is the loop's if it is in one of the loop's modules. A call of C
counts for the line that made it: a `send` in asyncio's transport is the loop's.
"""

import atexit
import os
import signal
from pathlib import Path

VARIABLE = "BENCHMARK_SHARE"  # names the file to leave the samples in
EVERY_S = 0.001
KEPT = 10  # the file is written anew after so many samples
FEW = 50  # of which no share is told
LOOP = {
    "base_events",
    "base_subprocess",
    "constants",
    "events",
    "futures",
    "runners",
    "selector_events",
    "selectors",
    "sslproto",
    "transports",
    "trsock",
    "unix_events",
}


def start(path: str | None = None) -> None:
    """Sample this process from now on, if a file for it is named."""
    path = path or os.environ.get(VARIABLE)
    if not path:
        return
    counts = {"all": 0, "loop": 0, "helpers": 0}
    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def sample(_signal, frame):
        counts["all"] += 1
        kind = kind_of(frame.f_code.co_filename)
        if kind:
            counts[kind] += 1
        if counts["all"] % KEPT == 0:
            text = " ".join(map(str, counts.values()))
            os.pwrite(out, text.ljust(60).encode(), 0)

    signal.signal(signal.SIGPROF, sample)
    signal.siginterrupt(signal.SIGPROF, False)
    signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)
    # without a handler, which Python takes back at its end, the signal would kill
    atexit.register(signal.setitimer, signal.ITIMER_PROF, 0)


def kind_of(filename: str) -> str:
    """`loop`, `helpers`, or nothing for what is not asyncio's."""
    path = Path(filename)
    if path.stem in LOOP and (
        path.parent.name == "asyncio" or path.stem == "selectors"
    ):
        return "loop"
    return "helpers" if path.parent.name == "asyncio" else ""


def read(path: Path) -> tuple[float, float] | None:
    """The loop's and the helpers' share; None if there are too few samples."""
    try:
        every, loop, helpers = map(int, path.read_text().split())
    except (OSError, ValueError):
        return None
    return (loop / every, helpers / every) if every >= FEW else None
