"""A file written and read by aiofiles."""

import asyncio
import tempfile

import aiofiles


async def main():
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/file"
        async with aiofiles.open(path, "w") as file:
            await file.write("some text")
        async with aiofiles.open(path) as file:
            return type(asyncio.get_running_loop()), await file.read()
