"""fork: the child's copy of a running loop is dead, the parent's is untouched."""

import asyncio
import multiprocessing
import sys
import warnings

import pytest

from tests.support import child_says

FORK = """
import asyncio, os, socket, sys
def wait(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
def child(run):
    pid = os.fork()
    if pid:
        return wait(pid)
    try:
        run()
        sys.stdout.flush()
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(9)
    os._exit(0)
def run_main():
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main())
"""


def forking(kind, source, **options):
    """What a program says that may call child(run), and run_main() for its main()."""
    return child_says(kind, FORK + source, **options)


def test_a_new_loop_in_a_child(loop_kind):
    source = """
def run():
    loop = new_event_loop()
    print(loop.run_until_complete(asyncio.sleep(0.001, "child")))
    loop.close()
print(child(run))
"""
    assert forking(loop_kind, source) == "child\n0\n"


def test_a_new_loop_in_a_child_of_a_running_loop(loop_kind):
    source = """
def run():
    loop = new_event_loop()
    print(loop.run_until_complete(asyncio.sleep(0.001, "child")))
    loop.close()
async def main():
    left, right = socket.socketpair()
    left.setblocking(False)
    loop = asyncio.get_running_loop()
    waiting = asyncio.ensure_future(loop.sock_recv(left, 5))
    await asyncio.sleep(0.001)
    status = child(run)
    right.send(b"still")
    print(status, await waiting)
    await asyncio.to_thread(int)
    left.close()
    right.close()
run_main()
"""
    assert forking(loop_kind, source) == "child\n0 b'still'\n"


def test_asyncio_run_in_a_child_of_a_running_loop(loop_kind):
    source = """
def run():
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        print(runner.run(asyncio.sleep(0.001, "child")))
async def main():
    print(child(run))
run_main()
"""
    assert forking(loop_kind, source) == "child\n0\n"


def test_no_loop_runs_in_the_child(loop_kind):
    source = """
def run():
    try:
        asyncio.get_running_loop()
    except RuntimeError as exc:
        print(exc)
async def main():
    print(child(run))
run_main()
"""
    assert forking(loop_kind, source) == "no running event loop\n0\n"


def test_the_child_does_not_disturb_the_parents_watches(fast_kind):
    """asyncio's child shares the parent's epoll, and takes its watches out of it."""
    source = """
loop = new_event_loop()
left, right = socket.socketpair()
seen = []
loop.add_reader(left, seen.append, 1)
loop.call_soon(loop.stop)
loop.run_forever()
def run():
    loop.remove_reader(left)
    loop.close()
status = child(run)
right.send(b"x")
loop.call_later(0.05, loop.stop)
loop.call_soon(lambda: None)
while not seen:
    loop.call_soon(loop.stop)
    loop.run_forever()
loop.remove_reader(left)
loop.call_soon_threadsafe(loop.stop)
loop.run_forever()
print(status, seen)
loop.close()
"""
    assert forking(fast_kind, source, flags=()).endswith("0 [1]\n")


def test_the_childs_wake_ups_stay_its_own(fast_kind):
    """asyncio's child wakes the parent by the self-pipe that they share."""
    source = """
loop = new_event_loop()
loop.call_soon(loop.stop)
loop.run_forever()
def run():
    try:
        loop.call_soon_threadsafe(print, "in the child")
    except RuntimeError:
        pass
status = child(run)
before = loop.stats()["polls"]
loop.call_later(0.02, loop.stop)
loop.run_forever()
print(status, loop.stats()["polls"] - before < 5)
loop.close()
"""
    assert forking(fast_kind, source) == "0 True\n"


def test_an_idle_loop_may_be_used_by_the_child_alone(loop_kind):
    """Made before the fork, run only in the child, as servers that fork do."""
    source = """
loop = new_event_loop()
def run():
    seen = []
    left, right = socket.socketpair()
    loop.add_reader(left, seen.append, "io")
    right.send(b"x")
    loop.call_later(0.001, seen.append, "timer")
    async def main():
        while len(seen) < 2 or "timer" not in seen:
            await asyncio.sleep(0.001)
        await asyncio.to_thread(seen.append, "thread")
        loop.remove_reader(left)
        await loop.shutdown_default_executor()
    loop.run_until_complete(main())
    print(sorted(set(seen)))
    left.close()
    right.close()
    loop.close()
status = child(run)
print(status)
loop.close()
"""
    expected = "['io', 'thread', 'timer']\n0\n"
    assert forking(loop_kind, source) == expected


