"""Tasks and futures, and asyncio's own helpers on top of them."""

import asyncio
import time

from loops import ACCELERATED

from scenarios._case import (
    Env,
    case,
    check,
    nothing,
    per_operation,
    require_python,
    trivial,
)


@case(n=30_000, references=[ACCELERATED])
def sleep0_1(env: Env, n: int) -> float:
    """`await asyncio.sleep(0)` in one task; per sleep."""

    async def main(count):
        for _ in range(count):
            await asyncio.sleep(0)

    return per_operation(env, main, n)


@case(n=50_000)
def sleep0_1000(env: Env, n: int) -> float:
    """The same in 1,000 tasks at once; per sleep."""
    each = max(1, n // 1000)

    async def sleeper(count):
        for _ in range(count):
            await asyncio.sleep(0)

    async def main(count):
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(sleeper(count)) for _ in range(1000)]
        for task in tasks:
            await task

    return per_operation(env, main, each, operations=each * 1000)


@case(n=30_000)
def fut_pingpong(env: Env, n: int) -> float:
    """Two tasks wake each other through new futures; per wake-up."""

    async def main(count):
        loop = asyncio.get_running_loop()
        ping = loop.create_future()
        pong = None
        half = max(1, count // 2)

        async def other():
            nonlocal ping, pong
            for _ in range(half):
                await ping
                ping = loop.create_future()
                pong.set_result(None)

        task = loop.create_task(other())
        for _ in range(half):
            pong = loop.create_future()
            ping.set_result(None)
            await pong
        await task

    return per_operation(env, main, n)


@case(n=10_000)
def spawn_await(env: Env, n: int) -> float:
    """`await create_task(trivial())`, one after the other; per task."""

    async def main(count):
        create_task = asyncio.get_running_loop().create_task
        for _ in range(count):
            await create_task(trivial())

    return per_operation(env, main, n)


@case(n=20_000, min_python=(3, 12))
def spawn_await_eager(env: Env, n: int) -> float:
    """The same with `asyncio.eager_task_factory`; per task."""
    require_python(3, 12)

    async def main(count):
        create_task = asyncio.get_running_loop().create_task
        for _ in range(count):
            await create_task(trivial())

    return per_operation(env, main, n, task_factory=asyncio.eager_task_factory)


@case(n=10_000)
def task_await_chain(env: Env, n: int) -> float:
    """Each task awaits a task that it creates, ten deep; per task."""
    depth = 10
    chains = max(1, n // depth)

    async def main(count):
        create_task = asyncio.get_running_loop().create_task

        async def link(left):
            if left:
                await create_task(link(left - 1))
            return left

        for _ in range(count):
            top = await create_task(link(depth - 1))
            check(top == depth - 1, f"the chain answered {top}")

    return per_operation(env, main, chains, operations=chains * depth)


@case(n=10_000, references=[ACCELERATED])
def taskgroup_100(env: Env, n: int) -> float:
    """A TaskGroup of 100 `trivial()`, one group after the other; per child."""
    groups = max(1, n // 100)

    async def main(count):
        for _ in range(count):
            async with asyncio.TaskGroup() as group:
                for _ in range(100):
                    group.create_task(trivial())

    return per_operation(env, main, groups, operations=groups * 100)


@case(n=10_000, references=[ACCELERATED])
def gather_100(env: Env, n: int) -> float:
    """`gather` of 100 `trivial()`, one after the other; per child."""
    return _gather(env, n, 100)


@case(n=20_000)
def gather_10k(env: Env, n: int) -> float:
    """`gather` of 10,000 `trivial()`; per child."""
    return _gather(env, n, 10_000)


def _gather(env: Env, n: int, width: int) -> float:
    groups = max(1, n // width)

    async def main(count):
        for _ in range(count):
            answers = await asyncio.gather(*[trivial() for _ in range(width)])
            check(len(answers) == width, "gather lost answers")

    return per_operation(env, main, groups, operations=groups * width)


@case(n=10_000)
def cancel_1000(env: Env, n: int) -> float:
    """1,000 tasks that wait for a future each: cancel all and gather them; per task."""
    rounds = max(1, n // 1000)

    async def wait(future):
        await future

    async def main():
        loop = asyncio.get_running_loop()
        best = float("inf")
        for _ in range(rounds + 1):
            tasks = [loop.create_task(wait(loop.create_future())) for _ in range(1000)]
            await asyncio.sleep(0)
            began = time.process_time()
            for task in tasks:
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            best = min(best, time.process_time() - began)
            check(
                all(isinstance(a, asyncio.CancelledError) for a in answers),
                "a cancelled task ended otherwise",
            )
        return best

    loop = env.new_loop()
    try:
        return loop.run_until_complete(main()) / 1000
    finally:
        loop.close()


@case(n=200_000)
def fut_create(env: Env, n: int) -> float:
    """`loop.create_future()`, dropped at once; per future."""

    async def main(count):
        create_future = asyncio.get_running_loop().create_future
        for _ in range(count):
            create_future()

    return per_operation(env, main, n)


@case(n=50_000)
def fut_callback(env: Env, n: int) -> float:
    """create, `add_done_callback`, `set_result`, callback run, 1,000 at a time."""
    rounds = max(1, n // 1000)

    async def main(count):
        loop = asyncio.get_running_loop()
        for _ in range(count):
            for _ in range(1000):
                future = loop.create_future()
                future.add_done_callback(nothing)
                future.set_result(None)
            await asyncio.sleep(0)

    return per_operation(env, main, rounds, operations=rounds * 1000)


@case(n=5_000, references=[ACCELERATED])
def wait_for_pending(env: Env, n: int) -> float:
    """`wait_for(future, 10)`, the future set by `call_soon`; per call."""

    async def main(count):
        loop = asyncio.get_running_loop()
        for _ in range(count):
            future = loop.create_future()
            loop.call_soon(future.set_result, 5)
            answer = await asyncio.wait_for(future, 10)
            check(answer == 5, f"wait_for answered {answer}")

    return per_operation(env, main, n)


@case(n=5_000, references=[ACCELERATED])
def timeout_ctx(env: Env, n: int) -> float:
    """`async with asyncio.timeout(10): await sleep(0)`; per block."""

    async def main(count):
        for _ in range(count):
            async with asyncio.timeout(10):
                await asyncio.sleep(0)

    return per_operation(env, main, n)


@case(n=5_000, references=[ACCELERATED])
def queue_1(env: Env, n: int) -> float:
    """A producer and a consumer over `Queue(1)`; per item."""

    async def main(count):
        items = asyncio.Queue(1)

        async def produce():
            for i in range(count):
                await items.put(i)

        task = asyncio.get_running_loop().create_task(produce())
        for i in range(count):
            item = await items.get()
            check(item == i, f"got {item} for {i}")
        await task

    return per_operation(env, main, n)


@case(n=5_000, references=[ACCELERATED])
def lock_contended(env: Env, n: int) -> float:
    """Two tasks take a Lock in turns, each with a `sleep(0)` inside; per turn."""
    half = max(1, n // 2)

    async def main(count):
        lock = asyncio.Lock()

        async def take():
            for _ in range(count):
                async with lock:
                    await asyncio.sleep(0)

        await asyncio.gather(take(), take())

    return per_operation(env, main, half, operations=half * 2)


@case(n=3_000, references=[ACCELERATED])
def shield(env: Env, n: int) -> float:
    """`await shield(create_task(trivial()))`; per call."""

    async def main(count):
        create_task = asyncio.get_running_loop().create_task
        for _ in range(count):
            await asyncio.shield(create_task(trivial()))

    return per_operation(env, main, n)


@case(n=5_000, references=[ACCELERATED])
def event_set_wait(env: Env, n: int) -> float:
    """Two tasks wake each other through two Events; per wake-up."""
    half = max(1, n // 2)

    async def main(count):
        here, there = asyncio.Event(), asyncio.Event()

        async def other():
            for _ in range(count):
                await there.wait()
                there.clear()
                here.set()

        task = asyncio.get_running_loop().create_task(other())
        for _ in range(count):
            there.set()
            await here.wait()
            here.clear()
        await task

    return per_operation(env, main, half, operations=half * 2)
