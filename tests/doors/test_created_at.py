"""What debug mode says of who created what names no frame of python -m fastloop."""

import re

import pytest

from tests.support import without_note

from .programs import FASTLOOP, PYTHON, run

CREATING = """
import asyncio, logging, traceback

async def dropped():
    pass

async def fail():
    raise LookupError("gone")

def deeper(function, depth=DEPTH):
    return deeper(function, depth - 1) if depth else function()

def frames(what, stack):
    print(what, [frame.name for frame in stack if "asyncio" not in frame.filename])

async def main():
    loop = asyncio.get_running_loop()
    deeper(dropped)
    task = deeper(lambda: loop.create_task(fail()))
    handle = deeper(lambda: loop.call_soon(print, "called"))
    future = deeper(loop.create_future)
    frames("task", task._source_traceback)
    frames("handle", handle._source_traceback)
    frames("future", future._source_traceback)
    frames("asyncio's", asyncio.Future(loop=loop)._source_traceback)
    frames("stack", traceback.extract_stack())
    await asyncio.sleep(0)
    await asyncio.sleep(0)

asyncio.run(main(), debug=True)
"""


PROGRAMS = {"<module>", "main", "deeper", "<lambda>"}
RUNPYS = {"_run_module_as_main", "_run_code"}  # as behind `python -m`


@pytest.mark.parametrize("depth", [0, 1, 4, 20])
@pytest.mark.parametrize("form", ["script.py", "-m", "-c"])
def test_frames_of_the_door_are_absent(tmp_path, form, depth):
    source = CREATING.replace("DEPTH", str(depth))
    (tmp_path / "script.py").write_text(source)
    program = {"-m": ["-m", "script"], "-c": ["-c", source]}.get(form, [form])
    allowed = PROGRAMS | (RUNPYS if form == "-m" else set())
    for door in PYTHON, FASTLOOP:
        done = run(door, *program, cwd=tmp_path, flags=["-X", "dev"])
        assert done.returncode == 0
        lists = re.findall(r"^[\w']+ \[(.*)\]$", done.stdout, re.MULTILINE)
        assert len(lists) == 5
        for names in lists:
            assert {name.strip("'") for name in names.split(", ")} <= allowed
        error = without_note(done.stderr)
        assert "_program.py" not in error and "_cli.py" not in error
        assert error.count("Object created at") == 1
        assert error.count("Coroutine created at") == 1
        files = re.findall(
            r'^ +File "([^"]+)", line \d+, in (\S+)', error, re.MULTILINE
        )
        names = {name for file, name in files if "/asyncio/" not in file}
        assert names <= allowed | {"fail"}
