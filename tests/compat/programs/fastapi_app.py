"""A FastAPI application for uvicorn."""

import asyncio

from fastapi import FastAPI

app = FastAPI()


@app.get("/double/{number}")
async def double(number: int) -> dict[str, object]:
    loop_class = type(asyncio.get_running_loop())
    name = f"{loop_class.__module__}.{loop_class.__qualname__}"
    return {"doubled": 2 * number, "loop": name}
