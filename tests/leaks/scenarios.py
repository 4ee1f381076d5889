"""What is done over and over to see whether it leaks: one function, one subject.

SCENARIOS maps names to functions without arguments. Each leaves nothing behind.
"""

import asyncio
import contextlib
import contextvars
import gc
import io
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import warnings

import fastloop

logging.getLogger("asyncio").addHandler(logging.NullHandler())
logging.getLogger("asyncio").propagate = False

SCENARIOS = {}


def scenario(function):
    """Register a function that wants no loop."""
    SCENARIOS[function.__name__] = function
    return function


def with_loop(function):
    """Register a function that is given a loop, closed after it."""

    def run():
        loop = fastloop.new_event_loop()
        try:
            function(loop)
        finally:
            loop.close()

    SCENARIOS[function.__name__] = run
    return run


def with_coroutine(function):
    """Register a coroutine function, run to its end on a loop of its own."""

    def run():
        fastloop.run(function())

    SCENARIOS[function.__name__] = run
    return run


def run_once(loop):
    loop.call_soon(loop.stop)
    loop.run_forever()


def nothing(*args, **kwargs):
    pass


def fail(*args):
    raise ValueError("on purpose")


class Callback:
    """A callback that the collector tracks, so that a leaked one is seen."""

    def __init__(self):
        self.me = self

    def __call__(self, *args):
        pass


# --- the loop's life ----------------------------------------------------------


@with_loop
def new_and_closed(loop):
    loop.close()


@scenario
def dropped_unclosed():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        loop = fastloop.new_event_loop()
        loop.call_soon(Callback())
        loop.call_later(10, Callback())
        loop.call_later(10_000, Callback())
        loop.myself = loop
        del loop
        gc.collect()


@scenario
def init_called_twice():
    loop = fastloop.new_event_loop()
    loop.__init__()
    loop.close()


@with_loop
def run_forever_and_stop(loop):
    run_once(loop)
    run_once(loop)


@with_loop
def run_until_complete(loop):
    future = loop.create_future()
    loop.call_soon(future.set_result, Callback())
    loop.run_until_complete(future)
    with contextlib.suppress(ValueError):
        loop.run_until_complete(raises())
    with contextlib.suppress(TypeError):
        loop.run_until_complete(nothing)


async def raises():
    raise ValueError("on purpose")


@with_loop
def a_subclass_with_overrides(loop):
    class Own(fastloop.Loop):
        def call_soon(self, *args, **kwargs):
            return super().call_soon(*args, **kwargs)

        def time(self):
            return super().time()

    own = Own()
    own.call_later(0, Callback())
    run_once(own)
    own.close()


@with_loop
def attributes(loop):
    real = loop.time
    loop.time = lambda: real()
    loop.call_later(0, Callback())
    run_once(loop)
    del loop.time
    loop.slow_callback_duration = 0.5
    loop.create_task = nothing
    for name in dir(loop):
        with contextlib.suppress(AttributeError):
            getattr(loop, name)
    loop.set_debug(True)
    loop.set_debug(False)
    repr(loop), loop.stats(), loop.is_running(), loop.is_closed(), loop.get_debug()
    loop._check_closed()
    loop._check_thread()


@with_loop
def closed_loop_refuses(loop):
    loop.close()
    for method in (loop.call_soon, loop.call_soon_threadsafe):
        with contextlib.suppress(RuntimeError):
            method(Callback())
    with contextlib.suppress(RuntimeError):
        loop.call_later(1, Callback())
    with contextlib.suppress(RuntimeError):
        loop.call_at(1, Callback())
    with contextlib.suppress(RuntimeError):
        loop.run_forever()
    with contextlib.suppress(RuntimeError):
        loop._check_closed()


# --- scheduling ---------------------------------------------------------------


@with_loop
def call_soon(loop):
    context = contextvars.copy_context()
    for count in range(6):
        loop.call_soon(Callback(), *[object()] * count)
        loop.call_soon(Callback(), *[object()] * count, context=context)
    loop.call_soon(Callback()).cancel()
    run_once(loop)
    loop.call_soon(Callback())  # left in the queue of a loop that closes


