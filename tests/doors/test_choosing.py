"""fastloop.run, new_event_loop, Loop, and the policy: each by name, none by itself."""

import asyncio
import inspect
import pickle
import selectors
import sys
import threading

import pytest

import fastloop
from tests.support import lasting_repr, not_sanitized

from .programs import PYTHON, run

POLICIES_WARN = sys.version_info >= (3, 14)
# Of the time that asyncio takes; the debug build needs 0.4 of it.
IMPORT_SHARE = 0.6
# What asyncio itself loads up to 3.13.
LOADED = {"typing", "_typing"}


async def running_loop():
    return asyncio.get_running_loop()


def test_run_uses_a_loop_of_its_own_and_closes_it():
    loop = fastloop.run(running_loop())
    assert type(loop) is fastloop.Loop
    assert loop.is_closed()
    assert fastloop.run(running_loop()) is not loop


def test_run_gives_what_main_gives():
    async def fail():
        raise LookupError("gone")

    assert fastloop.run(asyncio.sleep(0, "result")) == "result"
    with pytest.raises(LookupError, match="gone"):
        fastloop.run(fail())


def test_run_cancels_what_is_left():
    ended = []

    async def wait():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")

    async def main():
        ended.append(asyncio.create_task(wait()))
        await asyncio.sleep(0)

    fastloop.run(main())
    assert ended[1:] == ["cancelled"]
    ended.clear()


@pytest.mark.parametrize("debug", [True, False])
def test_run_sets_debug_mode(debug):
    async def main():
        return asyncio.get_running_loop().get_debug()

    assert fastloop.run(main(), debug=debug) is debug


def test_run_takes_another_loop_factory():
    plain = fastloop.run(running_loop(), loop_factory=asyncio.SelectorEventLoop)
    assert type(plain) is asyncio.SelectorEventLoop
    assert not isinstance(
        fastloop.run(running_loop(), loop_factory=None), fastloop.Loop
    )


def error_of(function, *args):
    with pytest.raises(Exception) as raised:
        function(*args)
    return type(raised.value), str(raised.value)


@pytest.mark.parametrize("main", [None, 5, running_loop, "text"], ids=lasting_repr)
def test_run_refuses_what_asyncio_run_refuses(main):
    def shown(error):
        return error[0], error[1].split(" at 0x")[0]

    assert shown(error_of(fastloop.run, main)) == shown(error_of(asyncio.run, main))


def test_run_inside_a_running_loop():
    async def main(run):
        coroutine = running_loop()
        try:
            return error_of(run, coroutine)
        finally:
            coroutine.close()

    for run_outer in asyncio.run, fastloop.run:
        assert run_outer(main(asyncio.run))[0] is RuntimeError
        error, text = run_outer(main(fastloop.run))
        assert error is RuntimeError
        assert text.startswith(
            "fastloop.run() cannot be called from a running event loop"
        )
        assert "await" in text


def test_run_in_another_thread():
    loops = []
    thread = threading.Thread(
        target=lambda: loops.append(type(fastloop.run(running_loop())))
    )
    thread.start()
    thread.join()
    assert loops == [fastloop.Loop]


def test_run_keeps_the_signature_of_asyncios():
    signature = inspect.signature(fastloop.run)
    assert list(signature.parameters) == ["main", "debug", "loop_factory"]
    assert signature.parameters["debug"].default is None
    assert signature.parameters["loop_factory"].default is fastloop.new_event_loop


def test_new_event_loop_makes_open_loops_of_no_thread():
    loop = fastloop.new_event_loop()
    try:
        assert type(loop) is fastloop.Loop
        assert not loop.is_closed() and not loop.is_running()
        assert asyncio._get_running_loop() is None
        assert loop.run_until_complete(running_loop()) is loop
    finally:
        loop.close()


def test_loop_class_is_a_factory_and_can_be_subclassed():
    class Named(fastloop.Loop):
        name = "mine"

    for factory in fastloop.Loop, Named:
        with asyncio.Runner(loop_factory=factory) as runner:
            assert type(runner.run(running_loop())) is factory


