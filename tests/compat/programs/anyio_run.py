"""anyio's sockets, threads and cancel scopes."""

import anyio
import anyio.to_thread

from .where import here


async def main():
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    seen = []

    async def echo(stream):
        seen.append(here())
        async with stream:
            await stream.send(await stream.receive())

    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, echo)
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(b"ping")
            answers = [(await stream.receive()).decode()]
        answers.append(await anyio.to_thread.run_sync(lambda: "in a thread"))
        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep(60)
        answers.append("cancelled" if scope.cancelled_caught else "not cancelled")
        group.cancel_scope.cancel()
    return seen[0], answers


def start(loop_factory):
    return anyio.run(main, backend_options={"loop_factory": loop_factory})
