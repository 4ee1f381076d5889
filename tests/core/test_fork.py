"""fork: the child's copy of a running loop is dead, the parent's is untouched."""

import asyncio
import multiprocessing
import warnings

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
