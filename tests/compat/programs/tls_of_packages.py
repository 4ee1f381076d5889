"""aiohttp, websockets, uvicorn and httpx over TLS, beside pyOpenSSL's OpenSSL."""

import asyncio
import contextlib
import ssl

import aiohttp
import httpx
import OpenSSL.SSL
import trustme
import uvicorn
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from .where import here

BODY = b"0123456789" * 20_000


def contexts():
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


async def by_aiohttp(server, client):
    async def double(request):
        return web.Response(body=2 * await request.read())

    app = web.Application(client_max_size=1 << 20)
    app.router.add_post("/", double)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server).start()
        host, port = runner.addresses[0]
        async with aiohttp.ClientSession() as session:
            for _ in range(3):
                url = f"https://{host}:{port}/"
                async with session.post(url, data=BODY, ssl=client) as response:
                    assert await response.read() == 2 * BODY
    finally:
        await runner.cleanup()


async def by_websockets(server, client):
    async def echo(websocket):
        async for message in websocket:
            await websocket.send(message)

    async with serve(echo, "127.0.0.1", 0, ssl=server) as listening:
        host, port = listening.sockets[0].getsockname()
        async with connect(f"wss://{host}:{port}/", ssl=client) as websocket:
            for message in "hi", BODY:
                await websocket.send(message)
                assert await websocket.recv() == message


async def application(scope, receive, send):
    assert scope["scheme"] == "https"
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": BODY})


async def by_uvicorn_and_httpx(server, client):
    config = uvicorn.Config(application, port=0, log_level="error", lifespan="off")
    config.load()
    config.ssl = server
    serving = uvicorn.Server(config)
    serving.capture_signals = contextlib.nullcontext
    task = asyncio.create_task(serving.serve())
    while not serving.started:
        await asyncio.sleep(0.001)
    port = serving.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(verify=client, trust_env=False) as session:
        for _ in range(3):
            response = await session.post(f"https://127.0.0.1:{port}/", content=BODY)
            assert response.content == BODY
    serving.should_exit = True
    await task


async def main():
    with contextlib.suppress(OpenSSL.SSL.Error):  # leaves errors of its own behind
        OpenSSL.SSL.Context(OpenSSL.SSL.TLS_METHOD).use_certificate_file("/nowhere")
    found = contexts()
    for each in by_aiohttp, by_websockets, by_uvicorn_and_httpx:
        async with asyncio.timeout(30):
            await each(*found)
    return here(), "all"
