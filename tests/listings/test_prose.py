"""What the documents say in prose, point by point."""

import asyncio
import contextvars
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.listings.clock import SECOND
from tests.support import child_env, run_child


class TestCoroutines:
    def test_calling_one_gives_a_coroutine_and_runs_nothing(self, run, story):
        async def speak():
            story.say("ran")

        async def main():
            coroutine = speak()
            await asyncio.sleep(0)
            assert story.lines == []
            await coroutine
            assert story.lines == ["ran"]

        run(main())

    def test_one_never_awaited_is_told_of(self, run):
        async def forgotten():
            pass

        async def main():
            forgotten()

        with pytest.warns(RuntimeWarning, match="'.*forgotten' was never awaited"):
            run(main())

    def test_run_makes_a_loop_and_closes_it(self, run):
        async def main():
            return asyncio.get_running_loop()

        first, second = run(main()), run(main())
        assert first is not second
        assert first.is_closed()
        assert second.is_closed()

    def test_await_pauses_its_caller_only(self, run, story):
        async def other():
            for n in range(3):
                story.say("other", n)
                await asyncio.sleep(0)

        async def main():
            task = asyncio.create_task(other())
            story.say("main pauses")
            await asyncio.sleep(1 * SECOND)
            story.say("main goes on")
            await task

        run(main())
        assert story.lines == [
            "main pauses",
            "other 0",
            "other 1",
            "other 2",
            "main goes on",
        ]

    def test_awaited_one_after_the_other_they_run_in_sequence(self, run, story):
        async def main():
            await story.sleep(2)
            await story.sleep(1)

        run(main())
        assert story.lines == ["start 2", "end 2", "start 1", "end 1"]
        assert story.took(3)


class TestTasks:
    @pytest.mark.parametrize("n_tasks", [3, 10, 1000])
    def test_any_number_of_sleeps_takes_as_long_as_one(self, run, story, n_tasks):
        async def main():
            tasks = [
                asyncio.create_task(asyncio.sleep(4 * SECOND, n))
                for n in range(n_tasks)
            ]
            return [await task for task in tasks]

        assert run(main()) == list(range(n_tasks))
        assert story.took(4)

    def test_create_task_returns_at_once(self, run, story):
        async def main():
            task = asyncio.create_task(story.sleep(1))
            assert story.lines == []
            assert not task.done()
            await task

        run(main())

    def test_a_task_not_awaited_is_cancelled_at_the_end(self, run, story):
        async def background():
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                story.say("cancelled")
                raise

        async def main():
            story.task = asyncio.create_task(background())
            await asyncio.sleep(0)

        run(main())
        assert story.lines == ["cancelled"]
        assert story.task.cancelled()

    def test_gather_keeps_the_order_of_its_arguments(self, run, story):
        async def main():
            return await asyncio.gather(*(story.sleep(n) for n in (3, 1, 2)))

        assert run(main()) == [3, 1, 2]
        assert story.lines[3:] == ["end 1", "end 2", "end 3"]

    def test_gather_and_exceptions(self, run):
        async def fail():
            raise ValueError("failed")

        async def main():
            found = await asyncio.gather(
                fail(), asyncio.sleep(0, 1), return_exceptions=True
            )
            with pytest.raises(ValueError, match="failed"):
                await asyncio.gather(fail(), asyncio.sleep(0))
            return type(found[0]), found[1]

        assert run(main()) == (ValueError, 1)

    def test_a_group_waits_at_its_end_and_has_the_results_after(self, run, story):
        async def main():
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(story.sleep(n)) for n in (1, 2)]
                story.say("inside")
            story.say("outside")
            return [task.result() for task in tasks]

        assert run(main()) == [1, 2]
        assert story.lines[0] == "inside"
        assert story.lines[-1] == "outside"

    def test_a_group_cancels_the_rest_when_one_fails(self, run, story):
        async def fail():
            raise ValueError("failed")

        async def main():
            with pytest.raises(ExceptionGroup) as info:
                async with asyncio.TaskGroup() as group:
                    group.create_task(story.sleep(1000))
                    group.create_task(fail())
            return [str(exc) for exc in info.value.exceptions]

        assert run(main()) == ["failed"]
        assert story.lines == ["start 1000"]

    def test_as_completed_and_wait(self, run, story):
        async def main():
            found = [
                await next_one
                for next_one in asyncio.as_completed(
                    [story.sleep(n) for n in (3, 1, 2)]
                )
            ]
            tasks = {asyncio.create_task(story.sleep(n)) for n in (1, 1000)}
            done, pending = await asyncio.wait(
                tasks, return_when=asyncio.FIRST_COMPLETED
            )
            for task in pending:
                task.cancel()
            return found, [task.result() for task in done], len(pending)

        assert run(main()) == ([1, 2, 3], [1], 1)


