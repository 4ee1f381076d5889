"""The documents' programs, in our own words: same calls, same outcome."""

import asyncio
import inspect

import pytest

from tests.listings.clock import SECOND, Story


@pytest.fixture
def story():
    return Story()


@pytest.fixture
def runner(loop_factory):
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        yield runner


class TestChapterTwo:
    def test_1_one_coroutine_that_sleeps(self, run, story):
        async def nap():
            story.say("falling asleep")
            await asyncio.sleep(1 * SECOND)
            story.say("awake")

        run(nap())
        assert story.lines == ["falling asleep", "awake"]
        assert story.took(1)

    def test_2_by_a_runner(self, loop_factory, story):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(story.sleep(1))
        assert story.lines == ["start 1", "end 1"]
        assert story.took(1)

    def test_3_a_call_alone_runs_nothing(self, run, story):
        async def nested():
            story.say("ran")
            return 42

        async def main():
            unused = nested()
            assert inspect.iscoroutine(unused)
            assert story.lines == []
            unused.close()
            story.say(await nested())

        run(main())
        assert story.lines == ["ran", "42"]

    def test_4_one_task(self, run, story):
        async def main():
            task = asyncio.create_task(story.sleep(1))
            story.say("created")
            await task

        run(main())
        assert story.lines == ["created", "start 1", "end 1"]

    def test_5_two_tasks_at_once(self, run, story):
        async def main():
            first = asyncio.create_task(story.sleep(1))
            second = asyncio.create_task(story.sleep(1))
            await first
            await second

        run(main())
        assert story.lines == ["start 1", "start 1", "end 1", "end 1"]
        assert story.took(1)

    def test_6_a_task_made_by_the_loop(self, run, story):
        async def main():
            loop = asyncio.get_event_loop()
            assert loop is asyncio.get_running_loop()
            task = loop.create_task(story.sleep(1))
            await task

        run(main())
        assert story.lines == ["start 1", "end 1"]

    def test_7_a_task_group(self, run, story):
        async def main():
            story.say("before")
            async with asyncio.TaskGroup() as group:
                two = group.create_task(story.sleep(2))
                three = group.create_task(story.sleep(3))
            story.say("after")
            return two.result(), three.result()

        assert run(main()) == (2, 3)
        middle = ["start 2", "start 3", "end 2", "end 3"]
        assert story.lines == ["before", *middle, "after"]
        assert story.took(3)

    def test_8_a_time_limit(self, run, story):
        async def main():
            try:
                await asyncio.wait_for(story.sleep(20), timeout=1 * SECOND)
            except TimeoutError:
                story.say("too late")

        run(main())
        assert story.lines == ["start 20", "too late"]
        assert story.took(1)


class TestSecondDay:
    def test_2a_defining_runs_nothing(self, story):
        async def greet():
            story.say("hello")

        assert inspect.iscoroutinefunction(greet)
        assert story.lines == []

    def test_2b_what_a_call_gives(self):
        def add(a, b):
            return a + b

        async def add_later(a, b):
            return a + b

        coroutine = add_later(1, 2)
        assert type(add(1, 2)).__name__ == "int"
        assert type(coroutine).__name__ == "coroutine"
        coroutine.close()

    def test_2c_run_gives_the_result(self, run):
        async def add_later(a, b):
            return a + b

        assert run(add_later(1, 2)) == 3

    def test_3_two_awaits(self, run):
        async def increment(number: int) -> int:
            return number + 1

        async def main():
            two = await increment(1)
            three = await increment(2)
            return two, three

        assert run(main()) == (2, 3)

    def test_4a_sleep_then_speak(self, run, story):
        async def speak():
            await asyncio.sleep(1 * SECOND)
            story.say("hello")

        run(speak())
        assert story.lines == ["hello"]
        assert story.took(1)

    def test_4c_one_after_the_other(self, run, story):
        async def increment(number):
            return number + 1

        async def greet():
            await story.sleep(1)
            story.say("hello")

        async def main():
            message = await greet()
            two = await increment(1)
            story.say(two)
            story.say(message)

        run(main())
        assert story.lines == ["start 1", "end 1", "hello", "2", "None"]

    def test_5_the_type_of_a_task(self, run, story):
        async def main():
            task = asyncio.create_task(story.sleep(3))
            story.say(type(task).__name__)
            story.say(await task)
            return isinstance(task, asyncio.Task)

        assert run(main())
        assert story.lines == ["Task", "start 3", "end 3", "3"]

    def test_6_three_tasks_at_once(self, run, story):
        async def main():
            tasks = [asyncio.create_task(story.sleep(3)) for _ in range(3)]
            for task in tasks:
                await task

        run(main())
        assert story.lines == ["start 3"] * 3 + ["end 3"] * 3
        assert story.took(3)

    def test_7_gather(self, run, story):
        async def main():
            return await asyncio.gather(*(story.sleep(3) for _ in range(3)))

        assert run(main()) == [3, 3, 3]
        assert story.lines == ["start 3"] * 3 + ["end 3"] * 3
        assert story.took(3)

    def test_3_1_a_lock(self, run, story):
        async def use(lock):
            story.say("waits")
            async with lock:
                story.say("has it")
                await asyncio.sleep(2 * SECOND)
            story.say("gave it back")

        async def main():
            lock = asyncio.Lock()
            await asyncio.gather(use(lock), use(lock), use(lock))

        run(main())
        # Giving it back wakes the next one, which has it a moment later.
        assert story.lines == [
            *["waits", "has it", "waits", "waits"],
            *["gave it back", "has it"] * 2,
            "gave it back",
        ]
        assert story.took(6)

    def test_3_2_a_semaphore(self, run, story):
        inside = 0
        most = 0

        async def use(semaphore):
            nonlocal inside, most
            async with semaphore:
                inside += 1
                most = max(most, inside)
                story.say("in")
                await asyncio.sleep(2 * SECOND)
                inside -= 1
            story.say("out")

        async def main():
            semaphore = asyncio.Semaphore(2)
            await asyncio.gather(*(use(semaphore) for _ in range(4)))

        run(main())
        assert most == 2
        assert story.lines[:2] == ["in", "in"]
        assert story.lines[-2:] == ["out", "out"]
        assert sorted(story.lines) == ["in"] * 4 + ["out"] * 4
        assert story.took(4)


class TestNotes:
    def test_run(self, run, story):
        async def main():
            await asyncio.sleep(1 * SECOND)
            story.say("hello")

        run(main())
        assert story.lines == ["hello"]
        assert story.took(1)

    def test_runner(self, runner, story):
        async def main():
            await asyncio.sleep(1 * SECOND)
            story.say("hello")

        runner.run(main())
        assert story.lines == ["hello"]

    def test_ways_to_run(self, run, runner, story):
        async def say_after(seconds, word):
            await asyncio.sleep(seconds * SECOND)
            story.say(word)

        async def wait():
            story.say("wait")
            await asyncio.sleep(3 * SECOND)
            story.say("waited")

        async def with_tasks():
            first = asyncio.create_task(say_after(1, "hello"))
            second = asyncio.create_task(say_after(2, "world"))
            await first
            await second

        async def with_group():
            async with asyncio.TaskGroup() as group:
                story.say("before")
                group.create_task(say_after(1, "hello"))
                group.create_task(say_after(2, "world"))
                story.say("after")

        run(wait())
        runner.run(wait())
        run(with_tasks())
        run(with_group())
        assert story.lines == [
            *["wait", "waited"] * 2,
            *["hello", "world"],
            *["before", "after", "hello", "world"],
        ]
        assert story.took(10)
