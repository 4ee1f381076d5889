"""Sanic, one process, as a server on the running loop."""

import asyncio
import socket

from sanic import Sanic
from sanic.response import text

from .where import here

seen = []


async def main():
    Sanic.test_mode = True
    app = Sanic("here", configure_logging=False)

    @app.get("/")
    async def hello(request):
        await asyncio.sleep(0.001)
        seen.append(here())
        return text("hello sanic")

    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    server = await app.create_server(sock=listener, return_asyncio_server=True)
    await server.startup()
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    server.close()
    await server.wait_closed()
    return seen[0], answer.rpartition(b"\r\n")[2].decode()
