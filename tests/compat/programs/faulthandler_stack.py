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
        # Again and again: from its thread it may meet a frame that is just changing.
        faulthandler.dump_traceback_later(0.01, repeat=True, file=file)
        deadline = time.monotonic() + 20
        while path.read_text().count(" in looked_at\n") < 2:
            assert time.monotonic() < deadline
        faulthandler.cancel_dump_traceback_later()
    return here(), path.read_text().count(" in looked_at\n") >= 2


async def main():
    with tempfile.TemporaryDirectory() as folder:
        return await asyncio.create_task(looked_at(Path(folder, "stacks")))
