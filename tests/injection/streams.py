"""Streams of ours beside readers, loops and deques that are not."""

import asyncio

import fastloop
from fastloop import aio
from tests.injection.detours import told
from tests.injection.registry import program, with_coroutine


class Silent:
    """A transport that has nothing to tell."""

    def get_extra_info(self, name, default=None):
        return default

    def is_closing(self):
        return False

    def close(self):
        pass


async def drained(protocol, drain):
    """Wait for room that there is not, until there is."""
    protocol.pause_writing()
    task = asyncio.ensure_future(drain())
    await asyncio.sleep(0)
    if not task.done():
        protocol.resume_writing()
    await told([task])


async def used(reader, callback):
    loop = asyncio.get_running_loop()
    protocol = aio.StreamReaderProtocol(reader, callback, loop=loop)
    protocol.connection_made(Silent())
    protocol.data_received(b"abc")
    writer = aio.StreamWriter(Silent(), protocol, reader, loop)
    await drained(protocol, writer.drain)
    protocol.eof_received()
    protocol.connection_lost(None)


@with_coroutine
async def protocols_of_stock_readers():
    future = asyncio.get_running_loop().create_future()
    future.set_result(None)
    await used(asyncio.StreamReader(), None)
    await used(aio.StreamReader(), lambda reader, writer: future)


@with_coroutine
async def protocols_of_traced_readers():
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    readers = asyncio.StreamReader(), aio.StreamReader()
    loop.set_debug(False)
    for reader in readers:
        await used(reader, None)


@program
def protocols_on_asyncios_loop():
    async def main():
        await used(aio.StreamReader(), None)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(main())


@program
def drains_in_a_list():
    async def main():
        loop = asyncio.get_running_loop()
        protocol = aio.StreamReaderProtocol(aio.StreamReader(), loop=loop)
        protocol.connection_made(Silent())
        protocol.pause_writing()
        task = asyncio.ensure_future(protocol._drain_helper())
        await asyncio.sleep(0)
        protocol._drain_waiters = list(protocol._drain_waiters)
        for waiter in protocol._drain_waiters:
            waiter.set_result(None)
        await told([task])
        protocol.connection_lost(None)

    fastloop.run(main())
