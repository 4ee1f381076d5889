"""fastloop in subinterpreters, with a GIL of their own and without."""

import sys

import pytest

from tests.support import child_says, run_child

PROGRAM = """
import asyncio
from {module} import new_event_loop
async def child(n):
    await asyncio.sleep(0.001)
    return n
async def main():
    return sum(await asyncio.gather(*(child(n) for n in range(10))))
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    answer = runner.run(main())
assert answer == 45, answer
"""

# How a subinterpreter is made, by the Python that runs.
if sys.version_info >= (3, 13):
    MODULE = "_interpreters"
    OWN_GIL = "interpreters.create('isolated')"
    SHARED_GIL = "interpreters.create('legacy')"
    RUN = "error = interpreters.run_string(one, program); assert error is None, error"
else:
    MODULE = "_xxsubinterpreters"
    OWN_GIL = "interpreters.create()"
    SHARED_GIL = "interpreters.create(isolated=False)"
    RUN = "interpreters.run_string(one, program)"

SOURCE = f"""
import sys, threading
import {MODULE} as interpreters
program = sys.argv[1]
def run(make):
    one = make()
    {RUN}
    interpreters.destroy(one)
own = lambda: {OWN_GIL}
shared = lambda: {SHARED_GIL}
"""


def says(kind, source):
    program = PROGRAM.format(module=kind)
    return child_says(kind, SOURCE + source + "\nprint('done')", program, flags=())


@pytest.fixture(scope="module")
def own_gil():
    """Skips where the running Python offers no GIL of one's own, or a broken one."""
    if sys.version_info < (3, 12):
        pytest.skip("a GIL of one's own came with 3.12")
    program = PROGRAM.format(module="asyncio")
    done = run_child("asyncio", SOURCE + "run(own)", program, flags=())
    if done.returncode:
        # 3.12.1 frees a pointer that it should not.
        pytest.skip(f"asyncio itself ends so there: {done.stderr.strip()}")


@pytest.mark.usefixtures("own_gil")
def test_with_a_gil_of_its_own(loop_kind):
    assert says(loop_kind, "run(own)") == "done\n"


def test_with_the_shared_gil(loop_kind):
    assert says(loop_kind, "run(shared)") == "done\n"


def test_one_after_the_other(loop_kind):
    assert says(loop_kind, "for _ in range(3): run(shared)") == "done\n"


@pytest.mark.usefixtures("own_gil")
def test_beside_a_loop_in_the_main_interpreter(loop_kind):
    source = """
import asyncio
async def main():
    await asyncio.sleep(0.001)
    run(own)
    await asyncio.sleep(0.001)
    left, right = socket.socketpair()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "pass")
    assert await process.wait() == 0
    left.close()
    right.close()
import socket
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main())
"""
    assert says(loop_kind, source) == "done\n"


@pytest.mark.usefixtures("own_gil")
def test_several_at_once(loop_kind):
    source = """
failed = []
def work():
    try:
        run(own)
    except BaseException as exc:
        failed.append(exc)
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failed, failed
"""
    assert says(loop_kind, source) == "done\n"


def test_a_second_import_in_one_interpreter(fast_loop):
    """Multi-phase initialisation: two modules in one process, each with its types."""
    import fastloop._core as first

    source = """
import asyncio, importlib.util, sys
import fastloop._core as first
spec = importlib.util.find_spec("fastloop._core")
second = importlib.util.module_from_spec(spec)
spec.loader.exec_module(second)
assert second is not first
assert second.EventLoop is not first.EventLoop
print("two")
"""
    assert first is sys.modules["fastloop._core"]
    assert child_says("fastloop", source) == "two\n"
