"""asyncpg and PostgreSQL over TCP, a Unix socket and TLS."""

import asyncio
import io
import ssl

import asyncpg

from .where import here

N_ROWS = 20_000


async def in_transactions(connection):
    await connection.execute("create temp table t (n int, word text)")
    rows = [(n, f"word {n}" * 5) for n in range(N_ROWS)]
    await connection.copy_records_to_table("t", records=rows)
    try:
        async with connection.transaction():
            await connection.execute("delete from t")
            raise LookupError
    except LookupError:
        pass
    async with connection.transaction():
        cursor = connection.cursor("select n, word from t order by n", prefetch=900)
        assert [tuple(row) async for row in cursor] == rows
    out = io.BytesIO()
    await connection.copy_from_query("select n from t", output=out)
    return out.getvalue().count(b"\n")


async def told(connection, other):
    """What NOTIFY says to another connection, and a query that fails."""
    came = asyncio.get_running_loop().create_future()
    await connection.add_listener("news", lambda *args: came.set_result(args[-1]))
    await other.execute("notify news, 'said'")
    try:
        await other.fetchval("select 1 / (n - n) from generate_series(1, 9) n")
    except asyncpg.DivisionByZeroError:
        return await came


async def gives_up(connection):
    """A query that takes too long is cancelled at the server too."""
    try:
        await connection.execute("select pg_sleep(60)", timeout=0.1)
    except TimeoutError:
        return await connection.fetchval("select 'and on'")


async def by(**where):
    options = {"user": "tester", "database": "tester", "timeout": 20, **where}
    async with asyncpg.create_pool(**options, min_size=2, max_size=4) as pool:
        async with pool.acquire() as one, pool.acquire() as other:
            query = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
            found = [
                await one.fetchval(query),
                await in_transactions(one),
                await told(one, other),
                await gives_up(one),
            ]
            await one.reset()
        texts = ["x" * n for n in range(0, 60_000, 100)]
        queries = [pool.fetchval("select $1::text", text) for text in texts]
        return [*found, await asyncio.gather(*queries) == texts]


async def main(*, port, folder, authority, **_):
    context = ssl.create_default_context(cafile=authority)
    ways = [
        {"host": "127.0.0.1", "port": port, "ssl": False},
        {"host": folder, "port": port},
        {"host": "127.0.0.1", "port": port, "ssl": context},
    ]
    async with asyncio.timeout(45):
        return here(), [await by(**way) for way in ways]
