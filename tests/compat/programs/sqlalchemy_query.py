"""SQLAlchemy's asyncio engine, which switches greenlets around awaits."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from .where import here


async def main():
    engine = create_async_engine("sqlite+aiosqlite:///:memory:")
    async with engine.begin() as connection:
        result = await connection.execute(text("select 6 * 7"))
        answer = result.scalar()
    await engine.dispose()
    return here(), answer
