"""Tests on the production loop: virtual time, seeded order, and what is left behind.

    async def test():
        await asyncio.sleep(86400)      # takes no time

    fastloop.testing.run(test())

The loop is fastloop's own; its clock jumps to the next timer when nothing else can
happen. See docs/testing.md.
"""

from ._blocks import BlockedError, blocks
from ._leaks import CheckLeaks, Leak, LeakError, leaks
from ._order import cancel_at, every_await, explore
from ._test_loop import (
    EndReachedError,
    StuckError,
    TestLoop,
    new_test_loop,
    run,
)

__all__ = [
    "BlockedError",
    "CheckLeaks",
    "EndReachedError",
    "Leak",
    "LeakError",
    "StuckError",
    "TestLoop",
    "blocks",
    "cancel_at",
    "every_await",
    "explore",
    "leaks",
    "new_test_loop",
    "run",
]