@with_loop
def call_soon_refuses(loop):
    for args, kwargs in [
        ((), {}),
        ((nothing,), {"contxt": 1}),
        ((nothing,), {"context": 1}),
        ((None,), {}),
    ]:
        with contextlib.suppress(TypeError):
            loop.call_soon(*args, **kwargs)
    with contextlib.suppress(Exception):
        run_once(loop)


@with_loop
def timers(loop):
    handles = [loop.call_later(i / 1e6, Callback(), i) for i in range(20)]
    handles += [loop.call_at(loop.time() + 5 * i, Callback()) for i in range(20)]
    handles += [loop.call_later(10**6, Callback())]
    for handle in handles[::2]:
        handle.cancel()
    run_once(loop)
    for handle in handles[1::3]:
        handle.cancel()


@with_loop
def timers_refused(loop):
    for delay in (None, "1", float("nan")):
        with contextlib.suppress(TypeError, ValueError):
            loop.call_later(delay, Callback())
        with contextlib.suppress(TypeError, ValueError):
            loop.call_at(delay, Callback())
    for delay in (-1, 1e300, float("inf")):
        with contextlib.suppress(OverflowError, ValueError):
            loop.call_later(delay, Callback())


@with_loop
def handles(loop):
    handle = loop.call_soon(Callback(), 1)
    timer = loop.call_later(0.001, Callback(), 1)
    for each in (handle, timer):
        repr(each), each._callback, each._args, each._context, each.cancelled()
        each.get_context() if hasattr(each, "get_context") else None
    timer.when(), hash(timer), timer == timer, timer < loop.call_later(1, nothing)
    handle._run()
    loop.call_soon(handle.cancel)
    # A cycle through the queue.
    loop.call_soon(Callback(), loop)
    run_once(loop)


@with_loop
def call_soon_threadsafe(loop):
    thread = threading.Thread(
        target=lambda: (
            loop.call_soon_threadsafe(Callback()),
            loop.call_soon_threadsafe(loop.stop),
        )
    )
    thread.start()
    loop.run_forever()
    thread.join()
    loop.call_soon_threadsafe(Callback())


# --- file descriptors and signals ---------------------------------------------


@with_loop
def watches(loop):
    left, right = socket.socketpair()
    with left, right:
        right.send(b"x")
        loop.add_reader(left, Callback())
        loop.add_reader(left, Callback(), left)
        loop.add_writer(left, Callback())
        loop.add_writer(right.fileno(), Callback())
        run_once(loop)
        loop._selector.get_key(left)
        loop.remove_writer(left)
        loop.remove_writer(left)
        loop._ensure_fd_no_transport(right)
        loop._add_reader(right, Callback())
        loop._remove_reader(right)
        loop.remove_reader(left)
        loop.remove_writer(right)


@with_loop
def watches_left_at_close(loop):
    left, right = socket.socketpair()
    with left, right:
        loop.add_reader(left, Callback())
        loop.add_writer(right, Callback())
        loop.close()


@with_loop
def watches_refused(loop):
    for fd in (-1, "x", None, 10**30):
        with contextlib.suppress(ValueError, OverflowError, TypeError, OSError):
            loop.add_reader(fd, Callback())
        with contextlib.suppress(ValueError, OverflowError, TypeError, OSError):
            loop.remove_writer(fd)
    with open("/proc/self/stat") as file, contextlib.suppress(PermissionError):
        loop.add_reader(file, Callback())


@with_loop
def signals(loop):
    loop.add_signal_handler(signal.SIGUSR1, loop.stop)
    signal.raise_signal(signal.SIGUSR1)
    loop.run_forever()
    loop.add_signal_handler(signal.SIGUSR1, Callback())
    loop.remove_signal_handler(signal.SIGUSR1)
    loop.add_signal_handler(signal.SIGUSR2, Callback())


# --- what goes wrong ----------------------------------------------------------


@with_loop
def exceptions_in_callbacks(loop):
    loop.call_soon(fail, Callback())
    run_once(loop)
    loop.set_exception_handler(nothing)
    loop.get_exception_handler()
    loop.call_soon(fail, Callback())
    run_once(loop)
    loop.set_exception_handler(fail)
    loop.call_soon(fail, Callback())
    run_once(loop)
    with contextlib.suppress(TypeError):
        loop.set_exception_handler(1)
    loop.call_exception_handler({"message": "on purpose"})


