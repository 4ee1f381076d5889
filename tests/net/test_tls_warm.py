"""More TLS connections than those of which OpenSSL's buffers are kept.

A few that were used last keep them. The others give them up, between two records.
"""

import asyncio
import contextlib
import os
import random
import ssl

import pytest

import fastloop
from tests.net.helpers import connected, serving
from tests.net.test_tls_records import Echo, resident_bytes
from tests.net.tls_peer import VERSIONS, peer_of
from tests.support import not_sanitized

N_KEPT = 16


async def talk(peer, size):
    data = os.urandom(size)
    sending = asyncio.ensure_future(peer.send(data))
    assert await peer.read(size) == data
    await sending


@contextlib.asynccontextmanager
async def peers(n, *args):
    async with contextlib.AsyncExitStack() as stack:
        yield [
            (await stack.enter_async_context(peer_of(Echo, *args)))[0] for _ in range(n)
        ]


@pytest.mark.parametrize("version", VERSIONS)
def test_many_in_turns_and_in_bursts(run, server_tls, authority, version):
    """Each comes and goes among the few many times, in any order."""

    async def main():
        order = random.Random(4)
        async with peers(N_KEPT + 9, server_tls, authority, version) as all_peers:
            for _ in range(100):
                peer = order.choice(all_peers)
                for _ in range(order.choice([1, 1, 2, 3])):
                    await talk(peer, order.choice([1, 1000, 16_384, 40_000]))
            for peer in all_peers * 2:
                await talk(peer, 100)

    run(main())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_part_of_a_record_stays(run, server_tls, authority, version):
    """Each that is kept has a part of a record when others want its place."""

    async def main():
        async with (
            peers(N_KEPT, server_tls, authority, version) as first,
            peers(N_KEPT, server_tls, authority, version) as others,
        ):
            rests = []
            for peer in first:
                for _ in range(3):
                    await talk(peer, 10)
            for i, peer in enumerate(first):
                cut = [5, 1, 5, 100][i % 4]  # 5: the head, and no more
                text = bytes([i]) * 500
                peer.tls.write(text)
                records = peer.outgoing.read()
                await peer.send_raw(records[:cut])
                rests.append((text, records[cut:]))
            for peer in others * 2:
                for _ in range(2):
                    await talk(peer, 2000)
            for peer, (text, rest) in zip(first, rests, strict=True):
                await peer.send_raw(rest)
                assert await peer.read(len(text)) == text

    run(main())


def test_the_kept_ones_end(run, server_tls, authority):
    """Their places are free: others take them, and nothing is left of the first."""

    async def main():
        for _ in range(2):
            async with peers(N_KEPT, server_tls, authority) as some:
                for peer in some:
                    for _ in range(3):
                        await talk(peer, 1000)

    run(main())


async def say_line(reader, writer):
    writer.write(b"x" * 1000 + b"\n")
    assert await reader.readline() == b"x" * 1000 + b"\n"


@contextlib.asynccontextmanager
async def lines(server_tls, context):
    """A function that connects to a server of lines; all ends together."""
    async with contextlib.AsyncExitStack() as stack:
        address = await stack.enter_async_context(serving(ssl=server_tls))

        async def connect():
            return await stack.enter_async_context(connected(address, ssl=context))

        yield connect


@not_sanitized  # which keeps what is freed
def test_idle_ones_stay_small(server_tls, authority):
    """All were busy once; the buffers of one are 34 KiB at each end."""
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async def main():
        async with lines(server_tls, context) as connect:
            for n in range(N_KEPT * 6):
                if n == N_KEPT * 2:
                    before = resident_bytes()
                streams = await connect()
                for _ in range(4):
                    await say_line(*streams)
            return (resident_bytes() - before) / (N_KEPT * 4)

    assert fastloop.run(main()) < 60_000


def test_loops_of_two_threads(server_tls, authority):
    """Who runs a loop takes no place of another thread's."""
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async def main():
        async with lines(server_tls, context) as connect:
            some = [await connect() for _ in range(N_KEPT)]
            for _ in range(20):
                for streams in some:
                    for _ in range(2):
                        await say_line(*streams)
        return True

    async def both():
        return await asyncio.gather(
            main(), *(asyncio.to_thread(fastloop.run, main()) for _ in range(2))
        )

    assert fastloop.run(both()) == [True] * 3
