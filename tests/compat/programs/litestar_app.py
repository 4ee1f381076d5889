"""Litestar with its test client."""

import asyncio

from litestar import Litestar, get
from litestar.testing import TestClient

from .where import here

seen = []


@get("/double/{number:int}")
async def double(number: int) -> dict[str, int]:
    await asyncio.sleep(0.001)
    seen.append(here())
    return {"doubled": number * 2}


def start(loop_factory):
    options = {"loop_factory": loop_factory}
    with TestClient(Litestar([double]), backend_options=options) as client:
        answer = client.get("/double/21").json()
    return seen[0], answer
