"""SQLAlchemy's asyncio sessions on PostgreSQL, by asyncpg and by psycopg."""

import asyncio

from sqlalchemy import URL, ForeignKey, func, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    mapped_column,
    relationship,
    selectinload,
)

from .where import here


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    lines: Mapped[list["Line"]] = relationship()


class Line(Base):
    __tablename__ = "lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    number: Mapped[int]


async def count_one(sessions, name):
    async with sessions() as session:
        query = select(Order).where(Order.name == name)
        order = await session.scalar(query.options(selectinload(Order.lines)))
        return sum(line.number for line in order.lines)


async def by(driver, folder, port):
    url = URL.create(
        f"postgresql+{driver}",
        username="tester",
        database="tester",
        query={"host": folder, "port": str(port)},
    )
    engine = create_async_engine(url, pool_size=4)
    sessions = async_sessionmaker(engine)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
    async with sessions.begin() as session:
        for n in range(10):
            lines = [Line(number=n * m) for m in range(20)]
            session.add(Order(name=f"order {n}", lines=lines))
    found = await asyncio.gather(
        *[count_one(sessions, f"order {n}") for n in range(10)]
    )
    async with sessions() as session:
        streamed = await session.stream(select(func.max(Line.number)))
        longest = [row async for (row,) in streamed]
    await engine.dispose()
    return [sum(found), *longest]


async def main(*, port, folder, **_):
    async with asyncio.timeout(45):
        answer = [await by(driver, folder, port) for driver in ("asyncpg", "psycopg")]
        return here(), answer
