"""A pattern that takes ages for some input, in C that lets no other thread run."""

import asyncio
import re

import fastloop

WORDS = re.compile(r"(\w+\s?)+$")


async def handler(text):
    while True:
        WORDS.match(text)
        await asyncio.sleep(0.1)


fastloop.run(handler("somebody" * 5 + "!"))
