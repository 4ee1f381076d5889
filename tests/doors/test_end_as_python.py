"""How a program ends: exit status, traceback, signals, threads, the last output."""

import os
import signal
import socket
import sys

import pytest

from .programs import FASTLOOP, PYTHON, TIMEOUT_S, run, run_both, start

ENDS = {
    "last line": ("print('done')", 0, ""),
    "exit": ("import sys; sys.exit()", 0, ""),
    "exit 7": ("import sys; sys.exit(7)", 7, ""),
    "exit -1": ("raise SystemExit(-1)", 255, ""),
    "exit text": ("import sys; sys.exit('no such luck')", 1, "no such luck\n"),
    "exit tuple": ("raise SystemExit((1, 'a'))", 1, "(1, 'a')\n"),
    "exit without cleaning": ("import os; os._exit(3)", 3, ""),
    "exception": ("def f():\n    1 / 0\n\nf()", 1, "ZeroDivisionError"),
    "cause": (
        "try:\n    {}[1]\nexcept KeyError as e:\n    raise ValueError('x') from e",
        1,
        "ValueError: x",
    ),
    "context": ("try:\n    {}[1]\nfinally:\n    nothing", 1, "NameError"),
    "group": ("raise ExceptionGroup('many', [OSError(2, 'no')])", 1, "many"),
    "note": ("e = OSError(1); e.add_note('beware'); raise e", 1, "beware"),
    "base exception": ("class Stop(BaseException): pass\nraise Stop", 1, "Stop"),
    "interrupt": ("raise KeyboardInterrupt", -signal.SIGINT, "KeyboardInterrupt"),
    "interrupt's subclass": (
        "class K(KeyboardInterrupt): pass\nraise K",
        -signal.SIGINT if sys.version_info >= (3, 14) else 1,
        "K",
    ),
    "interrupt caught": (
        "try:\n    raise KeyboardInterrupt\nexcept KeyboardInterrupt:\n    exit(4)",
        4,
        "",
    ),
    "terminated": (
        "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
        -signal.SIGTERM,
        "",
    ),
    "syntax": ("x = (1,\ny = 2\n", 1, "'(' was never closed"),
    "indentation": ("def f():\nreturn 1\n", 1, "IndentationError"),
    "syntax warning": ("assert (1, 'always true')", 0, "SyntaxWarning"),
    "warning": ("import warnings; warnings.warn('mind')", 0, "UserWarning: mind"),
    "hook": (
        "import sys\n"
        "def hook(kind, value, tb):\n"
        "    print(kind, value, tb.tb_frame.f_code.co_name, tb.tb_next)\n"
        "    print(value.__traceback__ is tb is sys.last_traceback)\n"
        "    print(sys.last_value is value, sys.excepthook is hook)\n"
        "sys.excepthook = hook\n"
        "raise ValueError(1)",
        1,
        "",
    ),
    "exit in hook": (
        "import sys; sys.excepthook = lambda *_: sys.exit(9); 1 / 0",
        9,
        "",
    ),
    "hook that fails": (
        "import sys\n"
        "def hook(kind, value, tb):\n"
        "    {}['nothing']\n"
        "sys.excepthook = hook\n"
        "raise ValueError('first')",
        1,
        "Error in sys.excepthook:",
    ),
    "hook that is None": (
        "import sys; sys.excepthook = None; 1 / 0",
        1,
        "Error in sys.excepthook:",
    ),
    "no hook": ("import sys; del sys.excepthook; 1 / 0", 1, "excepthook is missing"),
    "after an exception": (
        "import atexit, sys\n"
        "@atexit.register\n"
        "def last():\n"
        "    tb = sys.last_traceback\n"
        "    print(sys.last_type, tb.tb_frame.f_code.co_name, tb.tb_next)\n"
        "    print(sys.excepthook is sys.__excepthook__)\n"
        "1 / 0",
        1,
        "ZeroDivisionError",
    ),
    "after an exit": (
        "import atexit, sys\n"
        "@atexit.register\n"
        "def last():\n"
        "    print(sys.excepthook is sys.__excepthook__, hasattr(sys, 'last_type'))\n"
        "sys.exit(5)",
        5,
        "",
    ),
    "order": (
        "import atexit, threading\n"
        "atexit.register(print, 'atexit, first registered')\n"
        "atexit.register(print, 'atexit, last registered')\n"
        "main_ended = threading.main_thread().join\n"
        "def late():\n"
        "    main_ended()\n"
        "    print('thread, after main')\n"
        "threading.Thread(target=late).start()\n"
        "print('main')",
        0,
        "",
    ),
    "exception in a thread": (
        "import threading\n"
        "t = threading.Thread(target=lambda: 1 / 0, name='t')\n"
        "t.start(); t.join(); print('on')",
        0,
        "Exception in thread t",
    ),
    "finalizer raises": (
        "class A:\n    def __del__(self): 1 / 0\nA()\nprint('on')",
        0,
        "Exception ignored",
    ),
    "no stdout": ("import sys; sys.stdout = None; print('lost')", 0, ""),
}
IN_EVERY_FORM = ["exit 7", "cause", "interrupt", "syntax", "after an exception"]


