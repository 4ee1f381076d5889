"""Whose loops a program runs on under python -m fastloop, and what it is told."""

import sys

import pytest

from tests.support import without_note

from .programs import FASTLOOP, PYTHON, run, run_both

KIND = """\
import asyncio, selectors, sys, threading

async def kind():
    return type(asyncio.get_running_loop())

def run_and_close(loop):
    try:
        return loop.run_until_complete(kind())
    finally:
        loop.close()

def show(kind):
    print(kind.__module__ + "." + kind.__qualname__)

"""
OURS = "fastloop.Loop\n"

POLICIES = sys.version_info < (3, 16)
WAYS = {
    "run": "show(asyncio.run(kind()))",
    "Runner": "with asyncio.Runner() as runner: show(runner.run(kind()))",
    "new_event_loop": "show(run_and_close(asyncio.new_event_loop()))",
    "the class": "show(run_and_close(asyncio.SelectorEventLoop()))",
    "the class with None": "show(run_and_close(asyncio.SelectorEventLoop(None)))",
    "the class with a selector": "show(run_and_close("
    "asyncio.SelectorEventLoop(selectors.DefaultSelector())))",
    "the class with a selector by name": "show(run_and_close("
    "asyncio.SelectorEventLoop(selector=selectors.SelectSelector())))",
    "its own name": "from asyncio.unix_events import _UnixSelectorEventLoop as Loop\n"
    "show(run_and_close(Loop()))",
    "a factory": "with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)"
    " as runner: show(runner.run(kind()))",
    "another factory": "with asyncio.Runner(loop_factory=asyncio.new_event_loop)"
    " as runner: show(runner.run(kind()))",
    "a thread": "thread = threading.Thread(target=lambda: show(asyncio.run(kind())))\n"
    "thread.start(); thread.join()",
}
if sys.version_info >= (3, 13):
    WAYS["EventLoop"] = "show(run_and_close(asyncio.EventLoop()))"
    WAYS["a factory, EventLoop"] = (
        "show(asyncio.run(kind(), loop_factory=asyncio.EventLoop))"
    )
if POLICIES:
    WAYS["the default policy anew"] = (
        "asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())\n"
        "show(asyncio.run(kind()))"
    )
    WAYS["a policy of its own"] = """
class Policy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self):
        print("the policy's")
        return super().new_event_loop()
asyncio.set_event_loop_policy(Policy())
show(asyncio.run(kind()))"""
    WAYS["a policy that names the class"] = """
class Policy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self):
        return asyncio.SelectorEventLoop()
asyncio.set_event_loop_policy(Policy())
show(asyncio.run(kind()))"""
    WAYS["a policy from nothing"] = """
class Policy(asyncio.AbstractEventLoopPolicy):
    loop = None
    def get_event_loop(self): return self.loop
    def set_event_loop(self, loop): self.loop = loop
    def new_event_loop(self): return asyncio.SelectorEventLoop()
asyncio.set_event_loop_policy(Policy())
show(asyncio.run(kind()))"""
    WAYS["fastloop.install"] = (
        "import fastloop; fastloop.install(); show(asyncio.run(kind()))"
    )
if sys.version_info < (3, 14):
    WAYS["get_event_loop"] = "show(run_and_close(asyncio.get_event_loop()))"


def run_quietly(script, *options, **others):
    flags = ["-W", "error", "-W", "ignore::DeprecationWarning"]
    return run(FASTLOOP, *options, "-c", script, flags=flags, **others)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_loop_is_ours(way):
    done = run_quietly(KIND + way)
    assert (done.returncode, without_note(done.stderr)) == (0, "")
    assert done.stdout.removeprefix("the policy's\n") == OURS


OWN = {
    "subclass": ("class Own(asyncio.SelectorEventLoop): pass\n", "Own()"),
    "subclass with arguments": (
        "class Own(asyncio.SelectorEventLoop):\n"
        "    def __init__(self, name, *, x=0):\n"
        "        super().__init__(selectors.SelectSelector())\n",
        "Own('name', x=1)",
    ),
    "subclass with a __new__": (
        "class Own(asyncio.SelectorEventLoop):\n"
        "    def __new__(cls, number):\n"
        "        return super().__new__(cls)\n"
        "    def __init__(self, number):\n"
        "        super().__init__()\n",
        "Own(1)",
    ),
    "subclass beside another": (
        "class Other:\n"
        "    def __new__(cls, *args):\n"
        "        print('new', args)\n"
        "        return object.__new__(cls)\n"
        "class Own(asyncio.SelectorEventLoop, Other): pass\n",
        "Own(None)",
    ),
    "a selector of its own": (
        "class Selector(selectors.DefaultSelector): pass\n",
        "asyncio.SelectorEventLoop(Selector())",
    ),
}


@pytest.mark.parametrize("own, make", OWN.values(), ids=OWN)
def test_the_programs_own_loop_is_left_alone(own, make):
    script = f"""{KIND}{own}
show(run_and_close({make}))
show(asyncio.run(kind()))
"""
    plain = run(PYTHON, "-c", script).stdout.splitlines()
    ours = run_quietly(script)
    assert (ours.returncode, without_note(ours.stderr)) == (0, "")
    assert ours.stdout.splitlines() == [*plain[:-1], OURS.strip()]


