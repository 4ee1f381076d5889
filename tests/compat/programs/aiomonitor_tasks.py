"""aiomonitor's task factory and its console."""

import asyncio

import aiomonitor

from .where import here


async def named():
    await asyncio.sleep(0.001)
    return here()


async def main():
    loop = asyncio.get_running_loop()
    with aiomonitor.start_monitor(
        loop, port=0, webui_port=0, console_enabled=False, hook_task_factory=True
    ):
        task = asyncio.create_task(named())
        loop_class = await task
        return loop_class, type(task).__module__.startswith("aiomonitor")
