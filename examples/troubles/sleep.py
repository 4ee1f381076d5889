"""A handler calls something that sleeps, and all others wait."""

import asyncio
import time

import fastloop


def ask_a_database():
    time.sleep(2)


async def handler():
    while True:
        ask_a_database()
        await asyncio.sleep(0.1)


fastloop.run(handler())
