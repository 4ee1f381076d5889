"""A loop that runs inside one of its own steps: nest_asyncio, and loop.run_nested().

apply() changes the whole process, so each case runs in one of its own. What it prints
on asyncio, patched by the same package, is what it must print here; run_nested() has
the same answers.
"""

import asyncio
import importlib.util
import subprocess
import sys
import textwrap

import pytest

from tests.support import SLOWER, child_env, own_types, run_child

PACKAGES = ["nest_asyncio", "nest_asyncio2"]

# run(coroutine) runs it inside of the loop that runs; patch() allows it to.
TOOLS = {
    "asyncio.run": "def run(coro): return asyncio.run(coro)",
    "run_until_complete": """
        def run(coro): return asyncio.get_running_loop().run_until_complete(coro)
    """,
    "run_nested": """
        def run(coro): return asyncio.get_running_loop().run_nested(coro)
    """,
    "run_nested, others wait": """
        def run(coro):
            return asyncio.get_running_loop().run_nested(coro, others="wait")
    """,
}

HEAD = """
import asyncio, contextvars, gc, os, signal, socket, sys, threading, time, warnings

warnings.simplefilter("ignore")
log = []
say = log.append

async def add_one(x):
    await asyncio.sleep(0.001)
    return x + 1

def main_in(main):
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    early and patch(loop)
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()
        for line in log:
            print(line)
"""

CASES = {
    "a coroutine": (
        """
        async def main():
            early or patch(asyncio.get_running_loop())
            say(run(add_one(41)))
        """,
        ["42"],
    ),
    "current task": (
        """
        async def inside():
            return asyncio.current_task()
        async def main():
            early or patch(asyncio.get_running_loop())
            me = asyncio.current_task()
            inner = run(inside())
            say(inner is not me and inner is not None)
            say(asyncio.current_task() is me)
            await asyncio.sleep(0)
            say(asyncio.current_task() is me)
            say(asyncio.all_tasks() == {me})
        """,
        ["True", "True", "True", "True"],
    ),
    "a timeout": (
        """
        async def slow():
            try:
                async with asyncio.timeout(0.01):
                    await asyncio.Event().wait()
            except TimeoutError:
                return "timed out"
        async def main():
            early or patch(asyncio.get_running_loop())
            say(run(slow()))
            async with asyncio.timeout(10):
                say(run(asyncio.wait_for(add_one(1), 5)))
        """,
        ["timed out", "2"],
    ),
    "a group": (
        """
        async def group():
            async with asyncio.TaskGroup() as tasks:
                made = [tasks.create_task(add_one(i)) for i in range(3)]
            return [task.result() for task in made]
        async def main():
            early or patch(asyncio.get_running_loop())
            say(run(group()))
        """,
        ["[1, 2, 3]"],
    ),
    "sockets": (
        """
        async def echo(reader, writer):
            writer.write(await reader.readline())
            writer.close()
        async def talk():
            server = await asyncio.start_server(echo, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"hello\\n")
            answer = await reader.readline()
            writer.close()
            server.close()
            return answer
        async def main():
            early or patch(asyncio.get_running_loop())
            say(run(talk()))
            say(await talk())
        """,
        ["b'hello\\n'", "b'hello\\n'"],
    ),
    "threads": (
        """
        async def main():
            early or patch(asyncio.get_running_loop())
            say(run(asyncio.to_thread(lambda: "from a thread")))
        """,
        ["from a thread"],
    ),
    "an exception": (
        """
        async def fails():
            await asyncio.sleep(0)
            raise ValueError("on purpose")
        async def main():
            early or patch(asyncio.get_running_loop())
            me = asyncio.current_task()
            try:
                run(fails())
            except ValueError as error:
                say(repr(error))
            say(asyncio.current_task() is me)
            say(run(add_one(1)))
        """,
        ["ValueError('on purpose')", "True", "2"],
    ),
    "fifty deep": (
        """
        async def deep(n):
            await asyncio.sleep(0)
            return 0 if n == 0 else 1 + run(deep(n - 1))
        async def main():
            early or patch(asyncio.get_running_loop())
            me = asyncio.current_task()
            sys.setrecursionlimit(5000)
            say(run(deep(50)))
            await asyncio.sleep(0)
            say(asyncio.current_task() is me)
        """,
        ["50", "True"],
    ),
    "cancelled inside": (
        """
        async def inside():
            task = asyncio.ensure_future(asyncio.sleep(10))
            await asyncio.sleep(0)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                return "cancelled"
        async def main():
            early or patch(asyncio.get_running_loop())
            say(run(inside()))
        """,
        ["cancelled"],
    ),
    "the outer task is cancelled meanwhile": (
        """
        async def inside(task):
            task.cancel()
            await asyncio.sleep(0.001)
            return "went on"
        async def main():
            early or patch(asyncio.get_running_loop())
            say(run(inside(asyncio.current_task())))
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                say("cancelled later")
        """,
        ["went on", "cancelled later"],
    ),
    "stopped inside": (
        """
        async def inside():
            asyncio.get_running_loop().stop()
            await asyncio.sleep(10)
        async def work():
            try:
                run(inside())
            except RuntimeError as error:
                say(error)
        async def main():
            early or patch(asyncio.get_running_loop())
            asyncio.ensure_future(work())
            await asyncio.sleep(10)
        def main_in(main, main_in=main_in):
            try:
                main_in(main)
            except RuntimeError as error:
                print(error)
        """,
        ["Event loop stopped before Future completed."] * 2,
    ),
    "the handler of a callback": (
        """
        async def main():
            loop = asyncio.get_running_loop()
            early or patch(loop)
            done = loop.create_future()
            def callback():
                say(asyncio.current_task())
                say(run(add_one(1)))
                say(asyncio.current_task())
                done.set_result(None)
            loop.call_soon(callback)
            await done
        """,
        ["None", "2", "None"],
    ),
    "asynchronous generators and contexts": (
        """
        var = contextvars.ContextVar("var", default="none")
        async def generate():
            for i in range(3):
                yield i
        async def inside():
            seen = var.get()
            var.set("inside")
            return seen, [i async for i in generate()]
        async def main():
            early or patch(asyncio.get_running_loop())
            var.set("main")
            say(run(inside()))
            say(var.get())
        """,
        ["('main', [0, 1, 2])", "main"],
    ),
}

