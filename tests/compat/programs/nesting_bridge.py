"""A server whose handlers call a plain function, which calls asyncio.run()."""

import asyncio

import nest_asyncio2

from .where import here


async def look_up(key):
    await asyncio.sleep(0.001)
    return key.upper()


def bridge(key):
    """What many a library does for who is not asynchronous."""
    return asyncio.run(look_up(key))


async def handle(reader, writer):
    while line := await reader.readline():
        writer.write(bridge(line))
    writer.close()


async def ask(address, n):
    reader, writer = await asyncio.open_connection(*address)
    answers = []
    for i in range(20):
        writer.write(f"n{n} {i}\n".encode())
        answers.append((await reader.readline()).decode().strip())
    writer.close()
    return answers == [f"N{n} {i}" for i in range(20)]


async def main():
    classes = here()
    nest_asyncio2.apply()
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    async with server:
        right = await asyncio.gather(*(ask(address, n) for n in range(10)))
    return classes, sum(right)
