"""A Sanic application that says what it runs on."""

import asyncio
import os

from sanic import Sanic
from sanic.response import json

app = Sanic("door", configure_logging=False)


@app.get("/")
async def where(request):
    loop_class = type(asyncio.get_running_loop())
    name = f"{loop_class.__module__}.{loop_class.__qualname__}"
    return json({"loop": name, "pid": os.getpid()})
