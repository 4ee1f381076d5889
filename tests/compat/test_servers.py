"""Real packages with real servers, on each kind of loop, and accelerated.

A server is tools/servers.py's and serves all tests of a run.
"""

import contextlib
import json
import os

import pytest
import servers

from .support import LOOPS, TASKS, need, note_server, run_python

# The kind of loop, whether helpers in C are in the place of asyncio's, and then Lock's.
WAYS = {
    "asyncio": ("asyncio", "0", "asyncio.locks"),
    "fastloop": ("fastloop", "0", "asyncio.locks"),
    "accelerated": ("fastloop", "1", "fastloop.aio"),
}
if os.environ.get("FASTLOOP_TESTS_FASTLOOP_ONLY"):
    del WAYS["asyncio"]

# Rows; what NOTIFY said; what a connection says after a query was given up; and
# whether the answers of many queries at once are right.
BY_ASYNCPG = [20_000, "said", "and on", True]
# The sum of the numbers, each one more.
BY_PSYCOPG = [200_010_000, "said", "and on"]
BY_REDIS = [5_000_000, 499_500, list(range(10)), "pushed"]
BY_NGINX = [True, 206, "90123", 404, True, True, True, 100, "ONE", "TWO"]

# Program: the packages it needs, its server and its answer.
PROGRAMS = {
    "nginx_before": (["aiohttp"], "nginx", [BY_NGINX] * 2),
    "openssh_asyncssh": (
        ["asyncssh"],
        "sshd",
        [[True, ["failed\n", 7], True, "FORWARDED\n"], [3, True]],
    ),
    "openssh_child": ([], "sshd", [[True] * 4, "said\n", True]),
    "postgres_asyncpg": (
        ["asyncpg"],
        "postgres",
        [[secret, *BY_ASYNCPG] for secret in (False, False, True)],
    ),
    "postgres_psycopg": (
        ["psycopg"],
        "postgres",
        [[secret, *BY_PSYCOPG] for secret in (False, False, True)],
    ),
    "postgres_sqlalchemy": (
        ["sqlalchemy", "greenlet", "asyncpg", "psycopg"],
        "postgres",
        [[8550, 171]] * 2,
    ),
    "redis_server": (["redis"], "redis", [BY_REDIS] * 3),
}
# Programs that are servers themselves, and the command that asks them.
ASKED = {
    "curl_clients": (["aiohttp", "hypercorn", "trustme"], "curl", [True] * 5),
}


@pytest.fixture(scope="module")
def server_of():
    """server_of(name): the running server's settings, or why it is passed over."""
    started = {}
    with contextlib.ExitStack() as stack:

        def server_of(name):
            if name not in started:
                try:
                    server = stack.enter_context(getattr(servers, name)())
                    started[name] = server.settings()
                except servers.Absent as absent:
                    started[name] = str(absent)
            if isinstance(started[name], str):
                pytest.skip(started[name])
            note_server(name)
            return started[name]

        yield server_of


def check(way, program, answer, *arguments):
    """The program gives the answer on that loop, in a task of the loop's own kind."""
    kind, accelerated, lock = WAYS[way]
    output = run_python(
        *("run_program.py", kind, program, *arguments),
        FASTLOOP_ACCELERATE=accelerated,
    )
    assert json.loads(output.splitlines()[-1]) == {
        "loop": LOOPS[kind],
        "task": TASKS[kind],
        "lock": lock,
        "answer": answer,
    }


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_client_of(program, way, server_of):
    packages, name, answer = PROGRAMS[program]
    need(*packages)
    check(way, program, answer, json.dumps(server_of(name)))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("program", ASKED)
def test_a_server_for(program, way):
    packages, command, answer = ASKED[program]
    need(*packages)
    try:
        servers.find(command)
    except servers.Absent as absent:
        pytest.skip(str(absent))
    note_server(command)
    check(way, program, answer)
