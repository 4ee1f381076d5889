"""An aiohttp server and client."""

import aiohttp
from aiohttp import web

from .where import here


async def main():
    seen = []

    async def hello(request):
        seen.append(here())
        return web.Response(text=f"hello {request.match_info['name']}")

    app = web.Application()
    app.router.add_get("/{name}", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        url = f"http://{host}:{port}/aiohttp"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return seen[0], await response.text()
    finally:
        await runner.cleanup()
