"""hypercorn inside a program's own loop."""

import asyncio
import socket

from hypercorn.asyncio import serve
from hypercorn.config import Config

from .where import here

seen = []


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    seen.append(here())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello hypercorn"})


async def main():
    listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    stop.set()
    await serving
    return seen[0], "hello hypercorn" if b"hello hypercorn" in answer else str(answer)