def test_an_idle_loop_with_watches_of_its_own(loop_kind):
    """What was watched before the fork is watched in the child."""
    source = """
loop = new_event_loop()
left, right = socket.socketpair()
seen = []
loop.add_reader(left, lambda: seen.append(left.recv(9)))
def run():
    right.send(b"to the child")
    while len(seen) < 2:
        loop.call_soon(loop.stop)
        loop.run_forever()
    print(seen)
    loop.remove_reader(left)
    loop.close()
print(child(run))
loop.remove_reader(left)
loop.close()
"""
    expected = "[b'to the ch', b'ild']\n0\n"
    assert forking(loop_kind, source, flags=()) == expected


def test_a_stale_watch_in_a_child(loop_kind):
    """It is not told of the file that had its number when the process forked."""
    source = """
loop = new_event_loop()
left, right = socket.socketpair()
seen = []
loop.add_reader(left, seen.append, "stale")
number = left.detach()
os.close(number)
read, write = os.pipe()
if read != number:
    os.dup2(read, number)
def run():
    os.write(write, b"x")
    for _ in range(3):
        loop.call_soon(loop.stop)
        loop.run_forever()
    print(seen, loop.remove_reader(number))
    loop.add_reader(number, seen.append, "new")
    loop.call_soon(loop.stop)
    loop.run_forever()
    print(seen)
print(child(run))
"""
    expected = "[] True\n['new']\n0\n"
    assert forking(loop_kind, source, flags=("-W", "ignore")) == expected


def test_a_loop_that_dies_in_the_child(loop_kind):
    """An idle loop that nothing keeps but its own watch, which is of a closed fd."""
    source = """
import gc
gc.disable()
class Holder:
    def __init__(self, loop):
        self.loop = loop
    def ready(self):
        pass
def held(fd):
    loop = new_event_loop()
    loop.add_reader(fd, Holder(loop).ready)
pipes = [os.pipe() for _ in range(4)]
others = []
for read, write in pipes:
    held(read)
    others.append(new_event_loop())
for read, write in pipes:
    os.close(read)
def run():
    for other in others:
        other.run_until_complete(asyncio.sleep(0))
        other.close()
    print("well")
print(child(run))
for other in others:
    other.close()
"""
    options = {"flags": ("-W", "ignore"), "PYTHONMALLOC": "debug"}
    assert forking(loop_kind, source, **options) == "well\n0\n"


def test_a_fork_while_a_loop_dies(loop_kind):
    source = """
import gc
class Last:
    def ready(self):
        pass
    def __del__(self):
        print(child(run))
def run():
    loop = new_event_loop()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    print("child")
read, write = os.pipe()
loop = new_event_loop()
loop.add_reader(read, Last().ready)
loop.call_soon(Last().ready)
loop.close()
del loop
gc.collect()
"""
    options = {"flags": (), "PYTHONMALLOC": "debug"}
    assert forking(loop_kind, source, **options) == "child\n0\nchild\n0\n"


OWN = """
def own():
    kinds = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            kinds.append(os.readlink("/proc/self/fd/" + fd))
        except OSError:
            pass
    return sorted(k for k in kinds if "eventpoll" in k or "eventfd" in k)
"""


def test_a_child_has_none_of_its_parents_loops_fds(fast_kind):
    """asyncio's child keeps the epoll, and the pair that wakes its parent."""
    source = (
        OWN
        + """
loop = new_event_loop()
async def main():
    before = own()
    print(child(lambda: print(own())))
    print(own() == before, len(before))
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main())
loop.close()
"""
    )
    assert forking(fast_kind, source) == "[]\n0\nTrue 4\n"


def test_a_child_asks_the_kernel_nothing_per_watch(fast_kind):
    source = """
import ctypes, resource, time
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
core = sys.modules["fastloop"]._core
loops = [new_event_loop(), new_event_loop()]
held = []
for i in range(0, min(8000, hard - 100), 2):
    held += socket.socketpair()
for sock in held:
    loops[1].add_reader(sock, print)
def hook():
    took = []
    for _ in range(3):
        start = time.thread_time_ns()
        core._after_fork()
        took.append(time.thread_time_ns() - start)
    return took[0]
def run():
    took = hook()
    print("cheap" if took < 1_000_000 else took)
async def main():
    loop = asyncio.get_running_loop()
    for sock in held:
        loop.add_reader(sock, print)
    print(child(run))
    for sock in held:
        loop.remove_reader(sock)
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main())
for sock in held:
    loops[1].remove_reader(sock)
    sock.close()
for loop in loops:
    loop.close()
"""
    assert forking(fast_kind, source) == "cheap\n0\n"


