"""Real packages in a program of their own, on each kind of loop."""

import json

import pytest

from .support import LOOPS, need, run_python

# Program: the packages it needs and its answer.
PROGRAMS = {
    "aiofiles_copy": (["aiofiles"], "some text"),
    "aiohttp_pair": (["aiohttp"], "hello aiohttp"),
    "aiomonitor_tasks": (["aiomonitor"], True),
    "aiosqlite_query": (["aiosqlite"], [[1, "one"], [2, "two"]]),
    "anyio_run": (["anyio"], ["ping", "in a thread", "cancelled"]),
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


@pytest.mark.parametrize("program", PROGRAMS)
def test_program(program, loop_kind):
    packages, answer = PROGRAMS[program]
    need(*packages)
    output = run_python("run_program.py", loop_kind, program)
    result = json.loads(output.splitlines()[-1])
    assert result == {"loop": LOOPS[loop_kind], "answer": answer}
