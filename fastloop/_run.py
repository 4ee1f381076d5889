"""fastloop.run and the loop factory."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ._loop import Loop

_T = TypeVar("_T")

# Set by `python -m fastloop --debug`, for every loop made here from then on.
_debug_loops = False


def new_event_loop() -> Loop:
    """Return a new, open event loop: what `loop_factory=` wants.

    It is not made the current loop.  Raises OSError when out of file descriptors.
    """
    loop = Loop()
    if _debug_loops:
        loop.set_debug(True)
    return loop


def run(
    main: Coroutine[Any, Any, _T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = new_event_loop,
) -> _T:
    """Run a coroutine on a new fastloop loop, then close it: asyncio.run for fastloop.

    debug: as for asyncio.run.  loop_factory: makes the loop; None means asyncio's own.
    Returns or raises what main does, and RuntimeError inside a running loop.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError(
            "fastloop.run() cannot be called from a running event loop: there, await"
            " the coroutine"
        )
    if sys.version_info >= (3, 12):
        return asyncio.run(main, debug=debug, loop_factory=loop_factory)
    with asyncio.Runner(debug=debug, loop_factory=loop_factory) as runner:
        return runner.run(main)
