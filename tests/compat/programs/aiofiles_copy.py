"""A file written and read by aiofiles."""

import tempfile

import aiofiles

from .where import here


async def main():
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/file"
        async with aiofiles.open(path, "w") as file:
            await file.write("some text")
        async with aiofiles.open(path) as file:
            return here(), await file.read()