class TestCancelling:
    def test_cancel_makes_the_next_await_raise(self, run, story):
        async def worker():
            story.say("works")
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                story.say("told")
                raise

        async def main():
            task = asyncio.create_task(worker())
            await asyncio.sleep(0)
            assert task.cancel()
            assert not task.done()
            with pytest.raises(asyncio.CancelledError):
                await task
            return task.cancelled()

        assert run(main())
        assert story.lines == ["works", "told"]

    def test_a_task_may_handle_it(self, run, story):
        async def worker():
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                await story.sleep(0)
                return "cleaned up"

        async def main():
            task = asyncio.create_task(worker())
            await asyncio.sleep(0)
            task.cancel()
            return await task, task.cancelled()

        assert run(main()) == ("cleaned up", False)

    def test_one_not_started_never_starts(self, run, story):
        async def main():
            task = asyncio.create_task(story.sleep(1))
            task.cancel()
            await asyncio.wait([task])
            return task.cancelled()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            assert run(main())
        assert story.lines == []

    def test_wait_for_cancels_and_raises(self, run, story):
        async def worker():
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                story.say("cancelled")
                raise

        async def main():
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(worker(), 0.2 * SECOND)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(worker(), 0.2 * SECOND)

        run(main())
        assert story.lines == ["cancelled", "cancelled"]

    def test_shield_keeps_the_task_running(self, run, story):
        async def main():
            task = asyncio.create_task(story.sleep(2))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(task), 0.5 * SECOND)
            assert not task.cancelled()
            story.say("timed out")
            return await task

        assert run(main()) == 2
        assert story.lines == ["start 2", "timed out", "end 2"]


class TestFutures:
    def test_incomplete_until_set(self, run):
        async def main():
            future = asyncio.get_running_loop().create_future()
            assert not future.done()
            with pytest.raises(asyncio.InvalidStateError):
                future.result()
            future.set_result("value")
            assert future.done()
            with pytest.raises(asyncio.InvalidStateError):
                future.set_result("again")
            return future.result()

        assert run(main()) == "value"

    def test_made_by_its_class(self, run):
        async def main():
            future = asyncio.Future()
            asyncio.get_running_loop().call_soon(future.set_result, 42)
            return await future

        assert run(main()) == 42

    def test_awaiting_one_waits_for_its_value(self, run, story):
        async def setter(future):
            await asyncio.sleep(1 * SECOND)
            story.say("sets")
            future.set_result(42)

        async def main():
            future = asyncio.Future()
            task = asyncio.create_task(setter(future))
            story.say("waits")
            story.say("got", await future)
            await task

        run(main())
        assert story.lines == ["waits", "sets", "got 42"]

    def test_they_bridge_callbacks_to_await(self, run):
        def fetch(callback):
            threading.Timer(0.001, callback, args=("fetched",)).start()

        async def fetched():
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            fetch(lambda value: loop.call_soon_threadsafe(future.set_result, value))
            return await future

        assert run(fetched()) == "fetched"

    def test_exceptions(self, run):
        async def main():
            future = asyncio.Future()
            future.set_exception(ValueError("wrong"))
            with pytest.raises(ValueError, match="wrong"):
                await future

        run(main())

    def test_a_task_is_a_future_around_a_coroutine(self, run):
        async def give(value):
            if isinstance(value, Exception):
                raise value
            return value

        async def main():
            good = asyncio.create_task(give(1))
            bad = asyncio.create_task(give(ValueError("wrong")))
            assert issubclass(asyncio.Task, asyncio.Future)
            assert isinstance(good, asyncio.Future)
            await asyncio.wait([good, bad])
            return good.result(), str(bad.exception())

        assert run(main()) == (1, "wrong")


