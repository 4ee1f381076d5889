"""Servers and workers that a program starts, under python -m fastloop --children."""

import json

import pytest

from .support import LOOPS, need, run_python
from .test_doors import ASGI, answers, path, serving  # noqa: F401

# A program that starts a Python of its own and ends with it.
START = (
    "import signal, subprocess, sys\n"
    "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    "process = subprocess.Popen([sys.executable, '-m', *sys.argv[1:]],"
    " preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))\n"
    "sys.exit(process.wait())\n"
)
# As in test_doors; workers that answer; packages.
SERVERS = {
    "uvicorn": (f"uvicorn {ASGI} --uds @", 1, "uvicorn"),
    "uvicorn workers": (f"uvicorn {ASGI} --workers 2 --uds @", 2, "uvicorn"),
    "gunicorn": (
        f"gunicorn -k uvicorn_worker.UvicornWorker -w 2 -b unix:@ {ASGI}",
        2,
        "gunicorn uvicorn_worker",
    ),
}


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_a_program_starts(name, path, tmp_path):  # noqa: F811
    command, workers, packages = SERVERS[name]
    need(*packages.split())
    words = ["fastloop", "--children", "-c", START]
    words += command.replace("@", path).split()
    with serving(words, tmp_path / "output") as process:
        found = answers(process, path, workers)
        assert set(found.values()) == {LOOPS["fastloop"]}
        assert process.pid not in found


NANNY = """\
import asyncio, json
import dask
from distributed import Client, Nanny, Scheduler

def kind_of(loop):
    return f"{type(loop).__module__}.{type(loop).__qualname__}"

def worker(dask_worker):
    return kind_of(dask_worker.loop.asyncio_loop)

async def main():
    options = {"host": "127.0.0.1"}
    async with Scheduler(port=0, dashboard=False, **options) as scheduler:
        async with Nanny(scheduler.address, nthreads=1, **options) as nanny:
            async with Client(scheduler.address, asynchronous=True) as client:
                await client.wait_for_workers(1, timeout=30)
                kinds = list((await client.run(worker)).values())
    return [kind_of(asyncio.get_running_loop()), *kinds]

if __name__ == "__main__":
    with dask.config.set({"distributed.admin.event-loop": "asyncio"}):
        print(json.dumps(asyncio.run(main())))
"""


def test_dasks_nanny(tmp_path):
    """Its worker is a process that it spawns."""
    need("distributed")
    (tmp_path / "nanny.py").write_text(NANNY)
    words = ["-m", "fastloop", "--children", "nanny.py"]
    output = run_python(*words, cwd=tmp_path)
    assert json.loads(output.splitlines()[-1]) == 2 * [LOOPS["fastloop"]]