@pytest.mark.parametrize(
    "form, name",
    [("script.py", name) for name in ENDS]
    + [(form, name) for form in ("-m", "-c", "-") for name in IN_EVERY_FORM],
)
def test_program_ends(tmp_path, form, name):
    source, status, error = ENDS[name]
    (tmp_path / "script.py").write_text(source)
    program = {"-m": ["-m", "script"], "-c": ["-c", source]}.get(form, [form])
    done = run_both(*program, cwd=tmp_path, input=source)
    assert done.returncode == status
    assert error in done.stderr
    assert bool(error) == bool(done.stderr)


@pytest.mark.parametrize(
    "source",
    [b"x = 1\0\n", b"# \xff\nx = 1\n", b"# coding: klingon\n"],
    ids=["null", "not utf-8", "unknown coding"],
)
def test_source_that_cannot_be_read_as_text(tmp_path, source):
    (tmp_path / "script.py").write_bytes(source)
    for door in PYTHON, FASTLOOP:
        done = run(door, "script.py", cwd=tmp_path)
        if door == PYTHON and done.returncode == 0:
            pytest.skip("an early patch release, which reads a null byte as an end")
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("SyntaxError: ")
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "program, status",
    [
        (["nowhere.py"], 2),
        (["./no/where.py"], 2),
        (["empty"], 1),
        (["-m", "nowhere"], 1),
        (["-m", "nowhere.at.all"], 1),
        (["-m", "empty"], 1),
        (["-m", "script.py"], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_nothing_to_run(tmp_path, program, status):
    (tmp_path / "empty").mkdir()
    (tmp_path / "script.py").touch()
    done = run_both(*program, cwd=tmp_path)
    assert done.returncode == status
    assert program[-1].split(".")[0] in done.stderr


def test_script_that_cannot_be_opened(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "script.py"))
        done = run_both("script.py", cwd=tmp_path)
    assert done.returncode == 2
    assert "can't open file" in done.stderr


def test_exception_from_asyncio_shows_no_frame_of_the_door(tmp_path):
    source = """
import asyncio

async def main():
    await asyncio.sleep(0)
    raise LookupError("gone")

asyncio.run(main())
"""
    (tmp_path / "script.py").write_text(source)
    plain, ours = (run(door, "script.py", cwd=tmp_path) for door in (PYTHON, FASTLOOP))
    for done in plain, ours:
        assert done.returncode == 1
        lines = done.stderr.splitlines()
        assert lines[:2] == [
            "Traceback (most recent call last):",
            f'  File "{tmp_path}/script.py", line 8, in <module>',
        ]
        assert lines[-1] == "LookupError: gone"
    assert "_program.py" not in ours.stderr
    assert "runpy" not in ours.stderr


def test_coroutine_never_awaited_is_reported_with_its_origin(tmp_path):
    source = "async def f(): pass\ncoroutine = f()\nnumber = 5\n"
    (tmp_path / "script.py").write_text(source)
    for program in ["script.py"], ["-m", "script"]:
        flags = ["-X", "tracemalloc=5"]
        done = run(FASTLOOP, *program, flags=flags, cwd=tmp_path)
        assert done.returncode == 0
        assert done.stderr.count("coroutine 'f' was never awaited") == 1
        assert f'File "{tmp_path}/script.py", lineno 2\n    coroutine = f()' in (
            done.stderr
        )


def test_coroutine_held_elsewhere_is_not_reported(tmp_path):
    source = """
import asyncio

async def f():
    print("ran at exit")

def last(coroutine=(c := f())):
    asyncio.run(coroutine)

import atexit
atexit.register(last)
"""
    (tmp_path / "script.py").write_text(source)
    done = run_both("script.py", cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("ran at exit\n", "")


def test_no_reader_for_the_output():
    script = "import sys; sys.stdout.write('x' * 10)"
    ends = []
    for door in PYTHON, FASTLOOP:
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "w") as stdout:
            done = run(door, "-c", script, stdout=stdout)
        ends.append((done.returncode, done.stderr))
    assert ends[0] == ends[1]
    assert "BrokenPipeError" in ends[0][1]


INTERRUPTED = {
    "mostly asleep": """
import time
print("ready", flush=True)
while True:
    time.sleep(0.01)
""",
    "computing": """
print("ready", flush=True)
while True:
    pass
""",
    "idle loop": """
import asyncio

async def main():
    asyncio.get_running_loop().call_soon(lambda: print("ready", flush=True))
    await asyncio.get_running_loop().create_future()

asyncio.run(main())
""",
    "busy loop": """
import asyncio

async def main():
    asyncio.get_running_loop().call_soon(lambda: print("ready", flush=True))
    while True:
        await asyncio.sleep(0)

asyncio.run(main())
""",
    "a loop by hand": """
import asyncio

loop = asyncio.new_event_loop()
loop.call_soon(lambda: print("ready", flush=True))
try:
    loop.run_forever()
finally:
    loop.close()
""",
}


@pytest.mark.parametrize("door", [PYTHON, FASTLOOP], ids=["python", "fastloop"])
@pytest.mark.parametrize("source", INTERRUPTED.values(), ids=INTERRUPTED)
def test_interrupt_from_outside(tmp_path, door, source):
    (tmp_path / "script.py").write_text(source)
    with start(door, "script.py", cwd=tmp_path) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == -signal.SIGINT
    assert error.startswith("Traceback (most recent call last):\n")
    assert error.endswith("\nKeyboardInterrupt\n")
    assert "_program.py" not in error
    if "asyncio" not in source:
        assert error.count('File "') == 1


@pytest.mark.parametrize("door", [PYTHON, FASTLOOP], ids=["python", "fastloop"])
def test_interrupted_program_cleans_up_and_goes_on(tmp_path, door):
    source = """
import asyncio

async def main():
    asyncio.get_running_loop().call_soon(lambda: print("ready", flush=True))
    try:
        await asyncio.sleep(60)
    finally:
        print("cleaned up", flush=True)

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted", flush=True)
asyncio.run(asyncio.sleep(0))
print("ran again", flush=True)
"""
    (tmp_path / "script.py").write_text(source)
    with start(door, "script.py", cwd=tmp_path) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, error) == (0, "")
    assert output == "cleaned up\ninterrupted\nran again\n"


@pytest.mark.parametrize("door", [PYTHON, FASTLOOP], ids=["python", "fastloop"])
def test_shell_sees_the_interrupt(tmp_path, door):
    (tmp_path / "script.py").write_text("raise KeyboardInterrupt")
    shell = f"{' '.join(door)} script.py; echo $?"
    assert run(["bash", "-c", shell], cwd=tmp_path).stdout == "130\n"


def test_interpreter_stays_on_request():
    script = "x = 5; import sys; sys.ps1 = ''; sys.stderr = None"
    inspected = "print('x is', x)\n"
    done = run([sys.executable, "-i", "-m", "fastloop"], "-c", script, input=inspected)
    assert "x is 5" in done.stdout
