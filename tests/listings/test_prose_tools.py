"""What the documents say of synchronisation, and what else they name."""

import asyncio
import signal
import sys

from tests.listings.clock import SECOND


class TestSynchronisation:
    def test_a_lock_lets_one_in_at_a_time_in_order(self, run, story):
        async def use(lock, name):
            async with lock:
                story.say(name, "in")
                await asyncio.sleep(0)
                story.say(name, "out")

        async def main():
            lock = asyncio.Lock()
            await asyncio.gather(*(use(lock, n) for n in range(4)))

        run(main())
        assert story.lines == [f"{n} {way}" for n in range(4) for way in ("in", "out")]

    def test_a_semaphore_lets_two_in(self, run):
        inside, seen = 0, []

        async def use(semaphore):
            nonlocal inside
            async with semaphore:
                inside += 1
                seen.append(inside)
                await asyncio.sleep(0.2 * SECOND)
                inside -= 1

        async def main():
            semaphore = asyncio.Semaphore(2)
            await asyncio.gather(*(use(semaphore) for _ in range(6)))

        run(main())
        assert max(seen) == 2

    def test_queues_hand_work_between_tasks(self, run):
        async def produce(queue):
            for n in range(10):
                await queue.put(n)

        async def consume(queue, done):
            while True:
                done.append(await queue.get())
                queue.task_done()

        async def main():
            queue, done = asyncio.Queue(maxsize=2), []
            workers = [asyncio.create_task(consume(queue, done)) for _ in range(3)]
            await produce(queue)
            await queue.join()
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            return done

        assert sorted(run(main())) == list(range(10))

    def test_events_conditions_and_barriers(self, run, story):
        async def main():
            event, condition = asyncio.Event(), asyncio.Condition()
            barrier = asyncio.Barrier(3)

            async def waiter(n):
                await event.wait()
                async with condition:
                    await condition.wait()
                story.say(n)
                await barrier.wait()

            tasks = [asyncio.create_task(waiter(n)) for n in range(3)]
            await asyncio.sleep(0)
            event.set()
            for _ in range(5):
                await asyncio.sleep(0)
            assert story.lines == []
            async with condition:
                condition.notify_all()
            await asyncio.gather(*tasks)

        run(main())
        assert sorted(story.lines) == ["0", "1", "2"]

    def test_other_queues(self, run):
        async def main():
            last, best = asyncio.LifoQueue(), asyncio.PriorityQueue()
            for n in (2, 3, 1):
                last.put_nowait(n)
                best.put_nowait(n)
            return [await last.get() for _ in range(3)], [
                await best.get() for _ in range(3)
            ]

        assert run(main()) == ([1, 3, 2], [1, 2, 3])


class TestAlsoNamed:
    def test_network(self, run):
        async def serve(reader, writer):
            name = (await reader.readline()).decode().strip()
            writer.write(f"hello {name}\n".encode())
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        async def greet(port, name):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"{name}\n".encode())
            answer = await reader.readline()
            writer.close()
            await writer.wait_closed()
            return answer

        async def main():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            async with server:
                return await asyncio.gather(*(greet(port, n) for n in "abc"))

        assert run(main()) == [b"hello a\n", b"hello b\n", b"hello c\n"]

    def test_subprocesses(self, run):
        async def main():
            program = "print(input()[::-1])"
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                program,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            out, _ = await process.communicate(b"abc\n")
            shell = await asyncio.create_subprocess_shell("exit 3")
            return out, process.returncode, await shell.wait()

        assert run(main()) == (b"cba\n", 0, 3)

    def test_signals(self, run):
        async def main():
            came = asyncio.Event()
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGUSR1, came.set)
            signal.raise_signal(signal.SIGUSR1)
            await came.wait()
            return loop.remove_signal_handler(signal.SIGUSR1)

        assert run(main())

    def test_transports_and_protocols(self, run, story):
        class Greeter(asyncio.Protocol):
            def connection_made(self, transport):
                transport.write(b"hello")
                transport.close()

        class Listener(asyncio.Protocol):
            def __init__(self, end):
                self.end = end

            def data_received(self, data):
                story.say(data.decode())

            def connection_lost(self, exc):
                self.end.set_result(None)

        async def main():
            loop = asyncio.get_running_loop()
            server = await loop.create_server(Greeter, "127.0.0.1", 0)
            end = loop.create_future()
            await loop.create_connection(
                lambda: Listener(end), *server.sockets[0].getsockname()
            )
            await end
            server.close()
            await server.wait_closed()

        run(main())
        assert story.lines == ["hello"]

    def test_async_with_and_async_for(self, run):
        class Source:
            async def __aenter__(self):
                await asyncio.sleep(0)
                return self

            async def __aexit__(self, *args):
                await asyncio.sleep(0)

            async def __aiter__(self):
                for n in range(3):
                    await asyncio.sleep(0)
                    yield n

        async def main():
            async with Source() as source:
                return [n async for n in source]

        assert run(main()) == [0, 1, 2]
