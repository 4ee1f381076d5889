"""Another server takes its time to answer."""

import asyncio

import fastloop


async def answer(reader, writer):
    await asyncio.sleep(3600)


async def ask(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"how much?\n")
    return await reader.readline()


async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await asyncio.gather(ask(port), ask(port))


fastloop.run(main())
