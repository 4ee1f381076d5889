"""A loop's life: made, run, stopped, closed, dropped."""

import asyncio
import gc
import sys
import threading
import warnings
import weakref

import pytest

from tests.support import SLOWER, child_says, plain, run_child, run_once


def test_a_new_loop_is_open_and_idle(loop):
    assert not loop.is_running()
    assert not loop.is_closed()


def test_it_is_an_asyncio_loop(loop):
    assert isinstance(loop, asyncio.AbstractEventLoop)
    assert isinstance(loop, asyncio.BaseEventLoop)
    asyncio.set_event_loop(loop)
    asyncio.set_event_loop(None)


def test_repr_names_its_state(loop, loop_factory):
    ours = type(loop).__module__ == "fastloop"
    name = "fastloop.Loop" if ours else type(loop).__name__
    assert repr(loop) == f"<{name} running=False closed=False debug=False>"
    seen = []
    loop.set_debug(True)
    loop.call_soon(lambda: seen.append(repr(loop)))
    run_once(loop)
    assert seen == [f"<{name} running=True closed=False debug=True>"]
    loop.set_debug(False)
    loop.close()
    assert repr(loop) == f"<{name} running=False closed=True debug=False>"


def test_close_twice_is_allowed(loop):
    loop.close()
    loop.close()
    assert loop.is_closed()


def test_close_after_a_run(loop):
    run_once(loop)
    loop.close()
    assert loop.is_closed()
    assert not loop.is_running()


@pytest.mark.parametrize(
    "use",
    [
        lambda loop: loop.call_soon(print),
        lambda loop: loop.call_soon_threadsafe(print),
        lambda loop: loop.call_later(1, print),
        lambda loop: loop.call_at(1, print),
        lambda loop: loop.run_forever(),
        lambda loop: loop.run_until_complete(asyncio.Future(loop=loop)),
        lambda loop: loop.run_in_executor(None, print),
        lambda loop: loop.add_reader(0, print),
        lambda loop: loop.add_writer(0, print),
        lambda loop: loop.add_signal_handler(10, print),
    ],
    ids=[
        "call_soon",
        "call_soon_threadsafe",
        "call_later",
        "call_at",
        "run_forever",
        "run_until_complete",
        "run_in_executor",
        "add_reader",
        "add_writer",
        "add_signal_handler",
    ],
)
def test_a_closed_loop_refuses_work(loop, use):
    loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        use(loop)


def test_a_closed_loop_refuses_a_coroutine(loop):
    async def main():
        raise AssertionError("must not run")

    loop.close()
    coroutine = main()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.run_until_complete(coroutine)
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.create_task(coroutine)
    coroutine.close()


def test_a_closed_loop_still_answers_questions(loop):
    loop.close()
    assert isinstance(loop.time(), float)
    assert loop.get_debug() is False
    assert loop.get_exception_handler() is None
    assert loop.get_task_factory() is None
    assert loop.remove_reader(0) is False
    assert loop.remove_writer(0) is False
    assert loop.create_future().get_loop() is loop
    loop.stop()


def test_pending_work_is_dropped_by_close(loop):
    class Witness:
        def __call__(self):
            raise AssertionError("must not run")

    witnesses = [Witness() for _ in range(3)]
    gone = [weakref.ref(witness) for witness in witnesses]
    handles = [
        loop.call_soon(witnesses[0]),
        loop.call_later(0.01, witnesses[1]),
        loop.call_later(5000, witnesses[2]),
    ]
    loop.close()
    del handles, witnesses
    gc.collect()
    assert [ref() for ref in gone] == [None, None, None]


def test_handles_outlive_their_loop(loop, loop_factory):
    soon = loop.call_soon(print)
    later = loop.call_later(100, print)
    when = later.when()
    loop.close()
    assert later.when() == when
    for handle in (soon, later):
        assert not handle.cancelled()
        handle.cancel()
        assert handle.cancelled()
        assert "cancelled" in repr(handle)


def test_closing_a_running_loop_is_refused(loop):
    seen = []

    def close():
        with pytest.raises(RuntimeError, match="Cannot close a running event loop"):
            loop.close()
        seen.append(loop.is_closed())

    loop.call_soon(close)
    run_once(loop)
    assert seen == [False]


def test_close_shuts_the_executor(loop):
    loop.run_until_complete(loop.run_in_executor(None, int))
    executor = loop._default_executor
    loop.close()
    with pytest.raises(RuntimeError):
        executor.submit(int)
    executor.shutdown()


