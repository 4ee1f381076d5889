"""Resident memory of what a loop keeps waiting."""

import asyncio
import gc
import os

from loops import ACCELERATED

from scenarios._case import Env, case, nothing
from scenarios._net import client, serving


def resident_bytes(pid: int | str = "self") -> int:
    """The resident memory of a process, in bytes."""
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def _growth(make, n: int) -> float:
    """Resident bytes that each of the n things returned by `make(n)` adds."""
    warm = make(100)
    del warm
    gc.collect()
    before = resident_bytes()
    things = make(n)
    gc.collect()
    grown = resident_bytes() - before
    del things
    return grown / n


@case(n=100_000, unit="B", clock="resident")
def mem_task(env: Env, n: int) -> float:
    """Resident bytes of a task that waits for a future of its own."""
    loop = env.new_loop()

    async def wait(future):
        await future

    def make(count):
        futures = []
        tasks = []
        for _ in range(count):
            futures.append(loop.create_future())
            tasks.append(loop.create_task(wait(futures[-1])))
        loop.run_until_complete(asyncio.sleep(0))
        made.append((futures, tasks))
        return tasks

    made = []
    try:
        return _growth(make, n)
    finally:
        for futures, _ in made:
            for future in futures:
                future.set_result(None)
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


@case(n=100_000, unit="B", clock="resident")
def mem_timer(env: Env, n: int) -> float:
    """Resident bytes of a pending `call_later(1000, nothing)`."""
    loop = env.new_loop()
    handles = []

    def make(count):
        for _ in range(count):
            handles.append(loop.call_later(1000, nothing))
        loop.run_until_complete(asyncio.sleep(0))
        return None

    try:
        return _growth(make, n)
    finally:
        for handle in handles:
            handle.cancel()
        loop.close()


@case(n=2_000, unit="B", clock="resident")
def mem_conn(env: Env, n: int) -> float:
    """Resident bytes of an idle TCP connection, its protocol shared by all."""
    return _idle(env, "hold", n)


@case(n=2_000, unit="B", clock="resident", references=[ACCELERATED])
def mem_streams(env: Env, n: int) -> float:
    """The same with a StreamReader and a StreamWriter, which the server keeps."""
    return _idle(env, "hold_stream", n)


def _idle(env: Env, kind: str, n: int) -> float:
    with serving(env, kind) as server:
        options = {"mode": "hold", "count": 0, "request": 1, "reply": 1}
        with client(server, connections=100, **options):
            pass
        before = resident_bytes(server.pid)
        with client(server, connections=n, **options):
            return (resident_bytes(server.pid) - before) / n
