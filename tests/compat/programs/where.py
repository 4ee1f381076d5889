"""What a handler runs on."""

import asyncio


def here():
    """The classes of the running loop and, in a task, of that."""
    task = asyncio.current_task()
    return type(asyncio.get_running_loop()), None if task is None else type(task)
