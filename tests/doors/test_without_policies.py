"""fastloop on a Python whose asyncio has no event loop policies, as 3.16 will be."""

import sys

import pytest

from .programs import FASTLOOP, PYTHON, environment, run

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 14), reason="this asyncio's child watchers need policies"
)

# Read by each Python that starts with it on its path, before asyncio is there: it takes
# the policies out of asyncio as soon as it is imported.
TAKE_POLICIES_OUT = """
import sys
import threading


class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != "asyncio":
            return None
        sys.meta_path.remove(self)
        from importlib.util import find_spec

        spec = find_spec(name)
        exec_module = spec.loader.exec_module

        def exec_without(module):
            exec_module(module)
            take_out(module)

        spec.loader.exec_module = exec_without
        return spec


def take_out(asyncio):
    local = threading.local()
    events, unix_events = asyncio.events, asyncio.unix_events

    def new_event_loop():
        return unix_events.SelectorEventLoop()

    def set_event_loop(loop):
        local.loop = loop

    def get_event_loop():
        loop = events._get_running_loop() or getattr(local, "loop", None)
        if loop is None:
            raise RuntimeError("there is no current event loop")
        return loop

    for module in asyncio, events, unix_events, asyncio.__dict__["runners"]:
        for name in list(vars(module)):
            if "olicy" in name:
                delattr(module, name)
        for made in new_event_loop, set_event_loop, get_event_loop:
            if hasattr(module, made.__name__):
                setattr(module, made.__name__, made)
    del asyncio.__getattr__
    asyncio.__all__ = tuple(n for n in asyncio.__all__ if "olicy" not in n)


sys.meta_path.insert(0, Finder())
"""


@pytest.fixture
def without(tmp_path):
    """The environment of a Python without policies."""
    (tmp_path / "sitecustomize.py").write_text(TAKE_POLICIES_OUT)
    return environment(PYTHONPATH=str(tmp_path), PYTHONWARNINGS="error")


def said(without, door, *program):
    done = run(door, *program, env=without)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_policies_are_gone(without):
    script = "import asyncio; print([n for n in dir(asyncio) if 'olicy' in n])"
    assert said(without, PYTHON, "-c", script) == "[]\n"


LOOP = """
import asyncio

async def main():
    process = await asyncio.create_subprocess_exec("true")
    return type(asyncio.get_running_loop()).__module__, await process.wait()

"""


def test_run_and_new_event_loop(without):
    script = f"""{LOOP}
import fastloop
print(*fastloop.run(main()))
loop = fastloop.new_event_loop()
asyncio.set_event_loop(loop)
print(*asyncio.get_event_loop().run_until_complete(main()))
loop.close()
with asyncio.Runner(loop_factory=fastloop.new_event_loop) as runner:
    print(*runner.run(main()))
print(*asyncio.run(main(), loop_factory=fastloop.new_event_loop))
"""
    assert said(without, PYTHON, "-c", script) == "fastloop 0\n" * 4


def test_python_m_fastloop(without):
    script = f"""{LOOP}
print(*asyncio.run(main()))
with asyncio.Runner() as runner:
    print(*runner.run(main()))
loop = asyncio.new_event_loop()
print(*loop.run_until_complete(main()))
loop.close()
"""
    assert said(without, FASTLOOP, "-c", script) == "fastloop 0\n" * 3
    assert said(without, FASTLOOP, "--accelerate", "-c", script) == "fastloop 0\n" * 3


def test_children_of_python_m_fastloop(without):
    script = f"""{LOOP}
import subprocess, sys
code = "import asyncio\\nasync def main(): print(asyncio.get_running_loop())\\n"
subprocess.run([sys.executable, "-c", code + "asyncio.run(main())"], check=True)
"""
    ran = said(without, FASTLOOP, "--children", "-c", script)
    assert ran.startswith("<fastloop.Loop ")


def test_the_repl(without):
    done = run(
        FASTLOOP,
        env=without,
        input="import asyncio\nprint(type(asyncio.get_running_loop()))\n",
    )
    assert done.returncode == 0
    assert "<class 'fastloop.Loop'>" in done.stdout


@pytest.mark.parametrize("name", ["install", "EventLoopPolicy"])
def test_what_ended_says_so(without, name):
    script = f"""
import fastloop
print({name!r} in dir(fastloop), hasattr(fastloop, {name!r}))
try:
    fastloop.{name}
except AttributeError as error:
    print(error)
try:
    from fastloop import {name}
except ImportError as error:
    print(type(error).__name__)
"""
    assert said(without, PYTHON, "-c", script).splitlines() == [
        "False False",
        f"fastloop.{name} ended with asyncio's event loop policies, in Python 3.16:"
        " use fastloop.run, or `python -m fastloop`",
        "ImportError",
    ]


def test_the_doctor_says_so(without):
    done = run(FASTLOOP, "--doctor", env=without)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["event", "loop", "policies", "none"] in rows, done
