"""Processes to be asked from outside."""

import contextlib
import os
import subprocess
import sys

from fastloop import _inquiry

PRELUDE = "import asyncio, ctypes, fastloop, os, re, sys, threading, time\n"
# For ever, in C, with the GIL.
KEEPS_THE_GIL = """
async def main():
    print("ready", flush=True)
    re.match('(a|aa)+$', 'a' * 60 + 'b')
fastloop.run(main())
"""


class Program:
    """A process that runs a program, up to where it says that it is ready."""

    def __init__(self, text, watch="0.1", log=False):
        env = {**os.environ, "FASTLOOP_WATCH": watch}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if log else subprocess.DEVNULL,
            text=True,
            env=env,
        )
        self.pid = self.process.pid
        assert self.line() == "ready"

    def line(self):
        return self.process.stdout.readline().strip()

    def say(self, text):
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        for file in self.process.stdout, self.process.stderr:
            if file is not None:
                file.close()


@contextlib.contextmanager
def keeping_the_gil():
    """A process of which C code keeps the GIL, from now on."""
    with Program(KEEPS_THE_GIL) as program:
        for _ in range(100):
            # its first line may be read before it gets there
            if "line 5, in main" in command("blocked", program.pid, "--wait", 30)[1]:
                break
        yield program


def sockets(pid):
    """The sockets of a process of this user's, by path."""
    found = []
    for folder in _inquiry._outside.folders(os.geteuid()):
        with contextlib.suppress(FileNotFoundError):
            found += [
                f"{folder}/{name}"
                for name in os.listdir(folder)
                if name.startswith(f"{pid}-")
            ]
    return found


def command(name, *words):
    """What a command's process prints: (code, stdout, stderr)."""
    done = subprocess.run(
        [sys.executable, "-m", f"fastloop.{name}", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


# A coroutine that calls look(coro) again and again while it runs: from one place in its
# code, which Python gives up to specialize, so that a counter there has every value.
LOOKED_AT = """
class Looks:
    def __call__(self):
        look(self.coro)
looks = Looks()
async def runs():
    for _ in range(5000):
        looks()
async def main():
    looks.coro = runs()
    await looks.coro
fastloop.run(main())
print("ended")
"""


def look_while_it_runs(look):
    """What a process prints in which look(coro) is called all the while."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + look + LOOKED_AT],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "ended\n", (done.returncode, done.stderr)
