"""What the faults are tried on: the whole API. Each program runs as a function.

Beside the leak tests' scenarios, what those leave out, mostly ways to go wrong. A
program may return a list of what went wrong.
"""

from tests.injection import (
    conditions,
    detours,
    loops,
    outliving,
    rarely,
    sockets,
    streams,
    tasks,
    transports,
    waiting,
    watching,
)
from tests.injection.registry import PROGRAMS

__all__ = [
    "PROGRAMS",
    "conditions",
    "detours",
    "loops",
    "outliving",
    "rarely",
    "sockets",
    "streams",
    "tasks",
    "transports",
    "waiting",
    "watching",
]
