"""Tests on the production loop: time that is virtual.

    async def test():
        await asyncio.sleep(86400)      # takes no time

    fastloop.testing.run(test())

The loop is fastloop's own; its clock jumps to the next timer when nothing else can
happen. See docs/testing.md.
"""

from ._test_loop import (
    EndReachedError,
    StuckError,
    TestLoop,
    new_test_loop,
    run,
)

__all__ = [
    "EndReachedError",
    "StuckError",
    "TestLoop",
    "new_test_loop",
    "run",
]