@with_loop
def exceptions_that_leave_the_loop(loop):
    for kind in (KeyboardInterrupt, SystemExit):

        def leave(kind=kind):
            raise kind

        loop.call_soon(leave)
        loop.call_soon(Callback())
        with contextlib.suppress(KeyboardInterrupt, SystemExit):
            loop.run_forever()
        run_once(loop)


# --- tasks and futures --------------------------------------------------------


@with_coroutine
async def tasks():
    async def child(n):
        await asyncio.sleep(0)
        return n

    await asyncio.gather(*(child(n) for n in range(5)))
    task = asyncio.create_task(asyncio.sleep(10), name="sleeper")
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await asyncio.gather(raises(), return_exceptions=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(child(1))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.001):
            await asyncio.sleep(1)


@with_coroutine
async def tasks_left_running():
    asyncio.create_task(asyncio.sleep(100))  # noqa: RUF006
    await asyncio.sleep(0)


@with_loop
def task_factory(loop):
    def factory(loop, coroutine, **kwargs):
        return asyncio.Task(coroutine, loop=loop, **kwargs)

    loop.set_task_factory(factory)
    loop.get_task_factory()
    loop.run_until_complete(asyncio.sleep(0))
    loop.set_task_factory(None)
    loop.run_until_complete(loop.create_task(asyncio.sleep(0), name="x"))
    with contextlib.suppress(TypeError):
        loop.set_task_factory(1)
    with contextlib.suppress(TypeError):
        loop.create_task(1)


@with_loop
def futures(loop):
    future = loop.create_future()
    future.add_done_callback(Callback())
    future.set_result(Callback())
    failed = loop.create_future()
    failed.add_done_callback(Callback())
    failed.set_exception(ValueError())
    loop.create_future().cancel()
    run_once(loop)


def look_into(awaited):
    """Every question a future or task answers, whatever its state."""
    for name in dir(awaited):
        with contextlib.suppress(AttributeError):
            getattr(awaited, name)
    repr(awaited), str(awaited), awaited.done(), awaited.cancelled()
    awaited.get_loop()
    for ask in (awaited.result, awaited.exception):
        with contextlib.suppress(Exception, asyncio.CancelledError):
            ask()
    awaited._make_cancelled_error()


def refused(call, *args, **kwargs):
    with contextlib.suppress(Exception, asyncio.CancelledError):
        call(*args, **kwargs)


@with_loop
def futures_asked_everything(loop):
    for finish in (
        lambda future: future.set_result(Callback()),
        lambda future: future.set_exception(ValueError("on purpose")),
        lambda future: future.cancel("message"),
        nothing,
    ):
        future = fastloop.Future(loop=loop)
        callbacks = [Callback() for _ in range(4)]
        for callback in callbacks:
            future.add_done_callback(callback, context=contextvars.copy_context())
        future.remove_done_callback(callbacks[0])
        look_into(future)
        finish(future)
        refused(future.set_result, 1)
        refused(future.set_exception, ValueError)
        refused(future.add_done_callback)
        look_into(future)
        future._log_traceback = False
        run_once(loop)
    refused(future.set_exception, StopIteration)
    refused(future.set_exception, 1)
    refused(fastloop.Future, 1)
    refused(fastloop.Future, loop=1)
    fastloop.Future[int]
    loop.set_debug(True)
    look_into(loop.create_future())
    loop.create_future().set_exception(ValueError("never retrieved"))


@with_loop
def futures_awaited(loop):
    future = loop.create_future()
    iterator = iter(future)
    next(iterator)
    refused(iterator.throw, ValueError("on purpose"))
    future._asyncio_future_blocking = False
    iterator = future.__await__()
    iterator.send(None)
    iterator.close()
    future.set_result(Callback())
    refused(iter(future).send, None)
    refused(next, iter(future))


