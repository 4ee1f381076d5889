"""redis.asyncio with a server of this program's own that knows two commands."""

import asyncio

import redis.asyncio

from .where import here

stored = {}
seen = []


async def read_command(reader):
    count = int((await reader.readline())[1:])
    parts = []
    for _ in range(count):
        size = int((await reader.readline())[1:])
        parts.append((await reader.readexactly(size + 2))[:-2])
    return parts


async def serve(reader, writer):
    try:
        while True:
            match await read_command(reader):
                case [b"SET", key, value, *_]:
                    seen.append(here())
                    stored[key] = value
                    writer.write(b"+OK\r\n")
                case [b"GET", key]:
                    value = stored[key]
                    writer.write(b"$%d\r\n%b\r\n" % (len(value), value))
                case _:
                    writer.write(b"-ERR unknown command\r\n")
            await writer.drain()
    except (ValueError, asyncio.IncompleteReadError):
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    _, port = server.sockets[0].getsockname()
    async with redis.asyncio.Redis(host="127.0.0.1", port=port, protocol=2) as client:
        done = await client.set("key", "value" * 1000)
        values = await asyncio.gather(*[client.get("key") for _ in range(5)])
        await client.connection_pool.disconnect()
    server.close()
    return seen[0], [done, [len(value) for value in values]]