class TestPitfalls:
    def test_computing_stops_every_other_task(self, run, story):
        def compute():
            end = time.monotonic() + 1 * SECOND
            while time.monotonic() < end:
                pass

        async def busy(name):
            story.say(name, "starts")
            compute()
            story.say(name, "ends")

        async def main():
            await asyncio.gather(busy("a"), busy("b"))

        run(main())
        assert story.lines == ["a starts", "a ends", "b starts", "b ends"]
        assert story.took(2)

    def test_blocking_stops_every_other_task(self, run, story):
        async def block():
            time.sleep(2 * SECOND)

        async def main():
            await asyncio.gather(block(), block(), story.sleep(1))

        run(main())
        assert story.took(4)

    @pytest.mark.parametrize("how", ["to_thread", "default executor", "executor"])
    def test_threads_are_the_way_round(self, run, story, how):
        async def in_thread(function, *args):
            loop = asyncio.get_running_loop()
            if how == "to_thread":
                return await asyncio.to_thread(function, *args)
            if how == "default executor":
                return await loop.run_in_executor(None, function, *args)
            with ThreadPoolExecutor() as pool:
                return await loop.run_in_executor(pool, function, *args)

        async def main():
            task = asyncio.create_task(in_thread(time.sleep, 2 * SECOND))
            await story.sleep(1)
            story.say("meanwhile")
            await task
            return await in_thread(threading.current_thread)

        assert run(main()) is not threading.main_thread()
        assert story.lines == ["start 1", "end 1", "meanwhile"]

    def test_threads_block_at_once(self, run, story):
        async def main():
            await asyncio.gather(
                *(asyncio.to_thread(time.sleep, 10 * SECOND) for _ in range(4))
            )

        run(main())
        assert story.took(10)

    def test_to_thread_takes_the_context_along(self, run):
        number = contextvars.ContextVar("number")

        async def main():
            number.set(5)
            return await asyncio.to_thread(number.get)

        assert run(main()) == 5

    def test_exceptions_come_back_from_threads(self, run):
        async def main():
            with pytest.raises(ZeroDivisionError):
                await asyncio.to_thread(lambda: 1 / 0)

        run(main())

    def test_processes_are_another(self, loop_kind, tmp_path):
        program = tmp_path / "program.py"
        program.write_text(
            f"""
import asyncio
from concurrent.futures import ProcessPoolExecutor
from {loop_kind} import new_event_loop

def cube(n):
    return n ** 3

async def main():
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(2) as pool:
        return await asyncio.gather(
            *(loop.run_in_executor(pool, cube, n) for n in range(5))
        )

if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        print(runner.run(main()))
"""
        )
        done = subprocess.run(
            [sys.executable, program],
            env=child_env(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("[0, 1, 8, 27, 64]\n", "")


class TestTheLoopByHand:
    def test_made_run_closed(self, loop_factory, story):
        loop = loop_factory()
        try:
            assert loop.run_until_complete(story.sleep(1)) == 1
        finally:
            loop.close()
        assert story.lines == ["start 1", "end 1"]
        assert loop.is_closed()

    def test_set_as_the_current_one(self, loop_factory):
        loop = loop_factory()
        asyncio.set_event_loop(loop)
        try:
            assert asyncio.get_event_loop() is loop
            assert loop.run_until_complete(asyncio.sleep(0, "result")) == "result"
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    def test_the_running_loop_inside_a_coroutine(self, loop):
        async def main():
            return asyncio.get_running_loop(), asyncio.get_event_loop()

        assert loop.run_until_complete(main()) == (loop, loop)

    def test_call_soon_runs_in_the_next_iteration(self, loop, story):
        async def main():
            asyncio.get_running_loop().call_soon(story.say, "callback")
            story.say("asked")
            await asyncio.sleep(0)
            story.say("went on")

        loop.run_until_complete(main())
        assert story.lines == ["asked", "callback", "went on"]

    def test_call_later(self, loop, story):
        async def main():
            loop.call_later(1 * SECOND, story.say, "later")
            await story.sleep(2)

        loop.run_until_complete(main())
        assert story.lines == ["start 2", "later", "end 2"]

    def test_create_task(self, loop, story):
        async def main():
            return await loop.create_task(story.sleep(1))

        assert loop.run_until_complete(main()) == 1

    def test_run_forever_and_stop(self, loop, story):
        async def main():
            await story.sleep(1)
            loop.stop()

        task = loop.create_task(main())
        loop.run_forever()
        assert task.done()


class TestRunners:
    @pytest.mark.parametrize("debug", [None, True, False])
    def test_run_with_debug(self, run, debug):
        async def main():
            return asyncio.get_running_loop().get_debug()

        assert run(main(), debug=debug) is bool(debug)

    @pytest.mark.skipif(
        sys.version_info < (3, 12), reason="loop_factory came with 3.12"
    )
    def test_run_with_a_factory(self, loop_factory):
        async def main():
            return type(asyncio.get_running_loop())

        kind = asyncio.run(main(), loop_factory=loop_factory)
        loop = loop_factory()
        loop.close()
        assert kind is type(loop)

    def test_several_runs_in_one_loop_and_context(self, loop_factory):
        number = contextvars.ContextVar("number", default=0)

        async def step():
            number.set(number.get() + 1)
            return number.get(), asyncio.get_running_loop()

        with asyncio.Runner(debug=False, loop_factory=loop_factory) as runner:
            first, second = runner.run(step()), runner.run(step())
            assert first == (1, runner.get_loop())
            assert second == (2, runner.get_loop())
        assert runner_is_closed(runner)

    def test_a_runner_closed_by_hand(self, loop_factory, story):
        runner = asyncio.Runner(loop_factory=loop_factory)
        runner.run(story.sleep(1))
        loop = runner.get_loop()
        runner.close()
        assert loop.is_closed()
        runner.close()

    def test_ctrl_c(self, loop_factory, story):
        async def main():
            try:
                signal.raise_signal(signal.SIGINT)
                await asyncio.sleep(100)
            finally:
                story.say("cleaned up")

        with (
            asyncio.Runner(loop_factory=loop_factory) as runner,
            pytest.raises(KeyboardInterrupt),
        ):
            runner.run(main())
        assert story.lines == ["cleaned up"]


def runner_is_closed(runner):
    with pytest.raises(RuntimeError, match="Runner is closed"):
        runner.get_loop()
    return True


class TestDebugMode:
    SOURCE = """
import asyncio, time
async def forgotten():
    pass
async def slow():
    time.sleep(0.11)
async def main():
    forgotten()
    await asyncio.create_task(slow())
with asyncio.Runner(debug={debug}, loop_factory=new_event_loop) as runner:
    runner.run(main())
"""

    @pytest.mark.parametrize(
        ("flags", "env", "debug"),
        [
            ((), {}, True),
            (("-X", "dev"), {}, None),
            ((), {"PYTHONASYNCIODEBUG": "1"}, None),
        ],
        ids=["debug=True", "-X dev", "PYTHONASYNCIODEBUG=1"],
    )
    def test_three_ways(self, loop_kind, flags, env, debug):
        source = self.SOURCE.format(debug=debug)
        done = run_child(loop_kind, source, flags=flags, **env)
        assert done.returncode == 0
        assert re.search(
            r"Executing <Task .*slow\(\).* took 0\.1\d\d seconds", done.stderr
        )
        assert "'forgotten' was never awaited" in done.stderr
        assert "Coroutine created at (most recent call last)" in done.stderr

    def test_silent_without(self, loop_kind):
        done = run_child(loop_kind, self.SOURCE.format(debug=None), flags=())
        assert "Executing" not in done.stderr
        assert "'forgotten' was never awaited" in done.stderr
        assert "created at" not in done.stderr
