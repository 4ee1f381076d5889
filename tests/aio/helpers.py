"""Coroutines to wait for."""

import asyncio
import sys


async def turns(number=3):
    for _ in range(number):
        await asyncio.sleep(0)


async def value(result, after=0):
    await turns(after)
    return result


async def fail(error, after=0):
    await turns(after)
    raise error


async def reversed_by_a_child(text):
    """The child process, ended, and what it wrote: the text back to front."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(input()[::-1])",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate(text + b"\n")
    return process, out.strip()


async def pauses_at_its_limit(reader, writer, out):
    """Assert that a reader whose limit is 100 holds up who writes more to it."""
    out.write(bytes(201))
    while len(reader._buffer) < 201:
        await asyncio.sleep(0)
    assert reader._paused
    assert not writer.transport.is_reading()
    assert await reader.readexactly(101) == bytes(101)
    assert not reader._paused
    out.write(bytes(500))
    assert await reader.readexactly(600) == bytes(600)
