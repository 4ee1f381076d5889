"""distributed: a client of a scheduler and a worker in processes of their own."""

import os

from distributed import Client

from .where import here


def loop_of(dask_worker=None, dask_scheduler=None):
    kind = type((dask_worker or dask_scheduler).loop.asyncio_loop)
    return f"{kind.__module__}.{kind.__qualname__}"


async def main():
    path = os.environ["SCHEDULER_FILE"]
    async with Client(scheduler_file=path, asynchronous=True, timeout=30) as client:
        await client.wait_for_workers(1, timeout=30)
        total = await client.submit(sum, client.map(pow, range(20), [2] * 20))
        (worker,) = (await client.run(loop_of)).values()
        scheduler = await client.run_on_scheduler(loop_of)
        await client.shutdown()
    return here(), [total, worker, scheduler]
