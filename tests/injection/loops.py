"""The module, the loop, signals and handles."""

import asyncio
import contextlib
import contextvars
import importlib
import os
import signal
import socket
import sys
import threading

import fastloop
from tests.injection.registry import program, with_loop
from tests.injection.transports import connection_of_two
from tests.leaks.scenarios import nothing, run_once

# --- the module ---


@program
def importing():
    """The module once more: a new one, beside that which runs the others."""
    kept = sys.modules.pop("fastloop._core")
    try:
        importlib.import_module("fastloop._core")
    finally:
        sys.modules["fastloop._core"] = kept


@contextlib.contextmanager
def imported_anew():
    """The package once more, beside that which the other programs use."""
    ours = [name for name in sys.modules if name.partition(".")[0] == "fastloop"]
    kept = {name: sys.modules.pop(name) for name in ours}
    try:
        yield importlib.import_module("fastloop")
    finally:
        for name in list(sys.modules):
            if name.partition(".")[0] == "fastloop":
                del sys.modules[name]
        sys.modules.update(kept)


@program
def first_task_of_an_interpreter():
    async def main():
        await asyncio.get_running_loop().create_task(asyncio.sleep(0), name="x")

    with imported_anew() as again:
        again.run(main())


@program
def importing_with_stock_types():
    async def main():
        asyncio.get_running_loop().create_future().cancel()
        await asyncio.get_running_loop().create_task(asyncio.sleep(0), name="x")

    debug = asyncio.coroutines._is_debug_mode
    asyncio.coroutines._is_debug_mode = lambda: True
    os.environ["FASTLOOP_STOCK_TYPES"] = "1"
    try:
        with imported_anew() as stock:
            stock.run(main())
    finally:
        asyncio.coroutines._is_debug_mode = debug
        del os.environ["FASTLOOP_STOCK_TYPES"]


# --- nothing is lost ---


@with_loop
def every_callback_runs(loop):
    """Callbacks of every kind; those not refused or reported all run."""
    ran = set()
    taken = []
    refused = []

    def schedule(name, function, *args):
        try:
            function(*args)
        except (MemoryError, OSError):
            refused.append(name)
        else:
            taken.append(name)

    left, right = socket.socketpair()
    with left, right:
        right.send(b"x")
        future = loop.create_future()
        for n in range(3):
            schedule(("soon", n), loop.call_soon, ran.add, ("soon", n))
            schedule(("later", n), loop.call_later, n / 1e5, ran.add, ("later", n))
            schedule(
                ("threadsafe", n),
                loop.call_soon_threadsafe,
                ran.add,
                ("threadsafe", n),
            )
            name = ("done", n)
            schedule(name, future.add_done_callback, lambda _, name=name: ran.add(name))
        schedule("far", loop.call_at, loop.time() + 1.2e-4, ran.add, "far")
        schedule(
            "reader",
            loop.add_reader,
            left,
            lambda: (ran.add("reader"), loop.remove_reader(left)),
        )
        schedule("result", future.set_result, None)
        ran.add("result")

        async def step():
            await asyncio.sleep(0)
            await future
            ran.add("task")

        tasks = []
        schedule("task", lambda: tasks.append(loop.create_task(step())))
        reports = []
        loop.set_exception_handler(lambda _, context: reports.append(context))
        for _ in range(30):
            try:
                loop.call_later(2e-5, loop.stop)
                loop.run_forever()
            except MemoryError as exc:
                reports.append(exc)
            if ran >= set(taken):
                break
        for task in tasks:
            task._log_destroy_pending = False
            if task.done() and task.exception() is not None:
                reports.append(task.exception())
        missing = set(taken) - ran
        if "result" in refused:
            missing = {n for n in missing if n[0] != "done" and n != "task"}
        if len(missing) > len(reports):
            return [f"lost {missing}, reports {reports}"]
        for one in reports:  # to be seen as what they are
            exc = one if isinstance(one, BaseException) else one.get("exception")
            if exc is not None:
                raise exc
    return []


# --- the loop ---


@with_loop
def a_long_queue(loop):
    for _ in range(300):
        loop.call_soon(nothing)
    run_once(loop)


@with_loop
def debug_switched_while_running(loop):
    loop.call_soon(loop.set_debug, True)
    loop.call_soon(loop.call_soon, loop.set_debug, False)
    loop.call_soon(loop.call_soon, nothing)
    run_once(loop)
    run_once(loop)
    loop.set_debug(False)


@program
def every_override():
    class Own(fastloop.Loop):
        def call_soon(self, *args, **kwargs):
            return super().call_soon(*args, **kwargs)

        def call_at(self, *args, **kwargs):
            return super().call_at(*args, **kwargs)

        def _run_once(self):
            super()._run_once()

        def _add_reader(self, *args):
            return super()._add_reader(*args)

        def _add_writer(self, *args):
            return super()._add_writer(*args)

        def _remove_reader(self, fd):
            return super()._remove_reader(fd)

        def _remove_writer(self, fd):
            return super()._remove_writer(fd)

    loop = Own()
    try:
        context = contextvars.copy_context()
        loop.call_later(0, nothing, 1, context=context)
        left, right = socket.socketpair()
        with left, right:
            loop.add_reader(left, nothing)
            loop.add_writer(left, nothing)
            run_once(loop)
            loop.remove_reader(left)
            loop.remove_writer(left)

        async def main():
            future = loop.create_future()
            future.add_done_callback(nothing)
            future.set_result(None)
            await future
            await connection_of_two(b"x")

        loop.run_until_complete(main())
    finally:
        loop.close()


@with_loop
def private_attributes(loop):
    loop._clock_resolution = 0.5
    loop.call_later(1, nothing)
    repr(loop._scheduled)
    handle = asyncio.Handle(nothing, (), loop)
    loop._add_callback(handle)
    loop._add_callback(loop.call_soon(nothing))
    run_once(loop)
    left, right = socket.socketpair()
    with left, right:
        loop.add_writer(left, nothing)
        loop._selector.get_key(left)
        loop.remove_writer(left)


@with_loop
def left_by_interrupt(loop):
    async def interrupted():
        raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        loop.run_until_complete(interrupted())


@with_loop
def signals_handled(loop):
    loop.add_signal_handler(signal.SIGUSR1, loop.stop)
    loop._handle_signal(signal.SIGUSR1)
    run_once(loop)
    loop._signal_handlers[signal.SIGUSR1].cancel()
    signal.raise_signal(signal.SIGUSR1)
    run_once(loop)
    run_once(loop)


@with_loop
def handle_cancelled_from_another_thread(loop):
    """Waits, on 3.14 and later, for the callback that runs."""
    inside, cancelling = threading.Event(), threading.Event()
    handles = []

    def callback():
        inside.set()
        cancelling.wait(0.05)

    def cancel():
        inside.wait(1)
        handles[0].cancel()

    handles.append(loop.call_soon_threadsafe(callback))
    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        run_once(loop)
    finally:
        inside.set()
        thread.join()


@with_loop
def a_loop_inside_itself(loop):
    async def inside(depth):
        await asyncio.sleep(0)
        if depth:
            for others in "run", "wait":
                loop.run_nested(inside(depth - 1), others)

    async def main():
        loop.call_soon(nothing)
        loop.call_soon_threadsafe(nothing)
        loop.call_later(0, nothing)
        task = loop.create_task(inside(1))
        context = contextvars.copy_context()
        await loop.create_task(entered(context), context=context)
        await task

    async def entered(context):
        loop.call_soon(nothing, context=context)
        loop.run_nested(asyncio.sleep(0))

    loop.run_until_complete(main())
