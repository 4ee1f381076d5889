"""anyio's task groups with eager tasks of the running loop's own kind.

anyio looks into a factory that asyncio made for the class of task that it wants.
"""

import asyncio

import anyio

from .where import here


async def main():
    loop = asyncio.get_running_loop()
    kind = type(loop.create_task(asyncio.sleep(0)))
    loop.set_task_factory(asyncio.create_eager_task_factory(kind))
    seen, answers = [], []

    async def child(number):
        seen.append(here())
        await anyio.sleep(0.001)
        answers.append(number)

    async def start_me(*, task_status):
        task_status.started("started")
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        answers.append(await group.start(start_me))
        group.start_soon(child, 1)
        eager = asyncio.create_task(child(2))
        answers.append(len(seen))
        await eager
        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep_forever()
        answers.append(scope.cancelled_caught)
        group.cancel_scope.cancel()
    return seen[-1], sorted(map(str, answers))


def start(loop_factory):
    return anyio.run(main, backend_options={"loop_factory": loop_factory})