def test_asyncios_classes_stay_what_they_are():
    script = """
import asyncio, inspect
class Own(asyncio.SelectorEventLoop): pass
loop = asyncio.new_event_loop()
print(isinstance(loop, asyncio.SelectorEventLoop))
print(issubclass(type(loop), asyncio.SelectorEventLoop), Own.__mro__[1])
print(asyncio.SelectorEventLoop is asyncio.unix_events._UnixSelectorEventLoop)
print(inspect.signature(asyncio.SelectorEventLoop), inspect.signature(Own))
loop.close()
try:
    asyncio.SelectorEventLoop(1, 2)
except TypeError:
    print("refused")
"""
    assert run_both("-c", script).stdout.endswith("refused\n")


def test_only_python_m_fastloop_does_this():
    script = f"""{KIND}
import fastloop
fastloop.run(kind())
fastloop.new_event_loop().close()
show(run_and_close(asyncio.SelectorEventLoop()))
print("__new__" in vars(asyncio.SelectorEventLoop))
"""
    done = run(PYTHON, "-c", script)
    assert done.stdout == "asyncio.unix_events._UnixSelectorEventLoop\nFalse\n"


# ---- uvloop ----

UVLOOP = '''
"""Does as uvloop does, for these tests."""
import asyncio

class Loop(asyncio.SelectorEventLoop):
    pass

def new_event_loop():
    return Loop()

def run(main, *, loop_factory=new_event_loop, debug=None, **options):
    async def wrapper():
        assert isinstance(asyncio.get_running_loop(), Loop)
        return await main
    with asyncio.Runner(loop_factory=loop_factory, debug=debug) as runner:
        return runner.run(wrapper())

def __getattr__(name):
    if name not in ("install", "EventLoopPolicy"):
        raise AttributeError(name)
    class EventLoopPolicy(asyncio.AbstractEventLoopPolicy):
        loop = None
        def get_event_loop(self): return self.loop
        def set_event_loop(self, loop): self.loop = loop
        def new_event_loop(self): return new_event_loop()
    def install():
        asyncio.set_event_loop_policy(EventLoopPolicy())
    globals().update(install=install, EventLoopPolicy=EventLoopPolicy)
    return globals()[name]
'''
UVLOOP_WAYS = {
    "run": "show(uvloop.run(kind()))",
    "run with options": "show(uvloop.run(kind(), debug=True))",
    "new_event_loop": "show(run_and_close(uvloop.new_event_loop()))",
    "imported from": "from uvloop import new_event_loop\n"
    "show(run_and_close(new_event_loop()))",
    "a factory": "with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:"
    " show(runner.run(kind()))",
    "install": "uvloop.install(); show(asyncio.run(kind()))",
    "policy": "asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())\n"
    "show(asyncio.run(kind()))",
    "a child process": """
uvloop.install()
async def main():
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    assert await child.wait() == 0
    return await kind()
show(asyncio.run(main()))""",
    "imported again": "import importlib; importlib.reload(uvloop)\n"
    "show(run_and_close(uvloop.new_event_loop()))",
}


@pytest.fixture(params=["like uvloop", "uvloop"])
def uvloop_folder(request, tmp_path):
    """A working directory in which `import uvloop` finds one."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    else:
        (tmp_path / "uvloop.py").write_text(UVLOOP)
    return tmp_path


@pytest.mark.parametrize("way", UVLOOP_WAYS.values(), ids=UVLOOP_WAYS)
def test_uvloops_functions_give_our_loops(uvloop_folder, way):
    done = run_quietly(f"{KIND}import uvloop\n{way}", cwd=uvloop_folder)
    assert (done.returncode, without_note(done.stderr)) == (0, "")
    assert done.stdout == OURS


def test_uvloops_own_class_stays(uvloop_folder):
    script = f"{KIND}import uvloop\nshow(run_and_close(uvloop.Loop()))"
    done = run_quietly(script, cwd=uvloop_folder)
    assert done.stdout == "uvloop.Loop\n"
    assert done.stderr.startswith("fastloop: ran on uvloop.Loop, not on fastloop")


def test_uvloop_is_kept_on_request(uvloop_folder):
    way = "show(uvloop.run(kind())); uvloop.install(); show(asyncio.run(kind()))"
    script = f"{KIND}import uvloop\n{way}"
    done = run_quietly(script, "--keep-uvloop", cwd=uvloop_folder)
    assert done.stdout == "uvloop.Loop\n" * 2
    assert done.stderr == (
        "fastloop: ran on uvloop.Loop, not on fastloop; to switch,"
        " leave out --keep-uvloop\n"
    )


def test_uvloops_module_is_as_it_was(uvloop_folder):
    script = """