def test_a_child_without_room_for_the_loops_fds_is_told(fast_kind):
    """asyncio's child needs none: it shares its parent's."""
    source = """
import errno, resource
loop = new_event_loop()
left, right = socket.socketpair()
left.setblocking(False)
loop.add_reader(left, print)
def run():
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    for ask in (
        lambda: loop.add_writer(left, print),
        lambda: loop.run_until_complete(asyncio.sleep(0)),
    ):
        try:
            ask()
        except OSError as exc:
            print(errno.errorcode[exc.errno])
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    print(loop.run_until_complete(asyncio.sleep(0, "then it works")))
    loop.remove_reader(left)
    loop.close()
print(child(run))
loop.remove_reader(left)
loop.close()
"""
    expected = "EMFILE\nEMFILE\nthen it works\n0\n"
    assert forking(fast_kind, source, flags=("-W", "ignore")) == expected


@pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="Python itself has left the task in the child"
)
def test_a_child_that_goes_on_in_its_parents_running_loop(fast_kind):
    """It schedules; asyncio's takes events from its parent as well."""
    source = """
async def main():
    left, right = socket.socketpair()
    loop = asyncio.get_running_loop()
    seen = []
    loop.add_reader(left, lambda: seen.append(left.recv(9)))
    pid = os.fork()
    if pid:
        status = wait(pid)
        right.send(b"x")
        while not seen:
            await asyncio.sleep(0)
        loop.remove_reader(left)
        left.close()
        right.close()
        print(status, seen)
        return
    asyncio.events._set_running_loop(loop)
    one, two = socket.socketpair()
    one.setblocking(False)
    two.send(b"two")
    print(await loop.sock_recv(one, 9), await asyncio.to_thread(int))
    await asyncio.sleep(0.001)
    print("watched:", seen, loop.remove_reader(left))
    sys.stdout.flush()
    os._exit(0)
run_main()
"""
    expected = "b'two' 0\nwatched: [] False\n0 [b'x']\n"
    assert forking(fast_kind, source) == expected


def test_a_signal_in_a_child_touches_no_file(loop_kind):
    """The number of the wake-up fd may be any file's in the child."""
    source = """
import signal
loop = new_event_loop()
loop.add_signal_handler(signal.SIGUSR1, int)
loop.run_until_complete(asyncio.sleep(0))
def run():
    if sys.version_info >= (3, 12) or "fastloop" in sys.modules:
        print(signal.set_wakeup_fd(-1))
    else:
        print(-1)
    mine = [os.pipe2(os.O_NONBLOCK) for _ in range(8)]
    os.kill(os.getpid(), signal.SIGUSR1)
    for read, write in mine:
        try:
            print(os.read(read, 9))
        except BlockingIOError:
            pass
print(child(run))
loop.close()
"""
    assert forking(loop_kind, source, flags=()) == "-1\n0\n"


def test_a_fork_in_a_thread(loop_kind):
    source = """
def run():
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        print(runner.run(asyncio.sleep(0.001, "child of a thread")))
async def main():
    print(await asyncio.to_thread(child, run))
    await asyncio.sleep(0.001)
run_main()
"""
    options = {"flags": ("-W", "ignore")}
    assert forking(loop_kind, source, **options) == "child of a thread\n0\n"


def test_a_grandchild_of_a_running_loop(loop_kind):
    source = """
def grandchild():
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        print(runner.run(asyncio.sleep(0.001, "grandchild")))
def run():
    print(child(grandchild))
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        print(runner.run(asyncio.sleep(0.001, "child")))
async def main():
    print(child(run))
    await asyncio.sleep(0.001)
run_main()
"""
    assert forking(loop_kind, source) == "grandchild\n0\nchild\n0\n"


