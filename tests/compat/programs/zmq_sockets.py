"""pyzmq: a request and its answer, and a poll, over TCP."""

import asyncio

import zmq
import zmq.asyncio

from .where import here


async def serve(socket):
    for _ in range(2):
        await socket.send(b"echo: " + await socket.recv())
    return here()


async def main():
    with (
        zmq.asyncio.Context() as context,
        context.socket(zmq.REP) as server,
        context.socket(zmq.REQ) as client,
    ):
        port = server.bind_to_random_port("tcp://127.0.0.1")
        client.connect(f"tcp://127.0.0.1:{port}")
        serving = asyncio.create_task(serve(server))
        answers = []
        for word in (b"one", b"two"):
            await client.send(word)
            assert await client.poll(10_000) == zmq.POLLIN
            answers.append((await client.recv()).decode())
        return await serving, answers
