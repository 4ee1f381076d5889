"""asgiref: from the loop into a thread and back onto the loop, with a Local."""

import asyncio
import threading

from asgiref.local import Local
from asgiref.sync import async_to_sync, sync_to_async

from .where import here

local = Local()


async def inner():
    await asyncio.sleep(0.001)
    return here(), local.value, threading.current_thread() is threading.main_thread()


@sync_to_async
def in_thread():
    assert threading.current_thread() is not threading.main_thread()
    return async_to_sync(inner)()


async def main():
    local.value = "kept"
    classes, value, on_loop = await in_thread()
    return classes, [value, on_loop]
