"""Everybody waits for a lock, and who has it waits for something slow."""

import asyncio

import fastloop


async def writer(lock):
    async with lock:
        await asyncio.sleep(3600)


async def reader(lock):
    async with lock:
        pass


async def main():
    lock = asyncio.Lock()
    async with asyncio.TaskGroup() as group:
        group.create_task(writer(lock), name="writer")
        for number in range(3):
            group.create_task(reader(lock), name=f"reader {number}")


fastloop.run(main())
