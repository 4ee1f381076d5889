"""What it costs to begin and to end: imports, loops, `run`."""

import asyncio
import importlib
import time

from loops import module_of

from scenarios._case import Env, NotAvailable, best_of, case, trivial


@case(n=100)
def asyncio_run(env: Env, n: int) -> float:
    """`Runner(loop_factory=...)`, run `trivial()`, close; per run."""

    def run(count):
        for _ in range(count):
            with asyncio.Runner(loop_factory=env.new_loop) as runner:
                runner.run(trivial())

    run(max(1, n // 10))
    return best_of(lambda: run(n)) / n


@case(n=2_000)
def run_until_complete(env: Env, n: int) -> float:
    """`run_until_complete(trivial())` again and again on one loop; per run."""
    loop = env.new_loop()

    def run(count):
        for _ in range(count):
            loop.run_until_complete(trivial())

    try:
        run(max(1, n // 10))
        return best_of(lambda: run(n)) / n
    finally:
        loop.close()


@case(n=200)
def loop_new_close(env: Env, n: int) -> float:
    """Make a loop and close it; per loop."""

    def run(count):
        for _ in range(count):
            env.new_loop().close()

    run(max(1, n // 10))
    return best_of(lambda: run(n)) / n


@case(n=1)
def import_time(env: Env, n: int) -> float:
    """Importing the loop's package after `import asyncio`; once in a process."""
    if env.loop_name == "asyncio":
        raise NotAvailable("is itself what the others are imported after")
    began = time.process_time()
    importlib.import_module(module_of(env.loop_name))
    return time.process_time() - began
