"""Tasks are made and never end."""

import asyncio

import fastloop


async def notify(answered):
    await answered.wait()


async def main():
    kept = []
    while True:
        kept.append(asyncio.create_task(notify(asyncio.Event())))
        await asyncio.sleep(0.01)


fastloop.run(main())
