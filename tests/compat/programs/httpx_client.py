"""httpx against a server of two lines."""

import asyncio

import httpx

from .where import here

RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\nhello httpx"
)


async def main():
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(RESPONSE)
        await writer.drain()
        writer.close()

    async def note(response):
        seen.append(here())

    seen = []
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        hooks = {"response": [note]}
        async with httpx.AsyncClient(event_hooks=hooks, trust_env=False) as client:
            response = await client.get(f"http://{host}:{port}/")
    return seen[0], response.text