# What the others do meanwhile, so these differ between the two ways of run_nested.
PROGRESS = {
    "others progress": (
        """
        async def ticks():
            while True:
                say("tick")
                await asyncio.sleep(0)
        async def inside():
            for _ in range(3):
                await asyncio.sleep(0)
            say("inside ends")
        async def main():
            early or patch(asyncio.get_running_loop())
            task = asyncio.ensure_future(ticks())
            await asyncio.sleep(0)
            run(inside())
            say("main")
            task.cancel()
        """,
        [],
    ),
    "a context entered further up": (
        """
        async def step(context):
            say("other")
        async def inside():
            await asyncio.sleep(0.001)
            say("inside")
        async def main():
            loop = asyncio.get_running_loop()
            early or patch(loop)
            context = contextvars.copy_context()
            errors = []
            loop.set_exception_handler(lambda loop, info: say(info["message"]))
            async def cell():
                loop.call_soon(say, "callback", context=context)
                loop.create_task(step(context), context=context)
                run(inside())
                say("cell")
            await loop.create_task(cell(), context=context)
            await asyncio.sleep(0.01)
        """,
        ["inside", "cell", "callback", "other"],
    ),
}


# How far the iteration around goes on after a nested run, which took its entries.
PROGRESS["the outer iteration goes on"] = (
    """
    async def ticks(name):
        for i in range(6):
            say((name, i))
            await asyncio.sleep(0)
    async def inside():
        await asyncio.sleep(0)
    async def nests(loop):
        run(inside())
        loop.call_later(0, say, "timer")
        loop.call_soon(say, "callback")
        loop.call_soon_threadsafe(say, "from a thread")
    async def main():
        loop = asyncio.get_running_loop()
        early or patch(loop)
        await asyncio.gather(ticks("a"), nests(loop), ticks("b"), ticks("c"))
    """,
    [],
)
PROGRESS["who makes the task"] = (
    """
    def name_of(task):
        return task and task.get_name()
    def factory(loop, coro, **keywords):
        say(("made by", name_of(asyncio.current_task())))
        return asyncio.Task(coro, loop=loop, **keywords)
    async def inside():
        await asyncio.sleep(0)
        say(name_of(asyncio.current_task()) != "who nests")
    async def main():
        loop = asyncio.get_running_loop()
        early or patch(loop)
        asyncio.current_task().set_name("who nests")
        loop.set_task_factory(factory)
        run(inside())
        say(name_of(asyncio.current_task()))
    """,
    [],
)


