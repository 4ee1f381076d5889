"""redis.asyncio and Redis over TCP, a Unix socket and TLS."""

import asyncio

import redis.asyncio

from .where import here


async def subscribed(client):
    """Ten messages, each sent when the one before has come."""
    came = []
    async with client.pubsub() as channel:
        await channel.subscribe("news")
        async for message in channel.listen():
            if message["type"] == "message":
                came.append(int(message["data"]))
            if len(came) == 10:
                return came
            await client.publish("news", len(came))


async def waits(client):
    """BLPOP in one task, what it waits for in another, and one in vain."""
    async with asyncio.TaskGroup() as tasks:
        popped = tasks.create_task(client.blpop("list", timeout=20))
        await asyncio.sleep(0)
        await client.rpush("list", "pushed")
    assert await client.blpop("nothing", timeout=0.05) is None
    return popped.result()[1].decode()


async def by(connection, **where):
    pool = redis.asyncio.ConnectionPool(connection_class=connection, **where)
    async with redis.asyncio.Redis.from_pool(pool) as client:
        await client.flushall()
        await client.set("key", b"value" * 100_000)
        values = await asyncio.gather(*[client.get("key") for _ in range(10)])
        async with client.pipeline(transaction=True) as pipeline:
            for n in range(1000):
                pipeline.incrby("sum", n)
            total = (await pipeline.execute())[-1]
        sizes = sum(map(len, values))
        return [sizes, total, await subscribed(client), await waits(client)]


async def main(*, port, tls_port, socket, authority, **_):
    kinds = redis.asyncio.connection
    tcp = {"host": "127.0.0.1", "port": port}
    tls = {"host": "127.0.0.1", "port": tls_port, "ssl_ca_certs": authority}
    async with asyncio.timeout(45):
        return here(), [
            await by(kinds.Connection, **tcp),
            await by(kinds.UnixDomainSocketConnection, path=socket),
            await by(kinds.SSLConnection, **tls),
        ]