def test_a_selector_is_taken_and_ignored():
    class Own(fastloop.Loop):
        def __init__(self):
            super().__init__(selectors.SelectSelector())

    with selectors.DefaultSelector() as selector:
        for make in (
            Own,
            lambda: fastloop.Loop(None),
            lambda: fastloop.Loop(selector),
            lambda: fastloop.Loop(selector=selector),
        ):
            loop = make()
            try:
                assert loop.run_until_complete(asyncio.sleep(0, "ran")) == "ran"
            finally:
                loop.close()
        assert not selector.get_map()


@pytest.mark.parametrize("args, keywords", [((1, 2), {}), ((), {"selectors": None})])
def test_what_asyncios_loop_refuses_is_refused(args, keywords, unraisable):
    for loop_class in asyncio.SelectorEventLoop, fastloop.Loop:
        with pytest.raises(TypeError):
            loop_class(*args, **keywords)
    unraisable.take()  # ours was open already


def test_the_loop_names_fastloop():
    class Own(fastloop.Loop):
        pass

    loop, own, asyncios = fastloop.Loop(), Own(), asyncio.SelectorEventLoop()
    state = " running=False closed=False debug=False>"
    try:
        assert repr(asyncios) == f"<_UnixSelectorEventLoop{state}"
        assert repr(loop) == f"<fastloop.Loop{state}"
        assert repr(own) == f"<Own{state}"
        assert repr(fastloop.Loop) == "<class 'fastloop.Loop'>"
        assert pickle.loads(pickle.dumps(fastloop.Loop)) is fastloop.Loop
    finally:
        loop.close()
        own.close()
        asyncios.close()


def test_runner_runs_several_times_on_one_loop():
    with asyncio.Runner(loop_factory=fastloop.new_event_loop) as runner:
        assert runner.run(running_loop()) is runner.run(running_loop())
        assert type(runner.get_loop()) is fastloop.Loop


def in_python(script, *flags):
    """What a script run by plain `python` prints, or its last line of error."""
    done = run(PYTHON, "-c", script, flags=flags)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_import_changes_nothing():
    script = """
import asyncio, signal, sys, threading

def state():
    modules = {n: dict(vars(m)) for n, m in sys.modules.items()
               if n.split('.')[0] in ('asyncio', '_asyncio', 'selectors', 'signal')}
    rest = sys.excepthook, sys.get_asyncgen_hooks(), threading.active_count()
    return modules, rest, [signal.getsignal(s) for s in (2, 15)]

before = state()
import fastloop
print(state() == before, asyncio.get_event_loop_policy.__module__)
async def main():
    print(isinstance(asyncio.get_running_loop(), fastloop.Loop))
asyncio.run(main())
"""
    assert in_python(script, "-W", "error") == "True asyncio.events\nFalse\n"


def test_star_import_is_silent_and_leaves_policies_out():
    script = "from fastloop import *\nprint(sorted(n for n in dir() if n[0] != '_'))"
    names = sorted(n for n in fastloop.__all__ if n[0] != "_")
    assert {"accelerate", "decelerate", "new_event_loop", "run"} < set(names)
    assert in_python(script, "-W", "error") == f"{names}\n"


def test_dir_names_everything_public():
    names = set(dir(fastloop))
    assert names == {*fastloop.__all__, "EventLoopPolicy", "install"}
    assert {"Loop", "Task", "Future", "new_event_loop", "run"} <= names


def test_unknown_name():
    with pytest.raises(AttributeError, match="'fastloop' has no attribute 'ran'"):
        fastloop.ran  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'ran'"):
        from fastloop import ran  # noqa: F401