def program(body, tool, package, early):
    apply = "" if package is None else f"import {package}; {package}.apply(loop)"
    parts = [
        HEAD,
        f"early = {early}",
        f"def patch(loop): {apply or 'pass'}",
        textwrap.dedent(TOOLS[tool]),
        textwrap.dedent(body),
        "main_in(main)",
    ]
    return "\n".join(parts)


def says(kind, body, tool, package=None, early=True):
    # -u: what a child that hangs has said so far
    done = run_child(kind, program(body, tool, package, early), flags=("-u",))
    return done.stdout.splitlines(), done.stderr, done.returncode


def need(package):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


@pytest.mark.parametrize("early", [True, False], ids=["before", "while it runs"])
@pytest.mark.parametrize("tool", ["asyncio.run", "run_until_complete"])
@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("case", CASES)
def test_after_apply(case, package, tool, early):
    need(package)
    body, expected = CASES[case]
    assert says("fastloop", body, tool, package, early) == (expected, "", 0)


@pytest.mark.parametrize("tool", ["run_nested", "run_nested, others wait"])
@pytest.mark.parametrize("case", CASES)
def test_run_nested(case, tool):
    body, expected = CASES[case]
    assert says("fastloop", body, tool) == (expected, "", 0)


@pytest.mark.parametrize("case", [*CASES, *PROGRESS])
def test_asyncio_says_the_same(case):
    """asyncio with nest_asyncio2, which is right on all Pythons."""
    need("nest_asyncio2")
    body, expected = {**CASES, **PROGRESS}[case]
    theirs = says("asyncio", body, "run_until_complete", "nest_asyncio2")
    assert theirs[1:] == ("", 0)
    if expected:
        assert theirs[0] == expected
    assert says("fastloop", body, "run_until_complete", "nest_asyncio2") == theirs


def test_others_wait():
    """They have their turns after the return, in order, and none before."""
    body = """
        async def old(name):
            say(name)
            await asyncio.sleep(0)
            say(name + " again")
        async def born_inside():
            await asyncio.sleep(0.002)
            say("born inside")
        async def inside(loop):
            child = asyncio.ensure_future(born_inside())
            woken.set_result(None)
            loop.call_soon(say, "callback made inside")
            loop.call_later(0.001, say, "timer made inside")
            await child
            await loop.run_in_executor(None, int)
            say("inside ends")
        async def waits():
            await woken
            say("woken")
        async def main():
            global woken
            loop = asyncio.get_running_loop()
            woken = loop.create_future()
            tasks = [loop.create_task(waits())]
            await asyncio.sleep(0)
            loop.call_soon(say, "callback made before")
            tasks += [loop.create_task(old(name)) for name in "ab"]
            loop.call_later(0, say, "timer made before")
            run(inside(loop))
            say("main")
            await asyncio.gather(*tasks)
    """
    assert says("fastloop", body, "run_nested, others wait") == (
        [
            "callback made inside",
            "timer made inside",
            "born inside",
            "inside ends",
            "main",
            "callback made before",
            "a",
            "b",
            "timer made before",
            "woken",
            "a again",
            "b again",
        ],
        "",
        0,
    )


@pytest.mark.parametrize("others", ["run", "wait"])
def test_a_task_that_was_there_is_awaited(others):
    body = f"""
        def run(aw): return asyncio.get_running_loop().run_nested(aw, others={others!r})
        async def main():
            loop = asyncio.get_running_loop()
            say(run(loop.create_task(add_one(1))))
            say(run(loop.run_in_executor(None, str)))
            done = loop.create_future()
            done.set_result(3)
            say(run(done))
    """
    assert says("fastloop", body, "run_nested") == (["2", "", "3"], "", 0)


def test_without_either(fast_loop):
    loop = fast_loop

    async def main():
        with pytest.raises(
            RuntimeError, match=r"^This event loop is already running"
        ) as info:
            loop.run_until_complete(loop.create_future())
        for name in "run_nested", "nest_asyncio.apply":
            assert name in str(info.value)
        assert not hasattr(loop, "_nest_patched")

    loop.run_until_complete(main())


def test_run_nested_outside_of_a_run(fast_loop):
    async def five():
        return 5

    assert fast_loop.run_nested(five()) == 5
    assert fast_loop.run_nested(five(), others="wait") == 5


