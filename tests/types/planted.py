"""Seven mistakes that asyncio's types find: each must be found in fastloop's too.

test_types.py puts the loop's type in the place of LOOP, and reads `# wrong` lines.
"""

import asyncio
import signal

LOOP = asyncio.SelectorEventLoop


class Echo(asyncio.Protocol):
    word = "echo"


def takes_int(number: int) -> str:
    return str(number)


async def text() -> str:
    return ""


async def planted(loop: LOOP) -> None:
    loop.call_soon(takes_int, "one")  # wrong
    loop.create_task(text(), nam="one")  # wrong
    loop.add_signal_handler(signal.SIGINT, takes_int, "one")  # wrong
    number: int = await loop.run_in_executor(None, takes_int, 1)  # wrong
    await loop.getaddrinfo("localhost", 80, famly=0)  # wrong
    _, echo = await loop.create_connection(Echo, "localhost", 80)
    echo.word.nothing()  # wrong
    await loop.create_server(Echo, "localhost", 80, backlogg=1)  # wrong
    print(number)


async def right(loop: LOOP) -> None:
    loop.call_soon(takes_int, 1)
    loop.call_later(0.5, takes_int, 1).cancel()
    loop.call_soon_threadsafe(print, "any", 1, None)
    task: asyncio.Task[str] = loop.create_task(text(), name="one")
    done: str = await task
    loop.add_signal_handler(signal.SIGINT, takes_int, 1)
    loop.add_reader(0, takes_int, 1)
    made: str = await loop.run_in_executor(None, takes_int, 1)
    for family, _, _, name, address in await loop.getaddrinfo("localhost", 80):
        print(family, name, address[0])
    transport, echo = await loop.create_connection(Echo, "localhost", 80)
    transport.write(echo.word.encode())
    server = await loop.create_server(Echo, "localhost", 80, backlog=1)
    await server.start_serving()
    future: asyncio.Future[int] = loop.create_future()
    loop.set_exception_handler(lambda loop, context: None)
    loop.set_task_factory(None)
    print(done, made, future, loop.time() + 1.0)