def test_a_program_spawned_from_a_running_loop(loop_kind):
    source = """
import subprocess
async def main():
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    left.setblocking(False)
    waiting = asyncio.ensure_future(loop.sock_recv(left, 5))
    await asyncio.sleep(0)
    pid = os.posix_spawn("/bin/true", ["true"], {})
    print(wait(pid), subprocess.run(["/bin/true"]).returncode)
    print(subprocess.run(["/bin/true"], preexec_fn=int).returncode)
    right.send(b"still")
    print(await waiting)
    left.close()
    right.close()
run_main()
"""
    expected = "0 0\n0\nb'still'\n"
    assert forking(loop_kind, source, flags=("-W", "ignore")) == expected


def test_many_loops_and_a_fork(loop_kind):
    source = """
loops = [new_event_loop() for _ in range(5)]
for loop in loops[:3]:
    loop.call_soon(loop.stop)
    loop.run_forever()
loops[0].close()
def run():
    for loop in loops:
        loop.close()
    print("closed")
print(child(run))
for loop in loops[1:]:
    loop.run_until_complete(asyncio.sleep(0.001))
    loop.close()
"""
    assert forking(loop_kind, source, flags=()) == "closed\n0\n"


def test_multiprocessing_with_fork_from_a_running_loop(run):
    async def main():
        context = multiprocessing.get_context("fork")
        loop = asyncio.get_running_loop()
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=send.send, args=("from the child",))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            process.start()
        answer = await loop.run_in_executor(None, receive.recv)
        process.join()
        process.close()
        receive.close()
        send.close()
        return answer

    assert run(main()) == "from the child"


def test_a_child_that_forks_again(loop_kind):
    source = """
def run():
    def again():
        print("grandchild")
    loop = new_event_loop()
    loop.close()
    print(child(again))
print(child(run))
"""
    assert forking(loop_kind, source) == "grandchild\n0\n0\n"


FORKS_AT_DEATH = """
import asyncio, gc, os, signal, socket, sys, warnings, weakref
warnings.simplefilter("ignore")
statuses, kept = [], []

def fork():
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)
        gc.collect()
        child = new_event_loop()
        try:
            child.run_until_complete(asyncio.sleep(0))
        except RuntimeError:
            pass  # a loop runs where it was forked
        for op in gc.get_objects():
            if isinstance(op, asyncio.AbstractEventLoop):
                repr(op)
        os._exit(0)
    statuses.append(os.waitpid(pid, 0)[1])

class AtDeath:
    def __del__(self):
        fork()

    def __call__(self, *args):
        pass

async def nothing(op):
    pass

def end_task(loop):
    loop.create_task(nothing(AtDeath()))._log_destroy_pending = False

def in_a_cycle(loop):
    loop.itself = loop
    loop.attribute = AtDeath()

DYING = {
    "an attribute": lambda loop: setattr(loop, "attribute", AtDeath()),
    "a weak reference": lambda loop: kept.append(weakref.ref(loop, lambda _: fork())),
    "a callback": lambda loop: loop.call_soon(AtDeath()),
    "a timer": lambda loop: loop.call_later(50, AtDeath()),
    "a far timer": lambda loop: loop.call_later(1e6, AtDeath()),
    "a threadsafe callback": lambda loop: loop.call_soon_threadsafe(AtDeath()),
    "a reader": lambda loop: loop.add_reader(left, AtDeath()),
    "a signal handler": lambda loop: loop.add_signal_handler(10, AtDeath()),
    "a task": end_task,
    "a future": lambda loop: loop.create_future().add_done_callback(AtDeath()),
    "an exception handler": lambda loop: loop.set_exception_handler(AtDeath()),
    "a factory": lambda loop: loop.set_task_factory(AtDeath()),
    "a cycle": in_a_cycle,
}

left, right = socket.socketpair()
left.setblocking(False)
for name, make in DYING.items():
    loop, other = new_event_loop(), new_event_loop()
    make(loop)
    loop.close()
    del loop
    gc.collect()
    other.run_until_complete(asyncio.sleep(0))
    other.close()
    print(name, statuses)
    statuses.clear()
left.close(), right.close()
"""


def test_forks_as_what_a_loop_has_dies_with_it(loop_kind):
    said = child_says(loop_kind, FORKS_AT_DEATH, PYTHONMALLOC="debug")
    lines = said.splitlines()
    assert len(lines) == 13
    assert all(line.endswith(" [0]") for line in lines), said
