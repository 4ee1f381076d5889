"""The event loop policy: the API for choosing a loop that ends with Python 3.15."""

import sys
from typing import TYPE_CHECKING

from ._run import new_event_loop

if TYPE_CHECKING or sys.version_info < (3, 14):
    from asyncio import DefaultEventLoopPolicy as _BasePolicy
    from asyncio import set_event_loop_policy as _set_policy
else:
    # The same two without a DeprecationWarning, which is fastloop.__getattr__'s to
    # give, and which `python -m fastloop` must not give at all.
    from asyncio.events import _BaseDefaultEventLoopPolicy as _BasePolicy
    from asyncio.events import _set_event_loop_policy as _set_policy


class EventLoopPolicy(_BasePolicy):
    """asyncio's default policy, making fastloop's loops.

    So is the loop that asyncio.get_event_loop() makes in the main thread (up to 3.13).
    Child watchers (up to 3.13) are asyncio's.
    """

    _loop_factory = staticmethod(new_event_loop)


EventLoopPolicy.__module__ = "fastloop"


def install() -> None:
    """Make every loop that asyncio's functions make from now on a fastloop one.

    It sets the event loop policy. That does not reach who names a loop's class or a
    loop factory (asyncio.SelectorEventLoop(), Runner(loop_factory=...), uvicorn,
    uvloop's functions), who sets another policy later, nor processes that
    multiprocessing starts afresh. `python -m fastloop` reaches them all.
    """
    _set_policy(EventLoopPolicy())