def test_an_unclosed_loop_warns_and_closes(loop_factory):
    loop = loop_factory()
    run_once(loop)
    expected = plain(f"unclosed event loop {loop!r}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del loop
        gc.collect()
    texts = [plain(str(w.message)) for w in caught if "event loop" in str(w.message)]
    assert texts == [expected]
    assert {w.category for w in caught} == {ResourceWarning}


def test_a_closed_loop_is_dropped_silently(loop_factory):
    loop = loop_factory()
    gone = weakref.ref(loop)
    loop.call_later(100, loop.stop)
    loop.close()
    del loop
    gc.collect()
    assert gone() is None


def test_a_loop_in_a_cycle_is_collected(loop_factory):
    loop = loop_factory()
    gone = weakref.ref(loop)
    loop.me = loop
    loop.call_soon(lambda me=loop: me)
    loop.call_later(100, lambda me=loop: me)
    loop.set_exception_handler(lambda *args, me=loop: me)
    run_once(loop)
    loop.close()
    del loop
    gc.collect()
    assert gone() is None


def test_many_loops_leave_nothing(loop_factory):
    for _ in range(20):
        loop = loop_factory()
        run_once(loop)
        loop.close()


def test_two_loops_take_turns(loop_factory):
    first, second = loop_factory(), loop_factory()
    seen = []
    for name, loop in (("a", first), ("b", second), ("c", first)):
        loop.call_soon(seen.append, name)
        run_once(loop)
    first.close()
    second.call_soon(seen.append, "d")
    run_once(second)
    second.close()
    assert seen == ["a", "b", "c", "d"]


def test_loops_in_two_threads_at_once(loop_factory):
    meet = threading.Barrier(2, timeout=10 * SLOWER)
    seen = {}

    def work(name):
        loop = loop_factory()

        async def main():
            meet.wait()
            await asyncio.sleep(0.001)
            seen[name] = asyncio.get_running_loop() is loop

        loop.run_until_complete(main())
        loop.close()

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"a": True, "b": True}


def test_run_in_one_thread_close_in_another(loop):
    run_once(loop)
    thread = threading.Thread(target=loop.close)
    thread.start()
    thread.join()
    assert loop.is_closed()


def test_attributes_and_weakrefs(loop):
    loop.anything = 1
    assert vars(loop)["anything"] == 1
    assert weakref.ref(loop)() is loop
    assert {loop: 1}[loop] == 1


def test_a_loop_left_open_at_exit(loop_kind):
    source = """
loop = new_event_loop()
loop.call_soon(loop.stop)
loop.call_later(100, print)
loop.run_forever()
"""
    assert child_says(loop_kind, source, flags=()) == ""


def test_a_loop_dropped_while_another_thread_runs_it(loop_kind):
    source = """
import gc, threading, time
started = threading.Event()
def work(loop):
    loop.call_soon(started.set)
    loop.call_later(0.05, loop.stop)
    loop.run_forever()
    loop.close()
loop = new_event_loop()
thread = threading.Thread(target=work, args=(loop,))
thread.start()
started.wait()
del loop
gc.collect()
thread.join()
print("done")
"""
    assert child_says(loop_kind, source) == "done\n"


def test_exit_while_a_daemon_thread_runs_a_loop(loop_kind):
    source = """
import threading
started = threading.Event()
def work():
    loop = new_event_loop()
    loop.call_soon(started.set)
    loop.run_forever()
threading.Thread(target=work, daemon=True).start()
started.wait()
print("leaving")
"""
    done = run_child(loop_kind, source, flags=())
    assert (done.returncode, done.stdout) == (0, "leaving\n")


def test_a_plain_unclosed_loop_warns_at_collection(loop_kind):
    source = """
import gc
loop = new_event_loop()
del loop
gc.collect()
print("alive")
"""
    done = run_child(loop_kind, source, flags=("-W", "always"))
    assert (done.returncode, done.stdout) == (0, "alive\n")
    assert "ResourceWarning: unclosed event loop <" in done.stderr


@pytest.mark.parametrize("name", ["_asyncgens", "_transports"])
def test_who_asks_while_a_container_is_made_gets_the_same(loop, name):
    inside = []

    def ask_again(frame, event, _argument):
        if event == "call" and not inside:
            inside.append(None)
            inside[0] = getattr(loop, name)

    sys.setprofile(ask_again)
    try:
        outside = getattr(loop, name)
    finally:
        sys.setprofile(None)
    assert getattr(loop, name) is outside
    assert not inside or inside[0] is outside
