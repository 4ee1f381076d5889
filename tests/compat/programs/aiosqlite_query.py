"""Rows through aiosqlite's thread."""

import aiosqlite

from .where import here


async def main():
    async with aiosqlite.connect(":memory:") as db:
        await db.execute("create table numbers (number int, name text)")
        await db.executemany(
            "insert into numbers values (?, ?)", [(1, "one"), (2, "two")]
        )
        async with db.execute("select * from numbers order by number") as cursor:
            rows = [list(row) async for row in cursor]
    return here(), rows
