"""anyio's task groups on a loop with asyncio.eager_task_factory.

anyio takes the class out of it, so its own tasks are asyncio's on every loop.
"""

import asyncio

import anyio

from .where import here


async def main():
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    seen, answers = [], []

    async def child(number):
        seen.append(here())
        await anyio.sleep(0.001)
        answers.append(number)

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(child, number)
    return seen[0], answers


def start(loop_factory):
    return anyio.run(main, backend_options={"loop_factory": loop_factory})