def test_run_nested_refuses(fast_loop):
    loop = fast_loop

    async def main():
        with pytest.raises(ValueError, match="others must be"):
            loop.run_nested(loop.create_future(), others="walk")
        with pytest.raises(TypeError):
            loop.run_nested()
        with pytest.raises(TypeError):
            loop.run_nested(5)
        with pytest.raises(TypeError):
            loop.run_nested(loop.create_future(), other="run")

        def elsewhere():
            with pytest.raises(RuntimeError, match="another thread"):
                loop.run_nested(loop.create_future())
            return True

        assert await loop.run_in_executor(None, elsewhere)
        assert asyncio.current_task() is not None
        await loop.shutdown_default_executor()

    loop.run_until_complete(main())


@pytest.mark.parametrize("package", PACKAGES)
def test_levels_that_finish_in_the_wrong_order(package):
    """What the outermost run awaits is done while others run inside."""
    need(package)
    body = """
        async def inside(outermost):
            await asyncio.sleep(0)
            outermost.set_result("the outermost")
            await asyncio.sleep(0.01)
            return "the innermost"
        async def middle(outermost):
            say(run(inside(outermost)))
            return "the middle"
        async def start(outermost):
            say(run(middle(outermost)))
        loop = new_event_loop()
        patch(loop)
        outermost = loop.create_future()
        task = loop.create_task(start(outermost))
        print(loop.run_until_complete(outermost))
        loop.run_until_complete(task)
        loop.close()
        for line in log: print(line)
        def main_in(main): pass
        main = None
    """
    expected = ["the outermost", "the innermost", "the middle"]
    for kind in "asyncio", "fastloop":
        assert says(kind, body, "run_until_complete", package) == (expected, "", 0)


@own_types
@pytest.mark.parametrize("others", ["run", "wait"])
def test_thousands_deep(others):
    body = f"""
        async def deep(n):
            return asyncio.get_running_loop().run_nested(deep(n + 1), {others!r})
        async def main():
            me = asyncio.current_task()
            try:
                await deep(0)
            except RecursionError as error:
                say("RecursionError")
            say(asyncio.current_task() is me)
            await asyncio.sleep(0)
            say(len(asyncio.all_tasks()))
    """
    said, noise, status = says("fastloop", body, "run_nested")
    assert (said, status) == (["RecursionError", "True", "1"], 0)
    # At its limit 3.12 cannot say everything, under nest_asyncio2 neither.
    assert {line.partition(":")[0] for line in noise.splitlines()} <= {
        "Exception ignored in sys.unraisablehook",
        "RecursionError",
    }


def test_interrupted_inside():
    """KeyboardInterrupt leaves the nested run, and finds the outer one whole."""
    body = """
        async def inside():
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(10)
        async def other():
            await asyncio.sleep(0.001)
            return "other"
        async def main():
            me = asyncio.current_task()
            task = asyncio.ensure_future(other())
            try:
                run(inside())
            except KeyboardInterrupt:
                say("interrupted")
            say(asyncio.current_task() is me)
            say(await task)
    """
    expected = ["interrupted", "True", "other"]
    assert says("fastloop", body, "run_nested") == (expected, "", 0)


@own_types
def test_its_own_context_is_entered():
    """It could never run: an error instead of a hang."""
    body = """
        async def main():
            context = contextvars.copy_context()
            async def cell():
                loop = asyncio.get_running_loop()
                task = loop.create_task(add_one(1), context=context)
                try:
                    run(task)
                except RuntimeError as error:
                    say("context is entered already" in str(error))
                say(await task)
            await asyncio.get_running_loop().create_task(cell(), context=context)
    """
    assert says("fastloop", body, "run_nested") == (["True", "2"], "", 0)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_loop_inside_another(package):
    need(package)
    body = """
        async def inside(outer):
            await asyncio.sleep(0)
            say(asyncio.get_running_loop() is not outer)
            say(outer.run_until_complete(add_one(1)))
            say(asyncio.get_running_loop() is not outer)
            return asyncio.current_task() is not None
        async def main():
            outer = asyncio.get_running_loop()
            me = asyncio.current_task()
            loop = new_event_loop()
            patch(loop)
            say(loop.run_until_complete(inside(outer)))
            loop.close()
            say(asyncio.get_running_loop() is outer)
            say(asyncio.current_task() is me)
            await asyncio.sleep(0.001)
            say(asyncio.current_task() is me)
    """
    expected = ["True", "2", "True", "True", "True", "True", "True"]
    assert says("fastloop", body, "run_until_complete", package) == (expected, "", 0)


