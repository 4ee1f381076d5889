"""Whatever is left when the interpreter ends, in whatever order: nothing crashes."""

import pytest

from tests.support import run_child

SETUP = """
import asyncio, atexit, builtins, contextvars, gc, os, socket, sys, threading, warnings
import weakref
warnings.simplefilter("ignore")

async def wait(future):
    await future

async def sleep():
    while True:
        await asyncio.sleep(0.001)

def spin(loop):
    loop.call_soon(loop.stop)
    loop.run_forever()

class AtDeath:
    def __init__(self, function, *args):
        self.call = function, args

    def __del__(self):
        try:
            self.call[0](*self.call[1])
        except Exception:
            pass

def fill(loop):
    left, right = socket.socketpair()
    transport, protocol = loop.run_until_complete(
        loop.create_connection(asyncio.Protocol, sock=left))
    read, write = os.pipe()
    pipe, _ = loop.run_until_complete(
        loop.connect_read_pipe(asyncio.Protocol, os.fdopen(read, "rb", 0)))
    server = loop.run_until_complete(
        loop.create_server(asyncio.Protocol, "127.0.0.1", 0))
    future = loop.create_future()
    kept = [transport, protocol, right, pipe, server, future,
            loop.create_task(wait(future)), loop.create_task(sleep()),
            loop.call_soon(print), loop.call_later(60, print), write]
    loop.add_reader(write, print)
    spin(loop)
    return kept
"""

ENDS = {
    "in a module": "loop = new_event_loop()\nkept = fill(loop)",
    "in builtins": "builtins.loop = new_event_loop()\nbuiltins.kept = fill(loop)",
    "in sys": "sys.loop = new_event_loop()\nsys.kept = fill(sys.loop)",
    "in a thread's locals": "local = threading.local()\nlocal.loop = new_event_loop()\n"
    "local.kept = fill(local.loop)",
    "in a context": "var = contextvars.ContextVar('var')\nloop = new_event_loop()\n"
    "var.set((loop, fill(loop)))",
    "in a cycle, without a collector": "gc.disable()\nloop = new_event_loop()\n"
    "kept = fill(loop)\nloop.kept = kept\nkept.append(kept)\ndel loop, kept",
    "the loop closed, the rest left": "loop = new_event_loop()\nkept = fill(loop)\n"
    "loop.close()",
    "the rest left, the loop dropped": "loop = new_event_loop()\nkept = fill(loop)\n"
    "del loop",
    "used at exit": "loop = new_event_loop()\nkept = fill(loop)\n"
    "atexit.register(lambda: spin(loop))",
    "closed at exit": "loop = new_event_loop()\nkept = fill(loop)\n"
    "atexit.register(loop.close)",
    "used by a finalizer": "loop = new_event_loop()\nkept = fill(loop)\n"
    "sys.at_death = AtDeath(spin, loop)\nkept.append(AtDeath(loop.call_soon, print))\n"
    "kept.append(AtDeath(loop.close))",
    "a weak reference's callback": "loop = new_event_loop()\nkept = fill(loop)\n"
    "refs = [weakref.ref(k, lambda r: asyncio.all_tasks(loop)) for k in kept[6:8]]",
    "running in a daemon": "loop = new_event_loop()\nkept = fill(loop)\n"
    "thread = threading.Thread(target=loop.run_forever, daemon=True)\nthread.start()",
    "sleeping in a daemon": "loop = new_event_loop()\n"
    "thread = threading.Thread(target=loop.run_forever, daemon=True)\nthread.start()",
    "ended inside the loop": "loop = new_event_loop()\nkept = fill(loop)\n"
    "loop.call_soon(sys.exit, 0)\nloop.run_forever()",
    "modules taken away": "loop = new_event_loop()\nkept = fill(loop)\n"
    "for name in list(sys.modules):\n"
    "    if name.startswith(('fastloop', 'asyncio')):\n        del sys.modules[name]\n",
    "modules emptied": "loop = new_event_loop()\nkept = fill(loop)\n"
    "for name in list(sys.modules):\n"
    "    if name.startswith('fastloop'):\n        vars(sys.modules[name]).clear()\n",
}


@pytest.mark.parametrize("name", ENDS)
def test_the_interpreter_ends_well(loop_kind, name):
    done = run_child(
        loop_kind, SETUP + ENDS[name] + "\n", flags=(), PYTHONMALLOC="debug"
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    assert "Fatal" not in done.stderr
