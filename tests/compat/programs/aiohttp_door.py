"""An aiohttp application that says what it runs on."""

import asyncio
import os

from aiohttp import web


async def where(request):
    loop_class = type(asyncio.get_running_loop())
    name = f"{loop_class.__module__}.{loop_class.__qualname__}"
    return web.json_response({"loop": name, "pid": os.getpid()})


def make_app(argv=None):
    app = web.Application()
    app.add_routes([web.get("/", where)])
    return app
