"""faulthandler, at once and from its timer: the coroutine is on the stack."""

import asyncio
import faulthandler
import tempfile
import time
from pathlib import Path

from .where import here


async def looked_at(path):
    with path.open("a") as file:
        faulthandler.dump_traceback(file)
        # It looks from a thread of its own, without the GIL, and crashes at a frame
        # that is just changing: they rest meanwhile.
        faulthandler.dump_traceback_later(0.05, repeat=True, file=file)
        deadline = time.monotonic() + 20
        while path.read_text().count(" in looked_at\n") < 2:
            time.sleep(0.12)
            assert time.monotonic() < deadline
        faulthandler.cancel_dump_traceback_later()
    return here(), path.read_text().count(" in looked_at\n") >= 2


async def main():
    with tempfile.TemporaryDirectory() as folder:
        return await asyncio.create_task(looked_at(Path(folder, "stacks")))
