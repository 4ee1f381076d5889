"""distributed's own commands, each a process, and a client of theirs."""

import contextlib
import json
import signal
import subprocess
import sys

from .support import DOORS, HERE, LOOPS, TIMEOUT_S, need, run_python


@contextlib.contextmanager
def started(loop_kind, name, path, output):
    """One of the commands, on a loop of this kind; it must end well by itself."""
    module = f"distributed.cli.dask_{name}"
    options = ["--scheduler-file", path, "--host", "127.0.0.1", "--no-dashboard"]
    options += ["--port", "0"] if name == "scheduler" else ["--no-nanny"]
    with subprocess.Popen(
        [sys.executable, *DOORS[loop_kind], "-m", module, *options],
        cwd=HERE,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            yield process
            assert process.wait(TIMEOUT_S) in (0, -signal.SIGTERM)
        finally:
            process.kill()


def test_commands(loop_kind, tmp_path, monkeypatch):
    need("distributed")
    path = tmp_path / "scheduler.json"
    monkeypatch.setenv("SCHEDULER_FILE", str(path))
    log = tmp_path / "log"
    try:
        with (
            log.open("w") as output,
            started(loop_kind, "scheduler", path, output),
            started(loop_kind, "worker", path, output),
        ):
            output = run_python("run_program.py", loop_kind, "distributed_client")
    finally:
        print(log.read_text())
    result = json.loads(output.splitlines()[-1])
    assert result["loop"] == LOOPS[loop_kind]
    assert result["answer"] == [2470, LOOPS[loop_kind], LOOPS[loop_kind]]
