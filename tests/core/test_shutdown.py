"""The interpreter's end: with loops running, stopped, leaked, and threads about."""

import pytest

from tests.support import run_child

LEAKED = {
    "never run": "",
    "stopped with work": """
loop.call_soon(print, "never")
loop.call_later(100, print, "never")
loop.call_soon_threadsafe(print, "never")
""",
    "with a pending task": """
async def forever():
    await asyncio.Event().wait()
task = loop.create_task(forever())
loop.call_soon(loop.stop)
loop.run_forever()
""",
    "with a watch": """
import socket
left, right = socket.socketpair()
loop.add_reader(left, print, "never")
right.send(b"x")
""",
    "with a server and a connection": """
async def main():
    global server, reader, writer
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"unread")
loop.run_until_complete(main())
""",
    "with a datagram endpoint": """
async def main():
    global transport
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    transport.sendto(b"to myself", transport.get_extra_info("sockname"))
loop.run_until_complete(main())
""",
    "with a live process": """
async def main():
    global process
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=-1, stdout=-1
    )
loop.run_until_complete(main())
""",
    "with an executor": """
loop.run_until_complete(loop.run_in_executor(None, int))
""",
    "with signal handlers": """
import signal
loop.add_signal_handler(signal.SIGUSR1, print, "never")
""",
    "with an asynchronous generator": """
async def generate():
    while True:
        yield 1
async def main():
    global generator
    generator = generate()
    await anext(generator)
loop.run_until_complete(main())
""",
}


@pytest.mark.parametrize("held", ["by a cycle", "by a builtin"])
@pytest.mark.parametrize("how", LEAKED)
def test_a_loop_left_behind(loop_kind, how, held):
    keep = {
        "by a cycle": "loop.itself = loop; del loop",
        "by a builtin": "import builtins; builtins.loop = loop; del loop",
    }[held]
    source = f"""
import asyncio, sys
loop = new_event_loop()
{LEAKED[how]}
{keep}
print("leaving")
"""
    done = run_child(loop_kind, source, flags=())
    assert (done.returncode, done.stdout) == (0, "leaving\n"), done.stderr
    assert "Fatal" not in done.stderr


@pytest.mark.parametrize("leave", ["", "sys.exit(3)", "raise SystemExit(3)"])
def test_leaving_from_inside_a_callback(loop_kind, leave):
    source = f"""
import sys
def callback():
    print("inside")
    {leave or "loop.stop()"}
loop = new_event_loop()
loop.call_soon(callback)
loop.call_later(100, print, "never")
loop.run_forever()
"""
    done = run_child(loop_kind, source, flags=())
    assert (done.returncode, done.stdout) == (3 if leave else 0, "inside\n")


# The main thread leaves in the midst of what the others do.
HAMMERED = """
import threading
started = threading.Barrier({threads} + 1)
def hammer(loop):
    started.wait()
    try:
        while True:
            loop.call_soon_threadsafe(int)
    except RuntimeError:
        closed.append(True)
closed = []
"""


def test_daemon_threads_call_while_the_interpreter_ends(loop_kind):
    source = HAMMERED.format(threads=3) + (
        """
loop = new_event_loop()
for _ in range(3):
    threading.Thread(target=hammer, args=(loop,), daemon=True).start()
loop.call_soon(started.wait)
loop.call_later(0.02, loop.stop)
loop.run_forever()
print("leaving")
"""
    )
    done = run_child(loop_kind, source, flags=())
    assert (done.returncode, done.stdout) == (0, "leaving\n"), done.stderr


def test_threads_call_while_the_loop_closes(loop_kind):
    """Each hears that it is closed; none crashes, none hangs."""
    source = HAMMERED.format(threads=4) + (
        """
for _ in range(20):
    loop = new_event_loop()
    threads = [threading.Thread(target=hammer, args=(loop,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    loop.call_soon(started.wait)
    loop.call_later(0.002, loop.stop)
    loop.run_forever()
    loop.close()
    for thread in threads:
        thread.join()
print(len(closed))
"""
    )
    done = run_child(loop_kind, source, flags=())
    assert (done.returncode, done.stdout) == (0, "80\n"), done.stderr


def test_daemon_threads_run_loops_while_the_interpreter_ends(loop_kind):
    source = """
import asyncio, threading
started = threading.Barrier(4)
def work():
    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        first = True
        while True:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"x")
            await reader.read(1)
            writer.close()
            if first:
                started.wait()
                first = False
    async def echo(reader, writer):
        writer.write(await reader.read(1))
        writer.close()
    new_event_loop().run_until_complete(main())
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
started.wait()
print("leaving")
"""
    done = run_child(loop_kind, source, flags=())
    assert (done.returncode, done.stdout) == (0, "leaving\n"), done.stderr


def test_atexit_may_run_a_loop(loop_kind):
    source = """
import asyncio, atexit
loop = new_event_loop()
@atexit.register
def last():
    print(loop.run_until_complete(asyncio.sleep(0.001, "at exit")))
    loop.close()
"""
    done = run_child(loop_kind, source, flags=())
    assert (done.returncode, done.stdout) == (0, "at exit\n"), done.stderr


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_every_way_of_multiprocessing(loop_kind, method, tmp_path):
    """A worker has a loop of its own, whatever the parent's loop is doing."""
    program = tmp_path / "program.py"
    module = "asyncio" if loop_kind == "asyncio" else "fastloop"
    program.write_text(f"""
import asyncio, concurrent.futures, multiprocessing, warnings
from {module} import new_event_loop
async def double(number):
    await asyncio.sleep(0)
    return number * 2
def work(number):
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(double(number))
async def main():
    loop = asyncio.get_running_loop()
    context = multiprocessing.get_context({method!r})
    with concurrent.futures.ProcessPoolExecutor(2, context) as pool:
        jobs = [loop.run_in_executor(pool, work, n) for n in range(4)]
        return await asyncio.gather(*jobs)
if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        print(runner.run(main()))
""")
    source = f"""
import runpy
runpy.run_path({str(program)!r}, run_name="__main__")
"""
    if method != "fork":  # they import the program by its file
        source = f"""
import subprocess, sys
raise SystemExit(subprocess.call([sys.executable, {str(program)!r}]))
"""
    done = run_child(loop_kind, source, flags=())
    assert (done.returncode, done.stdout) == (0, "[0, 2, 4, 6]\n"), done.stderr


def test_made_in_one_thread_run_in_another(loop_kind):
    """Streams, timers, wake-ups and a process, in a thread that is not the main."""
    source = """
import asyncio, sys, threading
async def echo(reader, writer):
    writer.write(await reader.readline())
    writer.close()
async def main():
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"line\\n")
    line = await reader.read()
    writer.close()
    server.close()
    await asyncio.sleep(0.001)
    assert await asyncio.to_thread(lambda: 5) == 5
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "pass")
    assert await process.wait() == 0
    return line
answers = []
def work(loop):
    answers.append(loop.run_until_complete(main()))
loops = [new_event_loop() for _ in range(3)]
for _ in range(2):
    threads = [threading.Thread(target=work, args=(loop,)) for loop in loops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
for loop in loops:
    loop.close()
print(answers == [b"line\\n"] * 6)
"""
    done = run_child(loop_kind, source, flags=())
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
