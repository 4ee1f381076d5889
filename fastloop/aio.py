"""asyncio, with what fastloop has of it in C in its place.

    from fastloop import aio as asyncio

Everything that asyncio has is here under its name. Lock, Event, Condition,
Semaphore, BoundedSemaphore, Queue, PriorityQueue and LifoQueue are subclasses of
asyncio's, written in C, and so are TaskGroup, Timeout, StreamReader, StreamWriter and
StreamReaderProtocol;
sleep, timeout, timeout_at, wait_for, as_completed, gather, shield and wait are in C,
too. The rest is asyncio's own. They run on every event loop.
"""

import asyncio
import sys
from typing import Any

from . import _accelerate

__all__ = list(asyncio.__all__)

# What asyncio gives only to who asks for it (policies, from 3.14 on, with a warning)
# is left to __getattr__.
globals().update(
    (name, value) for name, value in vars(asyncio).items() if not name.startswith("__")
)
globals().update(
    (name, _accelerate.ours(name))
    for names in _accelerate._NAMES.values()
    for name in names
)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):  # this is no package, though asyncio is one
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(sys.modules["asyncio"], name)


def __dir__() -> list[str]:
    return sorted({*globals(), *dir(asyncio)})
