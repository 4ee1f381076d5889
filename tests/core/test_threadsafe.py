"""call_soon_threadsafe, and what other threads may do to a loop."""

import asyncio
import contextvars
import sys
import threading

import pytest

from tests.support import SLOWER, child_says, run_once


def in_thread(target, *args):
    thread = threading.Thread(target=target, args=args)
    thread.start()
    return thread


def test_it_wakes_a_sleeping_loop(loop):
    about_to_sleep = threading.Event()

    def wake():
        about_to_sleep.wait()
        loop.call_soon_threadsafe(loop.stop)

    thread = in_thread(wake)
    loop.call_soon(about_to_sleep.set)
    loop.run_forever()
    thread.join()


def test_it_runs_in_the_loops_thread_in_order(loop):
    seen = []

    def work():
        for n in range(1000):
            loop.call_soon_threadsafe(
                lambda n=n: seen.append((n, threading.get_ident()))
            )
        loop.call_soon_threadsafe(loop.stop)

    thread = in_thread(work)
    loop.run_forever()
    thread.join()
    assert seen == [(n, threading.get_ident()) for n in range(1000)]


def test_many_threads_lose_nothing(loop):
    n_threads, n_calls = 8, 500
    seen = []

    def arrive(name, n):
        seen.append((name, n))
        if len(seen) == n_threads * n_calls:
            loop.stop()

    def work(name):
        for n in range(n_calls):
            loop.call_soon_threadsafe(arrive, name, n)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [in_thread(work, name) for name in range(n_threads)]
        loop.run_forever()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    for name in range(n_threads):
        assert [n for who, n in seen if who == name] == list(range(n_calls))


def test_from_the_loops_own_thread(loop):
    seen = []
    loop.call_soon(seen.append, 1)
    loop.call_soon_threadsafe(seen.append, 2)
    loop.call_soon(seen.append, 3)
    run_once(loop)
    assert sorted(seen) == [1, 2, 3]
    assert seen.index(1) < seen.index(3)


def test_before_the_loop_runs(loop):
    seen = []
    thread = in_thread(loop.call_soon_threadsafe, seen.append, 1)
    thread.join()
    run_once(loop)
    assert seen == [1]


def test_cancel_from_the_same_thread(loop):
    seen = []
    handles = []

    def work():
        handles.append(loop.call_soon_threadsafe(seen.append, "cancelled"))
        handles[0].cancel()
        loop.call_soon_threadsafe(loop.stop)

    def block():
        thread = in_thread(work)
        thread.join()

    loop.call_soon(block)
    loop.run_forever()
    assert seen == []
    assert handles[0].cancelled()


def test_the_context_of_the_calling_thread(loop):
    number = contextvars.ContextVar("number", default=0)
    seen = []

    def work():
        number.set(5)
        loop.call_soon_threadsafe(lambda: seen.append(number.get()))
        loop.call_soon_threadsafe(loop.stop)

    thread = in_thread(work)
    loop.run_forever()
    thread.join()
    assert seen == [5]


def test_a_loop_closed_meanwhile(loop):
    """A thread that is late gets an exception; nothing else happens."""
    caught = []

    def work():
        try:
            while True:
                loop.call_soon_threadsafe(int)
        except RuntimeError as exc:
            caught.append(str(exc))

    thread = in_thread(work)
    for _ in range(20):
        run_once(loop)
    loop.close()
    thread.join()
    assert caught == ["Event loop is closed"]


def test_run_coroutine_threadsafe(loop):
    async def add(a, b):
        await asyncio.sleep(0)
        return a + b

    results = []

    def work():
        future = asyncio.run_coroutine_threadsafe(add(1, 2), loop)
        results.append(future.result(10))
        loop.call_soon_threadsafe(loop.stop)

    thread = in_thread(work)
    loop.run_forever()
    thread.join()
    assert results == [3]


def test_call_soon_from_a_wrong_thread_is_not_lost(loop):
    """Not allowed, and refused in debug mode; outside it no call disappears."""
    seen = []

    def work():
        for n in range(200):
            loop.call_soon(seen.append, n)
        loop.call_soon_threadsafe(loop.stop)

    thread = in_thread(work)
    loop.run_forever()
    thread.join()
    run_once(loop)
    assert seen == list(range(200))


def test_timers_from_a_wrong_thread_do_no_harm(loop):
    seen = []

    def work():
        handles = [loop.call_later(0.001, seen.append, n) for n in range(100)]
        for handle in handles[::2]:
            handle.cancel()
        loop.call_soon_threadsafe(int)

    thread = in_thread(work)

    def check():
        if len(seen) == 50:
            loop.stop()
        else:
            loop.call_later(0.001, check)

    loop.call_soon(check)
    loop.run_forever()
    thread.join()
    assert sorted(seen) == list(range(1, 100, 2))


def test_stop_from_another_thread(loop):
    thread = in_thread(lambda: loop.call_soon_threadsafe(loop.stop))
    loop.run_forever()
    thread.join()


def test_a_burst_before_sleep(loop):
    """A wake-up that arrives while the loop is about to sleep is not missed."""
    rounds = 300
    arrived = threading.Semaphore(0)

    def work():
        for _ in range(rounds):
            loop.call_soon_threadsafe(arrived.release)
            assert arrived.acquire(timeout=10 * SLOWER)
        loop.call_soon_threadsafe(loop.stop)

    thread = in_thread(work)
    loop.run_forever()
    thread.join()
    assert not arrived.acquire(blocking=False)


def test_asyncs_bridge_to_threads(run):
    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        thread = in_thread(
            lambda: loop.call_soon_threadsafe(future.set_result, "answer")
        )
        answer = await future
        thread.join()
        return answer

    assert run(main()) == "answer"


def test_questions_any_thread_may_ask(loop):
    answers = []

    def work():
        answers.append((loop.is_running(), loop.is_closed(), loop.get_debug()))
        answers.append(loop.time() > 0)
        answers.append(asyncio.all_tasks(loop) == set())
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        loop.call_soon_threadsafe(loop.stop)

    thread = in_thread(work)
    loop.call_soon(lambda: None)
    loop.run_forever()
    thread.join()
    assert answers[0][1:] == (False, False)
    assert answers[1:] == [True, True]


@pytest.mark.skipif(sys.version_info < (3, 14), reason="cancel() waits from 3.14 on")
def test_a_signal_interrupts_who_waits_for_a_callback_in_another_thread(loop_kind):
    source = """
import asyncio, signal, threading
begun, end = threading.Event(), threading.Event()

def callback():
    begun.set()
    end.wait(10)

loop = new_event_loop()
handle = loop.call_soon_threadsafe(callback)
loop.call_soon_threadsafe(loop.stop)
thread = threading.Thread(target=loop.run_forever)
thread.start()
begun.wait()

def on_alarm(signum, frame):
    raise TimeoutError

signal.signal(signal.SIGALRM, on_alarm)
for wait in handle.cancel, handle.cancelled:
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        wait()
    except TimeoutError:
        print("interrupted")
end.set()
thread.join()
print(handle.cancelled())
handle.cancel()
loop.close()
"""
    assert child_says(loop_kind, source) == "interrupted\ninterrupted\nFalse\n"
