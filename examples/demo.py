"""An ordinary asyncio program: it names no event loop and runs on any.

    python examples/demo.py                 on asyncio's loop
    python -m fastloop examples/demo.py     on fastloop's
    python -m fastloop --accelerate examples/demo.py    with gather, Queue, ... in C too

It prints one line of JSON: the loop that ran, whose Queue, what came out (with a digest
of it that is the same on every loop), and what each part took: wall-clock and CPU
seconds.
"""

import asyncio
import hashlib
import json
import sys
import time

CLIENTS = 50
MESSAGES = 200
JOBS = 20_000
SLEEPERS = 1_000
STEPS = 100_000
ROUNDS = 200
WORKERS = 100


async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def client(port, number):
    """Send lines, expect each back, and return the digest of what came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = hashlib.sha256()
    for message in range(MESSAGES):
        line = f"client {number}, message {message}\n".encode()
        writer.write(line)
        answer = await reader.readline()
        if answer != line:
            raise RuntimeError(f"sent {line!r}, got {answer!r}")
        received.update(answer)
    writer.close()
    await writer.wait_closed()
    return received.hexdigest()


async def tcp_echo():
    """A server and its clients, all at once over TCP."""
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await asyncio.gather(*(client(port, n) for n in range(CLIENTS)))


async def queue():
    """Two producers and three consumers share a bounded queue."""
    jobs = asyncio.Queue(maxsize=64)
    done = []

    async def produce(first):
        for job in range(first, JOBS, 2):
            await jobs.put(job)

    async def consume():
        while True:
            job = await jobs.get()
            done.append(job * job)
            jobs.task_done()

    consumers = [asyncio.create_task(consume()) for _ in range(3)]
    async with asyncio.TaskGroup() as producers:
        producers.create_task(produce(0))
        producers.create_task(produce(1))
    await jobs.join()
    for consumer in consumers:
        consumer.cancel()
    ends = await asyncio.gather(*consumers, return_exceptions=True)
    return len(done), sum(done), [type(end).__name__ for end in ends]


async def tasks():
    """A thousand tasks sleep at the same time, then two tasks take turns."""
    turns = []

    async def sleep(number):
        await asyncio.sleep(0.05)
        return number

    async def take_turns(name):
        for step in range(STEPS // 2):
            if step < 3:
                turns.append(name)
            await asyncio.sleep(0)

    slept = await asyncio.gather(*(sleep(n) for n in range(SLEEPERS)))
    async with asyncio.TaskGroup() as group:
        group.create_task(take_turns("a"))
        group.create_task(take_turns("b"))
    return sum(slept), "".join(turns)


async def workers():
    """Rounds of a hundred tasks, each with a timeout, share a lock and a semaphore."""
    lock, places, total = asyncio.Lock(), asyncio.Semaphore(10), 0

    async def work(number):
        nonlocal total
        async with asyncio.timeout(60), places:
            await asyncio.sleep(0)
            async with lock:
                total += number
        return number

    counts = 0
    for _ in range(ROUNDS):
        counts += len(await asyncio.gather(*(work(n) for n in range(WORKERS))))
    return counts, total


async def timeout():
    """Waiting for what never comes ends in time, and cleans up."""
    never = asyncio.Event()
    cleaned_up = False

    async def wait():
        nonlocal cleaned_up
        try:
            await never.wait()
        finally:
            cleaned_up = True

    try:
        async with asyncio.timeout(0.05):
            await wait()
    except TimeoutError:
        return "timed out", cleaned_up
    return "came", cleaned_up


async def subprocess():
    """A child process answers through its pipes."""
    code = "import sys; print(sys.stdin.read().upper(), end=''); sys.exit(3)"
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await child.communicate(b"from the parent")
    return output.decode(), child.returncode


async def main():
    loop = asyncio.get_running_loop()
    results, seconds = {}, {}
    for part in tcp_echo, queue, tasks, workers, timeout, subprocess:
        wall, cpu = time.perf_counter(), time.process_time()
        results[part.__name__] = await part()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        seconds[part.__name__] = {"wall": round(wall, 4), "cpu": round(cpu, 4)}
    digest = hashlib.sha256(json.dumps(results).encode()).hexdigest()
    results["tcp_echo"] = f"{CLIENTS} clients, {MESSAGES} messages each"
    report = {
        "loop": f"{type(loop).__module__}.{type(loop).__qualname__}",
        "queue": f"{asyncio.Queue.__module__}.{asyncio.Queue.__qualname__}",
        "python": sys.version.split()[0],
        "digest": digest,
        "results": results,
        "seconds": seconds,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    asyncio.run(main())
