"""Real packages in a program of their own, on each kind of loop."""

import json
import sys

import pytest

from .support import LOOPS, TASKS, need, run_python

# Program: the packages it needs and its answer.
PROGRAMS = {
    "aiofiles_copy": (["aiofiles"], "some text"),
    "aiohttp_pair": (["aiohttp"], "hello aiohttp"),
    "aiomonitor_tasks": (["aiomonitor"], True),
    "aiosqlite_query": (["aiosqlite"], [[1, "one"], [2, "two"]]),
    "anyio_asyncios_eager": (["anyio"], [0, 1, 2]),
    "anyio_eager": (["anyio"], ["1", "1", "2", "True", "started"]),
    "anyio_run": (["anyio"], ["ping", "in a thread", "cancelled"]),
    "debugger_session": ([], ["debugged", 6, 3]),
    "fastapi_testclient": (["fastapi", "httpx"], {"name": "you", "doubled": 42}),
    "httpx_client": (["httpx"], "hello httpx"),
    "hypercorn_serve": (["hypercorn"], "hello hypercorn"),
    "isolated_test_case": ([], "OK"),
    "janus_queue": (["janus"], [0, 1, 2]),
    "opentelemetry_spans": (
        ["opentelemetry.instrumentation.asyncio", "opentelemetry.sdk"],
        ["asyncio coro-watched", "asyncio coro-watched"],
    ),
    "prompt_toolkit_prompt": (["prompt_toolkit"], "typed"),
    "sentry_error": (["sentry_sdk"], "ZeroDivisionError"),
    "sqlalchemy_query": (["sqlalchemy", "greenlet", "aiosqlite"], 42),
    "starlette_websocket": (["starlette", "httpx"], "echo: hi"),
    "tornado_pair": (["tornado"], "hello tornado"),
    "websockets_echo": (["websockets"], "echo: hi"),
}
NEW_IN_3_12 = {"anyio_asyncios_eager", "anyio_eager"}
# Programs in which the package makes the task, by a class that it names itself.
TASKS_OF_THEIR_OWN = {
    "aiomonitor_tasks": "aiomonitor.task.TracedTask",
    "anyio_asyncios_eager": "_asyncio.Task",
    "sentry_error": "_asyncio.Task",
}
if sys.version_info[:2] in ((3, 12), (3, 13)):
    TASKS_OF_THEIR_OWN["aiohttp_pair"] = "_asyncio.Task"


@pytest.mark.parametrize("program", PROGRAMS)
def test_program(program, loop_kind):
    """Also that the handler's task is the loop's own kind."""
    if program in NEW_IN_3_12 and sys.version_info < (3, 12):
        pytest.skip("3.11 has no eager tasks")
    packages, answer = PROGRAMS[program]
    need(*packages)
    output = run_python("run_program.py", loop_kind, program)
    result = json.loads(output.splitlines()[-1])
    task = TASKS_OF_THEIR_OWN.get(program, TASKS[loop_kind])
    assert result == {"loop": LOOPS[loop_kind], "task": task, "answer": answer}
