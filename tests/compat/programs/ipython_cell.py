"""IPython: a cell that awaits, in a shell on the running loop."""

from IPython.core.interactiveshell import InteractiveShell

from .where import here

CELL = """\
import asyncio
await asyncio.sleep(0.001)
classes = here()
answer = await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2))
"""


async def main():
    shell = InteractiveShell.instance(user_ns={"here": here})
    result = await shell.run_cell_async(
        CELL, store_history=False, transformed_cell=shell.transform_cell(CELL)
    )
    result.raise_error()
    return shell.user_ns["classes"], shell.user_ns["answer"]
