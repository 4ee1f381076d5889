"""pdb in a task: it stops, shows the task and its stack, steps on and goes on."""

import asyncio
import io
import pdb

from .where import here

COMMANDS = """\
p type(task).__name__
p number
next
next
p number
continue
"""


async def waits():
    await asyncio.sleep(0.001)
    return 5


async def debugged(debugger):
    task = asyncio.current_task()
    number = 1
    debugger.set_trace()
    number += await waits()
    number += 0
    return task.get_name(), number


async def main():
    output = io.StringIO()
    debugger = pdb.Pdb(stdin=io.StringIO(COMMANDS), stdout=output, nosigint=True)
    debugger.use_rawinput = False
    result = await asyncio.create_task(debugged(debugger), name="debugged")
    text = output.getvalue()
    shown = [word for word in ("'Task'", "\n(Pdb) 1\n", "\n(Pdb) 6\n") if word in text]
    return here(), [*result, len(shown)]
