"""grpc.aio: a unary and a streaming call of bytes."""

import asyncio

import grpc

from .where import here

seen = []


async def echo(request, context):
    seen.append(here())
    await asyncio.sleep(0.001)
    return b"echo: " + request


async def count(request, context):
    for number in range(int(request)):
        await asyncio.sleep(0)
        yield str(number).encode()


async def main():
    server = grpc.aio.server()
    handlers = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo),
        "Count": grpc.unary_stream_rpc_method_handler(count),
    }
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("Test", handlers)]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = await channel.unary_unary("/Test/Echo")(b"hi")
        numbers = [n async for n in channel.unary_stream("/Test/Count")(b"3")]
    await server.stop(None)
    return seen[0], [answer.decode(), b"".join(numbers).decode()]