import importlib.util, uvloop
spec = importlib.util.find_spec("uvloop")
loaders = uvloop.__loader__, uvloop.__spec__.loader, spec.loader
print({type(loader).__name__ for loader in loaders}, spec.origin == uvloop.__file__)
print("exec_module" in vars(uvloop.__loader__))
"""
    assert run_both("-c", script, cwd=uvloop_folder).stdout.endswith("True\nFalse\n")


def test_an_absent_uvloop_is_an_import_error():
    script = """
import sys
sys.path[:] = [path for path in sys.path if "site-packages" not in path]
try:
    import uvloop
except ModuleNotFoundError as error:
    print(error, error.name)
"""
    done = run_both("-c", script)
    assert done.stdout == "No module named 'uvloop' uvloop\n"


# ---- children ----


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_children_by_multiprocessing_are_on_it(tmp_path, method):
    script = f"""{KIND}
import multiprocessing, os

def child(depth):
    kinds = [asyncio.run(kind()).__module__, asyncio.run(kind()).__name__]
    kinds.append(asyncio.new_event_loop().get_debug())
    if depth:
        with multiprocessing.get_context({method!r}).Pool(1) as pool:
            kinds += pool.map(child, [0])
    return kinds

if __name__ == "__main__":
    os.chdir("elsewhere")
    context = multiprocessing.get_context({method!r})
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        print(pool.submit(child, 1).result())
"""
    (tmp_path / "script.py").write_text(script)
    (tmp_path / "elsewhere").mkdir()
    # From 3.12 on fork warns where there are threads, and the loops are not closed.
    done = run(FASTLOOP, "--debug", "script.py", cwd=tmp_path, flags=["-W", "ignore"])
    seen = ["fastloop", "Loop", True]
    assert done.stdout == f"{[*seen, seen]}\n", done.stderr


def test_a_child_says_that_it_ran_on_another_loop(tmp_path):
    script = """
import asyncio, multiprocessing

class Own(asyncio.SelectorEventLoop): pass

def child():
    with asyncio.Runner(loop_factory=Own) as runner:
        runner.run(asyncio.sleep(0))

if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=child)
    process.start()
    process.join()
"""
    (tmp_path / "script.py").write_text(script)
    done = run(FASTLOOP, "script.py", cwd=tmp_path)
    assert done.stderr.startswith("fastloop: ran on __mp_main__.Own, not on fastloop")


# ---- what is said at the end ----

OTHER = KIND + "class Own(asyncio.SelectorEventLoop): pass\n"


def test_a_program_on_another_loop_is_told_of():
    done = run_quietly(f"{OTHER}run_and_close(Own())")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        "fastloop: ran on __main__.Own, not on fastloop; to switch,"
        " give fastloop.new_event_loop to what makes them (loop_factory, --loop)\n"
    )


@pytest.mark.parametrize(
    "program",
    [
        "pass",
        "run_and_close(asyncio.new_event_loop())",
        "Own().close()",
        "run_and_close(Own()); run_and_close(asyncio.new_event_loop())",
        "import fastloop; run_and_close(fastloop.Loop()); run_and_close(Own())",
        "run_and_close(Own()); sys.stderr = None",
        "import fastloop\nclass Mine(fastloop.Loop): pass\nrun_and_close(Mine())",
    ],
)
def test_nothing_is_said_otherwise(program):
    done = run_quietly(OTHER + program)
    assert (done.returncode, done.stdout, without_note(done.stderr)) == (0, "", "")


def test_it_is_said_once_and_after_all_else(tmp_path):
    script = f"""{OTHER}
import atexit
atexit.register(lambda: print("last words", file=sys.stderr))
run_and_close(Own()), run_and_close(Own())
1 / 0
"""
    (tmp_path / "script.py").write_text(script)
    plain, ours = (run(door, "script.py", cwd=tmp_path) for door in (PYTHON, FASTLOOP))
    assert ours.returncode == plain.returncode == 1
    *before, last = ours.stderr.splitlines(keepends=True)
    assert "".join(before) == plain.stderr
    assert last.startswith("fastloop: ran on __main__.Own")


# ---- a Python without policies ----

WITHOUT_POLICIES = """
import asyncio, sys
from asyncio import events
from fastloop import _door
from fastloop._cli import main

sys.version_info = (3, 16, 0, "final", 0)
def new_event_loop():
    return asyncio.SelectorEventLoop()
asyncio.new_event_loop = events.new_event_loop = new_event_loop
for module in (asyncio, events, asyncio.unix_events):
    for name in [name for name in dir(module) if "olicy" in name]:
        if name in vars(module):
            delattr(module, name)
sys.argv[1:] = ["-c", '''%s''']
main()
"""


def test_it_goes_on_without_policies():
    program = f"""{KIND}
show(run_and_close(asyncio.new_event_loop()))
import fastloop
with asyncio.Runner(loop_factory=fastloop.new_event_loop) as runner:
    show(runner.run(kind()))
print(hasattr(fastloop, "install"), hasattr(asyncio, "set_event_loop_policy"))
"""
    done = run(PYTHON, "-c", WITHOUT_POLICIES % program)
    assert (done.stdout, done.stderr) == (f"{OURS * 2}False False\n", "")