@with_loop
def tasks_asked_everything(loop):
    async def ask(task):
        look_into(task)
        asyncio.current_task().get_stack()

    async def wait_for_all(tasks):
        await asyncio.sleep(0)
        for task in tasks:
            look_into(task)
            task.get_stack(limit=1)
            task.print_stack(file=io.StringIO())
            task.get_name(), task.get_coro(), task.cancelling()
            getattr(task, "get_context", nothing)()
            task.set_name("another")
            task.cancel("message")
            task.uncancel()
            refused(task.set_result, 1)
            refused(task.set_exception, ValueError())
        await asyncio.wait(tasks)
        for task in tasks:
            look_into(task)

    tasks = [
        fastloop.Task(coroutine, loop=loop, name=name)
        for coroutine, name in [
            (asyncio.sleep(0, Callback()), None),
            (asyncio.sleep(100), "long"),
            (raises(), 5),
        ]
    ]
    tasks.append(loop.create_task(ask(tasks[0]), context=contextvars.copy_context()))
    loop.run_until_complete(wait_for_all(tasks))
    refused(fastloop.Task, 1, loop=loop)
    refused(fastloop.Task)
    fastloop.Task[int]
    lost = loop.create_task(asyncio.sleep(100))
    run_once(loop)
    lost._log_destroy_pending = False


@with_loop
def tasks_of_odd_coroutines(loop):
    class Awaitable:
        def __init__(self, *values):
            self.values = values

        def __await__(self):
            yield from self.values

    async def awaits(what):
        await what

    async def swallows():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(100)
        return Callback()

    other = asyncio.new_event_loop()
    for what in (
        Awaitable(None, None),
        Awaitable(1),
        Awaitable(Callback()),
        Awaitable(other.create_future()),
        Awaitable(loop.create_future()),
        asyncio.Future(loop=loop),
    ):
        task = loop.create_task(awaits(what))
        run_once(loop)
        run_once(loop)
        task.cancel()
        refused(loop.run_until_complete, task)
    other.close()
    task = loop.create_task(swallows())
    run_once(loop)
    task.cancel()
    loop.run_until_complete(task)
    itself = loop.create_task(awaits(Awaitable()))
    run_once(loop)
    loop.run_until_complete(itself)


@scenario
def ways_in():
    async def main():
        return asyncio.get_running_loop()

    fastloop.run(main())
    refused(fastloop.run, main)
    with asyncio.Runner(loop_factory=fastloop.new_event_loop) as runner:
        runner.run(main())
    if sys.version_info < (3, 16):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            before = asyncio.get_event_loop_policy()
            fastloop.install()
            asyncio.set_event_loop_policy(before)
            fastloop.EventLoopPolicy().new_event_loop().close()


@with_coroutine
async def async_generators():
    async def numbers():
        try:
            for n in range(3):
                yield n
        finally:
            await asyncio.sleep(0)

    generator = numbers()
    await anext(generator)
    async for _ in numbers():
        break
    del generator
    await asyncio.sleep(0)


@with_coroutine
async def queues_and_locks():
    queue = asyncio.Queue(1)
    lock = asyncio.Lock()

    async def producer():
        for n in range(5):
            async with lock:
                await queue.put(n)

    async with asyncio.TaskGroup() as group:
        group.create_task(producer())
        for _ in range(5):
            await queue.get()


@with_coroutine
async def executor():
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, nothing)
    await asyncio.to_thread(nothing)


@scenario
def debug_mode():
    async def main():
        asyncio.get_running_loop().slow_callback_duration = 0
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0, fail)
        await asyncio.sleep(0.001)

    fastloop.run(main(), debug=True)


# --- bytes --------------------------------------------------------------------


@with_coroutine
async def streams():
    async def echo(reader, writer):
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        await reader.readline()
        writer.close()
        await writer.wait_closed()
    await asyncio.sleep(0)


@with_coroutine
async def datagrams():
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    address = transport.get_extra_info("sockname")
    for target in (address, ("127.0.0.1", address[1]), ("localhost", address[1])):
        transport.sendto(b"x", target)
        await asyncio.sleep(0)
    transport.sendto(bytes(70_000), address)
    for wrong in (("text", address), (b"x", "nowhere")):
        with contextlib.suppress(TypeError):
            transport.sendto(*wrong)
    await asyncio.sleep(0)


@with_coroutine
async def datagrams_that_wait():
    loop = asyncio.get_running_loop()
    for end in ("close", "abort"):
        left, right = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in "ab"]
        for sock in (left, right):
            sock.setblocking(False)
            sock.bind("")
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, sock=left
        )
        while not transport.get_write_buffer_size():
            transport.sendto(bytearray(10), right.getsockname())
        transport.sendto(bytes(10), right.getsockname())
        repr(transport._buffer)
        getattr(transport, end)()
        with right, contextlib.suppress(BlockingIOError):
            while right.recv(10):
                pass
        await asyncio.sleep(0.001)


