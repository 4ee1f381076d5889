"""unittest's own asyncio test case."""

import asyncio
import io
import sys
import unittest

from .where import here

seen = []


class Case(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.event = asyncio.Event()

    async def test_waits(self):
        seen.append(here())
        asyncio.get_running_loop().call_soon(self.event.set)
        await self.event.wait()


def choose(loop_factory):
    if sys.version_info >= (3, 13):
        Case.loop_factory = staticmethod(loop_factory)
    elif loop_factory is not asyncio.SelectorEventLoop:
        import fastloop

        fastloop.install()


def start(loop_factory):
    choose(loop_factory)
    stream = io.StringIO()
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(Case)
    unittest.TextTestRunner(stream).run(suite)
    return seen[0], stream.getvalue().splitlines()[-1]
