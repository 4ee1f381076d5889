"""The warning of a loop that nobody closed: asyncio's, where asyncio gives it."""

import pytest

from tests.support import run_child

PROGRAMS = {
    "left in a module": "loop = new_event_loop()",
    "dropped": "loop = new_event_loop()\ndel loop\ngc.collect()",
    "dropped in a function": "def f():\n    new_event_loop()\nf()\ngc.collect()",
    "set": "asyncio.set_event_loop(new_event_loop())",
    "with a task": "loop = new_event_loop()\n"
    "task = loop.create_task(asyncio.sleep(9))\n"
    "loop.call_soon(loop.stop)\nloop.run_forever()",
    "with a handle": "loop = new_event_loop()\nhandle = loop.call_soon(print)",
    "in a thread": "def f():\n    loop = new_event_loop()\n"
    "    loop.run_until_complete(asyncio.sleep(0))\n"
    "thread = threading.Thread(target=f)\nthread.start()\nthread.join()\ngc.collect()",
    "an error": "warnings.simplefilter('error')\nloop = new_event_loop()\ndel loop\n"
    "gc.collect()",
    "a subclass that closes": "class L(type(new_event_loop())):\n"
    "    def __del__(self):\n        self.close()\nL()\ngc.collect()",
    "closed": "loop = new_event_loop()\nloop.close()\ndel loop\ngc.collect()",
    "an end by sys.exit": "loop = new_event_loop()\nsys.exit(0)",
    "left to a thread": "thread = threading.Thread(target=lambda loop: None,\n"
    "    args=(new_event_loop(),))\nthread.start()\nthread.join()\ngc.collect()",
}


def warnings_of(kind, program):
    source = f"import asyncio, gc, sys, threading, warnings\n{program}\n"
    done = run_child(kind, source, flags=("-W", "always::ResourceWarning"))
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    said = "ResourceWarning: unclosed event"
    return [line.partition(" <")[0] for line in lines if said in line]


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_warning_and_its_place(fast_kind, name):
    ours = warnings_of("fastloop", PROGRAMS[name])
    assert ours == warnings_of("asyncio", PROGRAMS[name])