@with_coroutine
async def pipes():
    loop = asyncio.get_running_loop()
    read, write = os.pipe()
    reader = open(read, "rb", 0)  # noqa: SIM115
    writer = open(write, "wb", 0)  # noqa: SIM115
    source, _ = await loop.connect_read_pipe(asyncio.Protocol, reader)
    target, _ = await loop.connect_write_pipe(asyncio.Protocol, writer)
    source.pause_reading()
    target.write(bytes(100_000))
    target.write(bytearray(100_000))
    target.write(memoryview(b"x" * 10))
    for wrong in ("text", memoryview(b"abcd")[::2]):
        with contextlib.suppress(AssertionError):
            target.write(wrong)
    for transport in (source, target):
        repr(transport)
        vars(transport)
        transport.get_extra_info("pipe")
        for name in ("_buffer", "_fileno", "_loop", "_pipe", "_protocol"):
            getattr(transport, name, None)
    source.resume_reading()
    target.close()
    await asyncio.sleep(0)
    target.abort()
    source.close()
    await asyncio.sleep(0)
    with tempfile.TemporaryFile() as file:
        for connect in (loop.connect_read_pipe, loop.connect_write_pipe):
            with contextlib.suppress(ValueError):
                await connect(asyncio.Protocol, file)


@with_coroutine
async def pipes_that_nobody_closed():
    loop = asyncio.get_running_loop()
    try:
        leader, follower = os.openpty()
    except OSError:  # this machine has no terminals
        leader, follower = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        one = open(leader, "rb+", 0)  # noqa: SIM115
        other = open(follower, "wb", 0)  # noqa: SIM115
        source, _ = await loop.connect_read_pipe(asyncio.Protocol, one)
        source.pause_reading()
        source.myself = source
        target, _ = await loop.connect_write_pipe(asyncio.Protocol, other)
        target.myself = target
        del one, other, source, target
        gc.collect()


@with_coroutine
async def processes():
    process = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    await process.communicate(b"hello")
    process = await asyncio.create_subprocess_shell("read line", stdin=-1)
    process.stdin.write(b"x")
    process.kill()
    await process.wait()
    for options in ({}, {"cwd": "/no/such/folder"}, {"env": {"A=B": ""}}):
        with contextlib.suppress(OSError, ValueError):
            await asyncio.create_subprocess_exec("/no/such/program", **options)


@with_coroutine
async def socket_operations():
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        for sock in (listener, client):
            sock.setblocking(False)
        accepting = asyncio.create_task(loop.sock_accept(listener))
        await loop.sock_connect(client, listener.getsockname())
        server, _ = await accepting
        with server, tempfile.TemporaryFile() as file:
            file.write(b"content")
            file.seek(0)
            await loop.sock_sendfile(client, file)
            await loop.sock_recv_into(server, bytearray(100))
            for wrong in ("text", 5, None):
                with contextlib.suppress(TypeError):
                    await loop.sock_sendall(client, wrong)
            loop.sock_recv(server, 10).close()
            waiting = asyncio.create_task(loop.sock_recvfrom(server, 10))
            await asyncio.sleep(0)
            client.close()
            await waiting
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        await loop.sock_sendto(sock, b"x", sock.getsockname())
        await loop.sock_recvfrom_into(sock, bytearray(10))
    await loop.getaddrinfo("127.0.0.1", 80)


@with_coroutine
async def sockets():
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        waiting = asyncio.create_task(loop.sock_recv(left, 10))
        await asyncio.sleep(0)
        await loop.sock_sendall(right, b"x" * 10)
        await waiting
        waiting = asyncio.create_task(loop.sock_recv(left, 10))
        await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting


from tests.leaks import (  # noqa: E402 (they add their own)
    scenarios_aio,  # noqa: F401
    scenarios_metrics,  # noqa: F401
    scenarios_nested,  # noqa: F401
    scenarios_testing,  # noqa: F401
    scenarios_tls,  # noqa: F401
    scenarios_watch,  # noqa: F401
)
