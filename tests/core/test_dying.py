"""Objects whose last reference is gone are never handed out again.

Each program runs under a malloc that fills what is freed, on asyncio and on fastloop,
and must end by itself; what it prints is the same on both.
"""

import textwrap

import pytest

from tests.support import run_child

SETUP = """
import asyncio, gc, socket, sys, threading, time, warnings, weakref
warnings.simplefilter("ignore")
sys.unraisablehook = lambda _: None

async def nothing():
    pass

async def two_steps():
    await asyncio.sleep(0)

def task_class(loop):
    task = loop.create_task(nothing())
    loop.run_until_complete(task)
    return type(task)

class AtDeath:
    def __init__(self, call):
        self.call = call

    def __del__(self):
        kept.append(self.call())

def look(kept):
    for item in kept:
        for part in item if isinstance(item, (set, list, tuple)) else [item]:
            repr(part)
            for name in dir(part):
                if not name.startswith("__"):
                    try:
                        getattr(part, name)
                    except Exception:
                        pass
    kept.clear()
    gc.collect()

kept = []
"""


def ends_well(kind, source, **options):
    """What the program prints; it must not be killed."""
    done = run_child(
        kind,
        SETUP + textwrap.dedent(source),
        flags=(),
        PYTHONMALLOC="debug",
        **options,
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    return done.stdout


SUBCLASSES = {
    "slots": "type('T', (Task,), {'__slots__': ('extra',)})",
    "dict": "type('T', (Task,), {})",
    "del": "type('T', (Task,), {'__slots__': ('extra',), '__del__': lambda self: 0})",
}

WAYS_TO_DIE = {
    "the loop closes": "loop.call_soon(loop.stop); loop.run_forever(); del task;"
    " loop.close()",
    "its future dies": "future = loop.create_future(); del task;"
    " loop.call_soon(loop.stop); loop.run_forever(); del future; gc.collect()",
    "the collector": "task.me = task if hasattr(task, '__dict__') else None;"
    " loop.call_soon(loop.stop); loop.run_forever(); loop.close(); del task;"
    " gc.collect()",
}


@pytest.mark.parametrize("way", WAYS_TO_DIE)
@pytest.mark.parametrize("subclass", SUBCLASSES)
def test_all_tasks_while_a_task_of_a_subclass_dies(loop_kind, subclass, way):
    source = f"""
    for _ in range(3):
        loop = new_event_loop()
        Task = task_class(loop)
        task = {SUBCLASSES[subclass]}(two_steps(), loop=loop)
        task._log_destroy_pending = False
        task.extra = AtDeath(lambda: asyncio.all_tasks(loop))
        {WAYS_TO_DIE[way]}
        look(kept)
        loop.close()
    print("ok")
    """
    assert ends_well(loop_kind, source) == "ok\n"


def test_all_tasks_in_another_thread_while_a_task_dies(loop_kind):
    source = """
    class Slow:
        def __del__(self):
            asked.set()
            answered.wait(5)

    asked, answered = threading.Event(), threading.Event()
    loop = new_event_loop()

    def ask():
        asked.wait(5)
        kept.append(asyncio.all_tasks(loop))
        answered.set()

    T = type("T", (task_class(loop),), {"__slots__": ("extra",)})
    task = T(two_steps(), loop=loop)
    task._log_destroy_pending = False
    task.extra = Slow()
    loop.call_soon(loop.stop)
    loop.run_forever()
    thread = threading.Thread(target=ask)
    thread.start()
    del task
    loop.close()
    thread.join()
    print(len(kept[0]))
    look(kept)
    """
    assert ends_well(loop_kind, source) == "0\n"


def test_all_tasks_in_the_callback_of_a_weak_reference(loop_kind):
    source = """
    loop = new_event_loop()
    for T in task_class(loop), type("T", (task_class(loop),), {}):
        task = T(two_steps(), loop=loop)
        task._log_destroy_pending = False
        reference = weakref.ref(task, lambda _: kept.append(asyncio.all_tasks(loop)))
        loop.call_soon(loop.stop)
        loop.run_forever()
        del task
        loop.close()
        print([len(tasks) for tasks in kept])
        look(kept)
        loop = new_event_loop()
    loop.close()
    """
    assert ends_well(loop_kind, source) == "[0]\n[0]\n"


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("asks", ["remove_reader", "_transports", "add_reader"])
def test_the_loop_is_asked_of_the_fd_of_a_transport_that_dies(loop_kind, asks, paused):
    source = f"""
    def ask(loop, fd):
        try:
            if {asks!r} == "_transports":
                kept.append(list(loop._transports.values()))
            elif {asks!r} == "remove_reader":
                kept.append(loop.remove_reader(fd))
            else:
                loop.add_reader(fd, int)
                loop.remove_reader(fd)
        except (RuntimeError, OSError) as error:
            kept.append(str(error))

    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(20):
            ours, theirs = socket.socketpair()
            transport, protocol = await loop.create_connection(
                asyncio.Protocol, sock=ours)
            await asyncio.sleep(0)
            {"transport.pause_reading()" if paused else "loop._remove_reader(ours)"}
            weakref.finalize(transport, ask, loop, ours.fileno())
            del ours, transport, protocol
            gc.collect()
            theirs.close()
            await asyncio.sleep(0)
            look(kept)

    loop = new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    print("ok")
    """
    assert ends_well(loop_kind, source) == "ok\n"


KINDS = """
class Protocol(asyncio.Protocol):
    asked = None

    def datagram_received(self, data, address):
        pass

    def __del__(self):
        if self.asked:
            ask(*self.asked)

async def stream(loop):
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    made = await loop.create_connection(Protocol, sock=ours)
    return *made, ours.fileno(), theirs

async def accepted(loop):
    protocols = []
    class Accepted(Protocol):
        def connection_made(self, transport):
            protocols.append((transport, self))
    server = await loop.create_server(Accepted, "127.0.0.1", 0)
    client = socket.create_connection(server.sockets[0].getsockname())
    while not protocols:
        await asyncio.sleep(0.001)
    server.close()
    transport, protocol = protocols.pop()
    return transport, protocol, transport.get_extra_info("socket").fileno(), client

async def datagrams(loop):
    made = await loop.create_datagram_endpoint(Protocol, local_addr=("127.0.0.1", 0))
    return *made, made[0].get_extra_info("socket").fileno(), None

async def read_pipe(loop):
    read, write = os.pipe()
    made = await loop.connect_read_pipe(Protocol, os.fdopen(read, "rb", 0))
    return *made, read, os.fdopen(write, "wb", 0)

async def write_pipe(loop):
    read, write = os.pipe()
    made = await loop.connect_write_pipe(Protocol, os.fdopen(write, "wb", 0))
    return *made, write, os.fdopen(read, "rb", 0)
"""

WAYS_TO_END = """
def paused(loop, transport, protocol, fd):
    transport.pause_reading()

def unwatched(loop, transport, protocol, fd):
    loop._remove_reader(fd)
    loop._remove_writer(fd)

def full(loop, transport, protocol, fd):
    transport.write(bytes(5_000_000))

def in_a_cycle(loop, transport, protocol, fd):
    protocol.transport = transport
    unwatched(loop, transport, protocol, fd)

def closed(loop, transport, protocol, fd):
    transport.close()
"""


@pytest.mark.parametrize(
    "make", ["stream", "accepted", "datagrams", "read_pipe", "write_pipe"]
)
def test_a_transport_of_any_kind_dies(loop_kind, make):
    """Its protocol's finalizer and its weak reference ask the loop what they can."""
    source = f"""
    import contextlib, os
    def ask(loop, fd):
        for name in "reader", "writer":
            for verb in "remove_", "add_", "remove_":
                with contextlib.suppress(RuntimeError, OSError):
                    getattr(loop, verb + name)(fd, *[int] * (verb == "add_"))
        for transport in list(loop._transports.values()):
            kept.append(transport)
            repr(transport), transport.is_closing(), transport.get_extra_info("socket")
        kept.append(asyncio.all_tasks(loop))

    {textwrap.indent(KINDS + WAYS_TO_END, "    ").strip()}

    async def main(end):
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        for _ in range(3):
            transport, protocol, fd, peer = await {make}(loop)
            await asyncio.sleep(0)
            with contextlib.suppress(NotImplementedError, AttributeError):
                end(loop, transport, protocol, fd)
            protocol.asked = loop, fd
            weakref.finalize(transport, ask, loop, fd)
            del transport, protocol
            gc.collect()
            await asyncio.sleep(0)
            if peer:
                peer.close()
            await asyncio.sleep(0)
            look(kept)

    for end in paused, unwatched, full, in_a_cycle, closed:
        loop = new_event_loop()
        loop.run_until_complete(main(end))
        loop.close()
        print(end.__name__)
    """
    said = ends_well(loop_kind, source)
    assert said.split() == ["paused", "unwatched", "full", "in_a_cycle", "closed"]


@pytest.mark.parametrize("make", ["call_soon(", "call_later(60, ", "call_later(1e-9, "])
def test_a_handle_is_looked_at_while_its_loop_dies(loop_kind, make):
    source = f"""
    loop = new_event_loop()
    def look_at_others():
        for handle in handles:
            handle.cancel()
            kept.append((handle._loop, handle._context, handle.cancelled()))
            other._add_callback(handle)
    other = new_event_loop()
    handles = []
    handles += [loop.{make}print, AtDeath(look_at_others)) for _ in range(3)]
    handles += [loop.{make}print, n) for n in range(3)]
    loop._closed = True
    del loop
    gc.collect()
    handles.clear()
    look(kept)
    loop = new_event_loop()
    handles += [loop.{make}print, AtDeath(look_at_others)) for _ in range(3)]
    loop.close()
    look(kept)
    other.close()
    print("ok")
    """
    assert ends_well(loop_kind, source) == "ok\n"


def test_a_handle_run_by_hand_outlives_its_loop(loop_kind):
    source = """
    import functools, operator
    loop = new_event_loop()
    def drop(name, unused):
        globals().pop(name, None)
        gc.collect()
    handle = loop.call_soon(functools.partial(drop, "loop"), [[]] * 3)
    another = loop.call_soon(sorted, [3, 2, 1])
    loop._closed = True
    try:
        handle._run()
        another._run()
    except TypeError:
        pass
    handle.cancel()
    repr(handle), repr(another)
    del handle, another
    gc.collect()
    print("ok")
    """
    assert ends_well(loop_kind, source) == "ok\n"


@pytest.mark.parametrize("kind", ["task", "future", "loop"])
def test_dies_with_its_class(loop_kind, kind):
    """The collector takes from the class what leads to its bases, then its object."""
    source = f"""
    gc.disable()
    loop = new_event_loop()
    forever = loop.create_future()
    base = dict(task=task_class(loop), future=type(forever), loop=type(loop))[{kind!r}]

    async def wait():
        await forever

    def turn():
        loop.call_soon(loop.stop)
        loop.run_forever()

    def make(where):
        before = []
        Mine = type("Mine", (base,), {{}})
        if {kind!r} == "task":
            mine = Mine(wait(), loop=loop)
            mine._log_destroy_pending = False
        elif {kind!r} == "future":
            mine = Mine(loop=loop)
        else:
            mine = Mine()
            mine.close()
        after = []
        holder = after if where == "after" else before
        holder += [mine, holder]
        mine.itself = mine if where == "itself" else None
        mine.holder = Mine.holder = holder

    for where in ("before", "after", "itself"):
        make(where)
        turn()
        forever.cancel()
        turn()
        forever = loop.create_future()
        gc.collect()
        print(where)
    loop.close()
    """
    assert ends_well(loop_kind, source) == "before\nafter\nitself\n"
