"""nginx before an aiohttp server on a Unix socket, and an aiohttp client of both."""

import asyncio
import pathlib
import ssl

import aiohttp
from aiohttp import web

from .where import here

BODY = b"0123456789" * 100_000


async def double(request):
    return web.Response(body=2 * await request.read())


async def count(request):
    """A body whose length is not known before, in small pieces."""
    response = web.StreamResponse()
    await response.prepare(request)
    for n in range(100):
        await response.write(b"%d " % n)
        await asyncio.sleep(0)
    return response


async def echo(request):
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    async for message in websocket:
        await websocket.send_str(message.data.upper())
    return websocket


async def ask(session, url):
    """Of the files, of the server behind, and of that again by a web socket."""
    async with session.get(f"{url}/large") as response:
        large = await response.read() == 5 * BODY
    async with session.get(f"{url}/large", headers={"Range": "bytes=9-13"}) as response:
        part = response.status, (await response.read()).decode()
    async with session.get(f"{url}/none") as response:
        none = response.status
    answers = []
    for _ in range(3):
        async with session.post(f"{url}/behind/double", data=BODY) as response:
            answers.append(await response.read() == 2 * BODY)
    async with session.get(f"{url}/behind/count") as response:
        answers.append(len((await response.read()).split()))
    async with session.ws_connect(f"{url}/behind/echo") as websocket:
        for word in "one", "two":
            await websocket.send_str(word)
            answers.append(await websocket.receive_str())
    return [large, *part, none, *answers]


async def main(*, folder, port, tls_port, authority, **_):
    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/behind/double", double)
    app.router.add_get("/behind/count", count)
    app.router.add_get("/behind/echo", echo)
    (pathlib.Path(folder) / "files" / "large").write_bytes(5 * BODY)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, f"{folder}/behind").start()
    context = ssl.create_default_context(cafile=authority)
    connector = aiohttp.TCPConnector(ssl=context)
    try:
        async with (
            asyncio.timeout(45),
            aiohttp.ClientSession(connector=connector) as session,
        ):
            urls = f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls_port}"
            answers = await asyncio.gather(*[ask(session, url) for url in urls])
    finally:
        await runner.cleanup()
    return here(), answers
