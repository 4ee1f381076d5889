"""A websockets server and client."""

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from .where import here


async def main():
    seen = []

    async def echo(websocket):
        seen.append(here())
        async for message in websocket:
            await websocket.send(f"echo: {message}")

    async with serve(echo, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with connect(f"ws://{host}:{port}/") as websocket:
            await websocket.send("hi")
            return seen[0], await websocket.recv()
