"""SQLAlchemy's asyncio engine, which switches greenlets around awaits."""

import asyncio

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine


async def main():
    engine = create_async_engine("sqlite+aiosqlite:///:memory:")
    async with engine.begin() as connection:
        result = await connection.execute(text("select 6 * 7"))
        answer = result.scalar()
    await engine.dispose()
    return type(asyncio.get_running_loop()), answer
