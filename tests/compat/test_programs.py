"""Real packages in a program of their own, on each kind of loop."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from .support import LOOPS, TASKS, need, run_python

# Program: the packages it needs and its answer.
PROGRAMS = {
    "aiodebug_slow": (["aiodebug"], None),
    "aiofastnet_over_tls": (["aiofastnet", "trustme"], [True] * 4),
    "aiofiles_copy": (["aiofiles"], "some text"),
    "aiohttp_pair": (["aiohttp"], "hello aiohttp"),
    "aiojobs_scheduler": (["aiojobs"], [1, 2, True]),
    "aiomonitor_tasks": (["aiomonitor"], True),
    "aiosqlite_query": (["aiosqlite"], [[1, "one"], [2, "two"]]),
    "aiotools_clock": (["aiotools"], [86400, True]),
    "anyio_asyncios_eager": (["anyio"], [0, 1, 2]),
    "anyio_eager": (["anyio"], ["1", "1", "2", "True", "started"]),
    "anyio_run": (["anyio"], ["ping", "in a thread", "cancelled"]),
    "asgiref_sync": (["asgiref"], ["kept", True]),
    "async_lru_cache": (["async_lru"], [4, 4, 6, 3, ["ValueError"] * 2]),
    "asyncssh_beside_tls": (["asyncssh", "trustme"], ["TLS\n", "ssh: hi\n"]),
    "asyncssh_echo": (["asyncssh"], ["echo: hi\n", 3]),
    "channels_consumer": (["channels"], "echo: hi"),
    "coverage_lines": (["coverage"], [True, True, True, False]),
    "ddtrace_spans": (["ddtrace"], [True, True, True]),
    "debugger_session": ([], ["debugged", 6, 3]),
    "discord_client": (["discord"], [2, [1, 2], [0, 1, 2]]),
    "distributed_cluster": (["distributed"], [2470, 7, "ZeroDivisionError", 30]),
    "django_view": (["django"], ["async", "sync"]),
    "fastapi_testclient": (["fastapi", "httpx"], {"name": "you", "doubled": 42}),
    "faulthandler_stack": ([], True),
    "freezegun_clock": (
        ["freezegun"],
        ["2030-01-01T00:00:00", "2030-01-01T00:01:00", "moved", 61.0],
    ),
    "grpc_echo": (["grpc"], ["echo: hi", "012"]),
    "httpx_client": (["httpx"], "hello httpx"),
    "hypercorn_serve": (["hypercorn"], "hello hypercorn"),
    "ipykernel_nested": (["ipykernel", "nest_asyncio2"], "first second third"),
    "ipykernel_session": (["ipykernel"], None),
    "ipython_cell": (["IPython"], [1, 2]),
    "isolated_test_case": ([], "OK"),
    "janus_queue": (["janus"], [0, 1, 2]),
    "litestar_app": (["litestar"], {"doubled": 42}),
    "monitoring_events": (
        [],
        ["PY_START", *["PY_YIELD", "PY_RESUME"] * 2, "PY_RETURN"],
    ),
    "newrelic_transaction": (["newrelic"], ["outer", "inner", "inner"]),
    "nesting_bridge": (["nest_asyncio2"], 10),
    "opentelemetry_spans": (
        ["opentelemetry.instrumentation.asyncio", "opentelemetry.sdk"],
        ["asyncio coro-watched", "asyncio coro-watched"],
    ),
    "profile_calls": ([], "4"),
    "prompt_toolkit_prompt": (["prompt_toolkit"], "typed"),
    "redis_client": (["redis"], [True, [5000] * 5]),
    "sanic_app": (["sanic"], "hello sanic"),
    "sentry_error": (["sentry_sdk"], "ZeroDivisionError"),
    "settrace_lines": (
        [],
        [
            *("call 0", "line 1", "line 2", "return 2"),
            *("call 2", "exception 2", "line 3", "return 3"),
        ],
    ),
    "sqlalchemy_query": (["sqlalchemy", "greenlet", "aiosqlite"], 42),
    "starlette_websocket": (["starlette", "httpx"], "echo: hi"),
    "taskiq_broker": (["taskiq"], 42),
    "telegram_bot": (["telegram"], [["one"], ["two"]]),
    "textual_app": (["textual"], "pressed a"),
    "tls_of_packages": (
        ["aiohttp", "httpx", "OpenSSL", "trustme", "uvicorn", "websockets"],
        "all",
    ),
    "tls_upgrades": (
        ["aiosmtpd", "asyncpg", "trustme"],
        [[["me@here", 30_018]], ["SELECT 1", "SELECT 'xxxxxxxxxxxx"]],
    ),
    "time_machine_clock": (
        ["time_machine"],
        ["2030-01-01T00:00:00+00:00", "2030-01-01T01:00:00+00:00", True],
    ),
    "tornado_pair": (["tornado"], "hello tornado"),
    "viztracer_log": (["viztracer"], [True, 2]),
    "websockets_echo": (["websockets"], "echo: hi"),
    "yappi_profile": (["yappi"], [2, True]),
    "zmq_sockets": (["zmq"], ["echo: one", "echo: two"]),
}
# What they answer where the loops differ, as they should.
ANSWERS = {
    # A patched Handle._run is not called: one of the listed differences.
    ("aiodebug_slow", "asyncio"): True,
    ("aiodebug_slow", "fastloop"): False,
    ("ipykernel_session", "asyncio"): "_UnixSelectorEventLoop",
    ("ipykernel_session", "fastloop"): "Loop",
}
NEW_IN_3_12 = {"anyio_asyncios_eager", "anyio_eager", "monitoring_events"}
# Programs in which the package makes the task, by a class that it names itself.
TASKS_OF_THEIR_OWN = {
    "aiomonitor_tasks": "aiomonitor.task.TracedTask",
    "anyio_asyncios_eager": "_asyncio.Task",
    "sentry_error": "_asyncio.Task",
}
if sys.version_info[:2] in ((3, 12), (3, 13)):
    TASKS_OF_THEIR_OWN["aiohttp_pair"] = "_asyncio.Task"


@pytest.mark.parametrize("program", PROGRAMS)
def test_program(program):
    """Also that the handler's task is the loop's own kind."""
    if program in NEW_IN_3_12 and sys.version_info < (3, 12):
        pytest.skip("new in Python 3.12")
    packages, answer = PROGRAMS[program]
    need(*packages)
    with ThreadPoolExecutor() as pool:  # most of their time they import
        runs = {
            kind: pool.submit(run_python, "run_program.py", kind, program)
            for kind in LOOPS
        }
    for kind, run in runs.items():
        result = json.loads(run.result().splitlines()[-1])
        del result["lock"]
        task = TASKS_OF_THEIR_OWN.get(program, TASKS[kind])
        expected = ANSWERS.get((program, kind), answer)
        assert result == {"loop": LOOPS[kind], "task": task, "answer": expected}
