"""python -m fastloop with nothing to run: asyncio's REPL, on fastloop."""

import contextlib
import os
import re
import select
import time

import pytest

from tests.support import open_terminal

from .programs import FASTLOOP, TIMEOUT_S, environment, run, start

TYPED = """\
import fastloop
await asyncio.sleep(0, 'await ' + 'works')
isinstance(asyncio.get_running_loop(), fastloop.Loop)
asyncio.get_running_loop().get_debug()
1 / 0
exit()
"""


@pytest.mark.parametrize("debug", [False, True])
def test_piped_input(debug):
    done = run(FASTLOOP, *["--debug"] * debug, input=TYPED)
    assert done.returncode == 0
    assert f"'await works'\n>>> True\n>>> {debug}\n" in done.stdout
    assert re.match(r"fastloop \d+\.\d+\.\d+, asyncio REPL 3\.", done.stderr)
    assert "ZeroDivisionError" in done.stderr


def test_end_of_input_ends_it():
    done = run(FASTLOOP, input="x = await asyncio.sleep(0, 6)\nprint(x * 7)\n")
    assert done.returncode == 0
    assert "42\n" in done.stdout


@pytest.mark.parametrize("program", [[], ["-"]], ids=["nothing", "dash"])
def test_terminal(program):
    with terminal(FASTLOOP, *program) as (expect, type_line):
        expect("import asyncio")
        expect(">>> ")
        type_line("import fastloop; f = asyncio.get_running_loop().create_future()")
        expect(">>> ")
        type_line("f.set_result('the ' + 'result'); await f")
        expect("'the result'")
        expect(">>> ")
        type_line("isinstance(f.get_loop(), fastloop.Loop)")
        expect("True")
        expect(">>> ")
        type_line("exit()")
        expect(None)


@contextlib.contextmanager
def terminal(door, *program):
    """A program on a terminal of its own; gives expect(text) and type_line(text).

    expect(None) waits for the program's end, which must be status 0.
    """
    fd, terminal = open_terminal()
    variables = environment(TERM="xterm", PYTHON_HISTORY="/dev/null")
    ends = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
    seen = ""

    def expect(text):
        nonlocal seen
        deadline = time.monotonic() + TIMEOUT_S
        while text is None or text not in seen:
            left = max(0, deadline - time.monotonic())
            readable, _, _ = select.select([fd], [], [], left)
            assert readable, f"no {text!r} in {seen!r}"
            try:
                data = os.read(fd, 4096)
            except OSError:  # the other end is closed
                data = b""
            if not data:
                assert text is None, f"no {text!r} in {seen!r}"
                break
            seen += data.decode()
        seen = "" if text is None else seen.partition(text)[2]

    def type_line(text, end="\n"):
        os.write(fd, (text + end).encode())

    try:
        with start(door, *program, env=variables, **ends) as process:
            os.close(terminal)
            yield expect, type_line
            assert process.wait(TIMEOUT_S) == 0
    finally:
        os.close(fd)
