"""distributed: scheduler, two workers and a client, over TCP, on one loop."""

import asyncio

import dask
from distributed import Client, Scheduler, Worker

from .where import here


async def where_it_runs(number):
    await asyncio.sleep(0.001)
    return here(), number


async def main():
    with dask.config.set({"distributed.admin.event-loop": "asyncio"}):
        options = {"host": "127.0.0.1", "dashboard": False}
        async with Scheduler(port=0, dashboard_address=":0", **options) as scheduler:
            address = scheduler.address
            async with (
                Worker(address, nthreads=1, nanny=False, **options),
                Worker(address, nthreads=1, nanny=False, **options),
                Client(address, asynchronous=True) as client,
            ):
                squares = client.map(lambda n: n * n, range(20))
                total = await client.submit(sum, squares)
                classes, number = await client.submit(where_it_runs, 7)
                failing = client.submit(lambda: 1 / 0)
                error = type(await failing.exception()).__name__
                graph = dask.delayed(sum)([dask.delayed(pow)(n, 2) for n in range(5)])
                computed = await client.compute(graph)
                loops = {type(part.loop.asyncio_loop) for part in (scheduler, client)}
                assert loops == {classes[0]}, loops
                return classes, [total, number, error, computed]
