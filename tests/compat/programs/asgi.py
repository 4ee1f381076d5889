"""An ASGI application that says what it runs on."""

import asyncio
import json
import os


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    loop_class = type(asyncio.get_running_loop())
    task_class = type(asyncio.current_task())
    await asyncio.sleep(0.001)
    body = {
        "loop": f"{loop_class.__module__}.{loop_class.__qualname__}",
        "task": f"{task_class.__module__}.{task_class.__qualname__}",
        "path": scope["path"],
        "pid": os.getpid(),
    }
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
