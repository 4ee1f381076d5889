"""psycopg's asyncio connections and PostgreSQL over TCP, a Unix socket and TLS."""

import asyncio

import psycopg

from .where import here

N_ROWS = 20_000


async def in_transactions(connection):
    await connection.execute("create temp table t (n int, word text)")
    rows = [(n, f"word {n}" * 5) for n in range(N_ROWS)]
    async with (
        connection.cursor() as cursor,
        cursor.copy("copy t from stdin") as copy,
    ):
        for row in rows:
            await copy.write_row(row)
    async with connection.transaction(force_rollback=True):
        await connection.execute("delete from t")
    async with connection.transaction(), connection.cursor("named") as cursor:
        cursor.itersize = 900
        await cursor.execute("select n, word from t order by n")
        assert [row async for row in cursor] == rows
    async with connection.pipeline():
        await connection.execute("update t set n = n + 1")
        found = await connection.execute("select sum(n) from t")
        return (await found.fetchone())[0]


async def told(connection, other):
    """What NOTIFY says to another connection, and a query that fails."""
    await connection.execute("listen news")
    await other.execute("notify news, 'said'")
    try:
        await other.execute("select 1 / (n - n) from generate_series(1, 9) n")
    except psycopg.errors.DivisionByZero:
        async for notice in connection.notifies(timeout=20, stop_after=1):
            return notice.payload


async def gives_up(connection):
    """The query of a task that is cancelled is cancelled at the server too."""
    try:
        async with asyncio.timeout(0.1):
            await connection.execute("select pg_sleep(60)")
    except TimeoutError:
        found = await connection.execute("select 'and on'")
        return (await found.fetchone())[0]


async def by(**where):
    options = {"user": "tester", "dbname": "tester", "autocommit": True, **where}
    connect = psycopg.AsyncConnection.connect
    async with await connect(**options) as one, await connect(**options) as other:
        query = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
        (secret,) = await (await one.execute(query)).fetchone()
        return [
            secret,
            await in_transactions(one),
            await told(one, other),
            await gives_up(one),
        ]


async def main(*, port, folder, authority, **_):
    tls = {"sslmode": "verify-full", "sslrootcert": authority}
    ways = [
        {"host": "127.0.0.1", "port": port, "sslmode": "disable"},
        {"host": folder, "port": port},
        {"host": "127.0.0.1", "port": port, **tls},
    ]
    async with asyncio.timeout(45):
        return here(), [await by(**way) for way in ways]