USES = {
    "install": "fastloop.install()",
    "policy": "fastloop.EventLoopPolicy()",
    "from import": "from fastloop import install",
    "from import policy": "from fastloop import EventLoopPolicy as Policy",
    "getattr": "getattr(fastloop, 'install')",
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_policy_names_warn_once_where_policies_are_deprecated(use):
    script = f"""
import warnings
import fastloop

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    {use}
for w in caught:
    names_run = str(w.message).endswith("use fastloop.run")
    print(w.category.__name__, w.filename, w.lineno, names_run)
"""
    expected = "DeprecationWarning <string> 7 True\n" if POLICIES_WARN else ""
    assert in_python(script) == expected


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_policy_names_end_with_policies(monkeypatch, use):
    monkeypatch.setattr(sys, "version_info", (3, 16, 0, "final", 0))
    with pytest.raises((AttributeError, ImportError)) as raised:
        exec(use, {"fastloop": fastloop})
    if "from" not in use:
        assert "fastloop.run" in str(raised.value)
    assert set(dir(fastloop)) == set(fastloop.__all__)


LOOP_KIND = """
import asyncio

async def kind():
    return type(asyncio.get_running_loop()).__module__.split(".")[0]
"""


@pytest.mark.parametrize(
    "choose",
    [
        "fastloop.install()",
        "asyncio.set_event_loop_policy(fastloop.EventLoopPolicy())",
    ],
)
def test_policy_makes_asyncios_loops(choose):
    script = f"""{LOOP_KIND}
import fastloop
{choose}
print(asyncio.run(kind()))
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
print(asyncio.get_event_loop() is loop, loop.run_until_complete(kind()))
loop.close()
"""
    flags = ["-W", "error"] + ["-W", "ignore::DeprecationWarning"] * POLICIES_WARN
    assert in_python(script, *flags) == "fastloop\nTrue fastloop\n"


def test_policy_runs_subprocesses():
    script = """
import asyncio, sys, fastloop
fastloop.install()

async def main():
    code = "import sys; print(sys.stdin.read().upper()); sys.exit(3)"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    print(await child.communicate(b"text"), child.returncode)

asyncio.run(main())
async def in_a_thread():
    await asyncio.to_thread(asyncio.run, main())
asyncio.run(in_a_thread())
"""
    line = "(b'TEXT\\n', None) 3\n"
    assert in_python(script, "-W", "ignore::DeprecationWarning") == line * 2


@pytest.mark.skipif(POLICIES_WARN, reason="no loop is made unasked from 3.14 on")
def test_old_script_without_a_loop_of_its_own():
    script = f"""{LOOP_KIND}
import fastloop
fastloop.install()
loop = asyncio.get_event_loop()
print(loop is asyncio.get_event_loop(), loop.run_until_complete(kind()))
loop.close()
"""
    assert in_python(script, "-W", "ignore::DeprecationWarning") == "True fastloop\n"


@pytest.mark.skipif(not POLICIES_WARN, reason="a loop is made unasked before 3.14")
def test_no_loop_is_made_unasked():
    script = """
import asyncio, fastloop
fastloop.install()
try:
    asyncio.get_event_loop()
except RuntimeError as error:
    print(error)
"""
    flags = "-W", "ignore::DeprecationWarning"
    assert "no current event loop" in in_python(script, *flags)


def test_policy_is_asyncios_own_kind():
    script = """
import asyncio, pickle, fastloop
policy = fastloop.EventLoopPolicy()
print(isinstance(policy, asyncio.AbstractEventLoopPolicy), repr(policy).split(" ")[0])
asyncio.set_event_loop_policy(policy)
print(asyncio.get_event_loop_policy() is policy)
asyncio.set_event_loop_policy(None)
print(isinstance(asyncio.get_event_loop_policy(), fastloop.EventLoopPolicy))
"""
    flags = "-W", "ignore::DeprecationWarning"
    assert in_python(script, *flags) == "True <fastloop.EventLoopPolicy\nTrue\nFalse\n"


@not_sanitized
def test_import_is_cheap():
    script = """
import time
start = time.process_time()
import asyncio
middle = time.process_time()
import fastloop
print((time.process_time() - middle) / (middle - start))
"""
    in_python(script)  # writes the byte code
    assert min(float(in_python(script)) for _ in range(5)) < IMPORT_SHARE


def test_import_loads_nothing_that_asyncio_does_not():
    script = """
import asyncio, sys
before = set(sys.modules)
import fastloop
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
"""
    assert set(in_python(script).split()) <= {"fastloop", *LOADED}
