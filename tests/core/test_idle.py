"""An idle loop makes no system call."""

import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from tests.support import child_args, child_env

SOURCE = """
import os, socket
loop = new_event_loop()
loop.call_soon(lambda: print("IDLE", os.getpid(), flush=True))
loop.call_later(3600, print)
loop.call_later(0.5, print).cancel()
left, right = socket.socketpair()
loop.add_reader(left, print)
loop.run_forever()
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_no_system_call_while_idle(loop_kind, tmp_path):
    trace = tmp_path / "trace"
    idle_s = 5 if loop_kind == "fastloop" else 1
    with subprocess.Popen(
        ["strace", "-f", "-o", trace, *child_args(loop_kind, SOURCE)],
        env=child_env(),
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            word, traced = child.stdout.readline().split()
            assert word == "IDLE"
            time.sleep(idle_s)  # what is measured, not a synchronisation
        finally:
            # strace ends with what it traces, which would outlive strace's end.
            os.kill(int(traced), signal.SIGKILL)
    lines = trace.read_text().splitlines()
    [said] = [n for n, line in enumerate(lines) if 'write(1, "IDLE' in line]
    calls = [re.sub(r"^\d+ +", "", line) for line in lines[said + 1 :]]
    names = [call.partition("(")[0] for call in calls if "(" in call]
    # The rest of the iteration, then one sleep.
    waits = [name for name in names if name.startswith("epoll_")]
    assert len(waits) <= 3
    assert len(names) <= 6, calls
    assert names[-1].startswith("epoll_")
    assert not os.path.exists(f"/proc/{traced}")