def test_threads_with_a_loop_each():
    need("nest_asyncio2")
    body = """
        async def deep(n):
            await asyncio.sleep(0)
            return 0 if n == 0 else 1 + asyncio.run(deep(n - 1))
        async def main():
            patch(asyncio.get_running_loop())
            return run(deep(5))
        def work():
            loop = new_event_loop()
            asyncio.set_event_loop(loop)
            for _ in range(20):
                assert loop.run_until_complete(main()) == 5
            loop.close()
            say("done")
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        async def main_of_all():
            pass
        main_in(main_of_all)
        main = main_of_all
    """
    out = says("fastloop", body, "asyncio.run", "nest_asyncio2", early=False)
    assert out[0][:4] == ["done"] * 4, out


RANDOM = """
import random

async def work(rng, depth, name):
    loop = asyncio.get_running_loop()
    me = asyncio.current_task()
    for step in range(rng.randrange(1, 5)):
        say((name, step))
        what = rng.randrange(8)
        if what == 0:
            await asyncio.sleep(0)
        elif what == 1:
            loop.call_soon(say, (name, "callback"))
        elif what == 2:
            made.append(loop.create_task(work(fork(rng), depth + 1, name + "t")))
        elif what == 3 and made and cancels:
            rng.choice(made).cancel(name)
        elif what == 4:
            future = loop.create_future()
            future.add_done_callback(lambda future: say((name, "done")))
            loop.call_soon(lambda: future.done() or future.set_result(None))
            await future
        elif what == 5:
            raise ValueError(name)
        elif depth < 6 and what > 5:
            try:
                say((name, run(work(fork(rng), depth + 1, name + "n"))))
            except (ValueError, asyncio.CancelledError) as error:
                say((name, type(error).__name__, str(error)))
            assert asyncio.current_task() is me
    return name

def fork(rng):
    return random.Random(rng.random())

async def main():
    global made
    loop = asyncio.get_running_loop()
    early or patch(loop)
    me = asyncio.current_task()
    for seed in range(200):
        say(seed)
        made = []
        rng = random.Random(seed)
        made += [loop.create_task(work(fork(rng), 0, name)) for name in "abc"]
        while not all(task.done() for task in made):
            await asyncio.gather(*made, return_exceptions=True)
        await asyncio.sleep(0)  # for the last callbacks
        await asyncio.sleep(0)
        say([
            "cancelled" if task.cancelled() else str(task.exception() or task.result())
            for task in made
        ])
        assert asyncio.all_tasks() == {me}
        assert asyncio.current_task() is me
"""


def test_random_programs():
    """Nesting at any await; that all is right after each run the program asserts."""
    need("nest_asyncio2")
    body = "cancels = True\n" + RANDOM
    said = says("fastloop", body, "run_nested")
    assert said[1:] == ("", 0)
    assert len(said[0]) > 2000
    assert says("fastloop", body, "run_until_complete", "nest_asyncio2") == said


def test_random_programs_of_all_kinds():
    """The same trace as asyncio's with nest_asyncio2: tests/core/random_programs.py."""
    need("nest_asyncio2")
    command = "-m", "tests.core.random_programs", "--nested", "--programs", "60"
    done = subprocess.run(
        [sys.executable, *command],
        env=child_env(),
        capture_output=True,
        text=True,
        timeout=120 * SLOWER,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("60 programs of tasks that nest")


def test_the_entry_of_asyncios_own_pipe():
    """asyncio's iteration goes on for one entry more: it has one that we have not."""
    need("nest_asyncio2")
    body = """
        async def inside():
            pass
        async def main():
            loop = asyncio.get_running_loop()
            loop.call_soon_threadsafe(int)
            await asyncio.sleep(0)
            run(inside())
            loop.call_soon(lambda: loop.call_soon(say, "callback"))
            loop.call_later(0, say, "timer")
            await asyncio.sleep(0.001)
    """
    theirs = says("asyncio", body, "run_until_complete", "nest_asyncio2")
    ours = says("fastloop", body, "run_until_complete", "nest_asyncio2")
    assert theirs == (["callback", "timer"], "", 0)
    assert ours == (["timer", "callback"], "", 0)


@pytest.mark.parametrize("package", PACKAGES)
def test_applied_to_a_loop_of_asyncios(package):
    """Its class, whose subclass ours is, has nest_asyncio's methods from then on."""
    need(package)
    body = f"""
        import {package}
        async def main():
            say(run(add_one(1)))
            say(asyncio.run(add_one(2)))
        theirs = asyncio.SelectorEventLoop()
        {package}.apply(theirs)
        theirs.run_until_complete(main())
        theirs.close()
        loop = new_event_loop()
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
    """
    expected = (["2", "3"] * 2, "", 0)
    assert says("fastloop", body, "run_until_complete") == expected
