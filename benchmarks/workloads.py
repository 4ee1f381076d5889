"""What instructions.py counts: bare operations, run n times in this process.

    python benchmarks/workloads.py LOOP WORKLOAD N

No warm-up and no clock: the caller takes the difference between two lengths.
"""

import asyncio
import sys
import types

from loops import new_loop


@types.coroutine
def bare_yield():
    """Give the loop its turn, with nothing of asyncio in between."""
    yield


async def trivial():
    return 1


async def yielding(n):
    for _ in range(n):
        await bare_yield()


async def sleep0(n):
    for _ in range(n):
        await asyncio.sleep(0)


async def spawn_await(n):
    create_task = asyncio.get_running_loop().create_task
    for _ in range(n):
        await create_task(trivial())


async def fut_pingpong(n):
    loop = asyncio.get_running_loop()
    ping = loop.create_future()
    pong = None

    async def other():
        nonlocal ping, pong
        for _ in range(n // 2):
            await ping
            ping = loop.create_future()
            pong.set_result(None)

    task = loop.create_task(other())
    for _ in range(n // 2):
        pong = loop.create_future()
        ping.set_result(None)
        await pong
    await task


async def gather_100(n):
    for _ in range(n // 100):
        await asyncio.gather(*[trivial() for _ in range(100)])


async def cancel_1000(n):
    async def wait(future):
        await future

    loop = asyncio.get_running_loop()
    for _ in range(n // 1000):
        tasks = [loop.create_task(wait(loop.create_future())) for _ in range(1000)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def chain(n, schedule):
    """Each callback schedules the next one."""
    done = asyncio.get_running_loop().create_future()
    left = n

    def step():
        nonlocal left
        left -= 1
        if left:
            schedule(step)
        else:
            done.set_result(None)

    schedule(step)
    await done


async def call_soon_chain(n):
    await chain(n, asyncio.get_running_loop().call_soon)


async def threadsafe_chain(n):
    await chain(n, asyncio.get_running_loop().call_soon_threadsafe)


async def timer_chain(n):
    loop = asyncio.get_running_loop()
    call_later = loop.call_later
    done = loop.create_future()
    left = n

    def step():
        nonlocal left
        left -= 1
        if left:
            call_later(0, step)
        else:
            done.set_result(None)

    call_later(0, step)
    await done


def nothing(*_):
    pass


async def timer_cancel(n):
    call_later = asyncio.get_running_loop().call_later
    for _ in range(n):
        call_later(60.0, nothing).cancel()


async def done_callback(n):
    create_future = asyncio.get_running_loop().create_future
    for _ in range(n):
        future = create_future()
        future.add_done_callback(nothing)
        future.set_result(None)
        await bare_yield()


async def lock(n):
    lock = synchronisation().Lock()
    for _ in range(n):
        await lock.acquire()
        lock.release()


async def semaphore(n):
    semaphore = synchronisation().Semaphore(2)
    for _ in range(n):
        await semaphore.acquire()
        semaphore.release()


async def queue(n):
    queue = synchronisation().Queue()
    for _ in range(n):
        await queue.put(None)
        await queue.get()


async def gather_100_c(n):
    gather = synchronisation().gather
    for _ in range(n // 100):
        await gather(*[trivial() for _ in range(100)])


async def taskgroup_100(n, groups=asyncio):
    for _ in range(n // 100):
        async with groups.TaskGroup() as group:
            for _ in range(100):
                group.create_task(trivial())


async def taskgroup_100_c(n):
    await taskgroup_100(n, synchronisation())


async def shield(n, groups=asyncio):
    for _ in range(n):
        await groups.shield(trivial())


async def shield_c(n):
    await shield(n, synchronisation())


async def wait_10(n, groups=asyncio):
    create_task = asyncio.get_running_loop().create_task
    for _ in range(n // 10):
        await groups.wait([create_task(trivial()) for _ in range(10)])


async def wait_10_c(n):
    await wait_10(n, synchronisation())


def fed_reader(lines):
    """A reader that has so many lines of 64 bytes in its buffer."""
    loop = asyncio.get_running_loop()
    reader = synchronisation().StreamReader(limit=1 << 20, loop=loop)
    reader.feed_data((b"x" * 63 + b"\n") * lines)
    return reader


async def readline(n):
    for _ in range(n // 100):
        reader = fed_reader(100)
        for _ in range(100):
            await reader.readline()


async def readexactly(n):
    for _ in range(n // 100):
        reader = fed_reader(100)
        for _ in range(100):
            await reader.readexactly(64)


def synchronisation():
    """Where this loop's Lock, gather and kin are: fastloop has them in C."""
    if type(asyncio.get_running_loop()).__module__.startswith("fastloop"):
        from fastloop import aio

        return aio
    return asyncio


WORKLOADS = {
    "yield": yielding,
    "sleep0": sleep0,
    "call_soon_chain": call_soon_chain,
    "spawn_await": spawn_await,
    "fut_pingpong": fut_pingpong,
    "gather_100": gather_100,
    "gather_100_c": gather_100_c,
    "taskgroup_100": taskgroup_100,
    "taskgroup_100_c": taskgroup_100_c,
    "shield": shield,
    "shield_c": shield_c,
    "wait_10": wait_10,
    "wait_10_c": wait_10_c,
    "cancel_1000": cancel_1000,
    "threadsafe_chain": threadsafe_chain,
    "timer_chain": timer_chain,
    "timer_cancel": timer_cancel,
    "done_callback": done_callback,
    "lock": lock,
    "semaphore": semaphore,
    "queue": queue,
    "readline": readline,
    "readexactly": readexactly,
}


def main(loop_name: str, workload: str, n: int) -> None:
    """Run a workload on a loop; `floor` drives `yield` by am_send alone."""
    if loop_name == "floor":
        import benchmark_floor

        benchmark_floor.drive(WORKLOADS[workload](n))
        return
    loop = new_loop(loop_name)
    try:
        loop.run_until_complete(WORKLOADS[workload](n))
    finally:
        loop.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
