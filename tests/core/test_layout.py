"""An asyncio whose classes keep their things elsewhere: the loop is right still."""

import textwrap

import pytest

from tests.support import child_says, run_child, without_note

# Ways to replace asyncio's class before fastloop is imported.
ANOTHER = """
import asyncio, sys
from types import CellType, FunctionType, GetSetDescriptorType, MemberDescriptorType

def another(original, slots, bases):
    kept = MemberDescriptorType, GetSetDescriptorType
    cell = CellType()  # super() asks it for the class

    def copy(value):
        if not isinstance(value, FunctionType) or not value.__closure__:
            return value
        made = FunctionType(value.__code__, value.__globals__, value.__name__,
                            value.__defaults__, (cell,))
        made.__kwdefaults__ = value.__kwdefaults__
        return made

    body = {
        name: copy(value) for name, value in vars(original).items()
        if not isinstance(value, kept) and name != "__slots__"
    }
    if slots is not None:
        body["__slots__"] = slots
    cell.cell_contents = type(original.__name__, bases, body)
    return cell.cell_contents

def replace(module, name, new):
    for place in (module, asyncio):
        if hasattr(place, name):
            setattr(place, name, new)
"""

CHANGES = {
    "a slot more": "tuple(slots) + ('_spare',)",
    "a slot before": "('_a', *slots)",
    "a slot less": "tuple(slots)[1:] + ('__dict__',)",
    "no slots": "None",
}

HANDLES = """
from asyncio import events
def changed(slots):
    return {change}
old = events.Handle
new = another(old, changed(old.__slots__), (object,))
replace(events, "Handle", new)
for name in "TimerHandle", "_ThreadSafeHandle":
    kind = getattr(events, name, None)
    if kind is not None:
        replace(events, name, another(kind, kind.__slots__, (new,)))
"""

TIMER_HANDLES = """
from asyncio import events
def changed(slots):
    return {change}
old = events.TimerHandle
replace(events, "TimerHandle", another(old, changed(old.__slots__), (events.Handle,)))
"""

TRANSPORTS = """
from asyncio import transports
def changed(slots):
    return {change}
old = transports.BaseTransport
made = {{old: another(old, changed(old.__slots__), (object,))}}
for name in ("ReadTransport", "WriteTransport", "Transport", "DatagramTransport",
             "SubprocessTransport", "_FlowControlMixin"):
    kind = getattr(transports, name)
    bases = tuple(made[base] for base in kind.__bases__)
    made[kind] = another(kind, kind.__slots__, bases)
for kind, new in made.items():
    replace(transports, kind.__name__, new)
"""

ONE_TRANSPORT = """
from asyncio import transports
def changed(slots):
    return {change}
old = transports.NAME
new = another(old, changed(old.__slots__), (transports.BASE,))
replace(transports, "NAME", new)
"""


def one_transport(name, base):
    return ONE_TRANSPORT.replace("NAME", name).replace("BASE", base)


FAKES = {
    "handles": HANDLES,
    "timer handles": TIMER_HANDLES,
    "transports": TRANSPORTS,
    "flow control": one_transport("_FlowControlMixin", "Transport"),
    "datagram transports": one_transport("DatagramTransport", "BaseTransport"),
}

PROGRAM = """
import contextvars, gc, os, socket, threading, warnings, weakref
import fastloop
from asyncio import events, transports

def show(*what):
    print(*what)

async def echo(reader, writer):
    while data := await reader.read(100):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()

class Datagrams(asyncio.DatagramProtocol):
    def datagram_received(self, data, address):
        got.set_result(data)

async def main():
    global got
    loop = asyncio.get_running_loop()
    handle = loop.call_soon(show, "soon", 1, 2, 3, 4)
    timer = loop.call_later(0.01, show, "timer")
    late = loop.call_at(loop.time() + 60, show, "never")
    other = loop.call_later(61, show, "never")
    threadsafe = loop.call_soon_threadsafe(show, "thread-safe")
    for each in handle, timer, late, threadsafe:
        show(isinstance(each, asyncio.Handle), isinstance(each, asyncio.TimerHandle))
        assert weakref.ref(each)() is each
        assert "andle" in repr(each), repr(each)
    show(late < other, late == late, late == other, hash(late) == hash(late))
    show(late.when() - loop.time() > 50, late._args, late._loop is loop)
    late.cancel(), other.cancel()
    show(late.cancelled(), "cancelled" in repr(late), handle.cancelled())
    await asyncio.sleep(0.02)

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"hello")
    show(await reader.read(100))
    transport = writer.transport
    show(isinstance(transport, asyncio.Transport))
    show(isinstance(transport, asyncio.DatagramTransport))
    show(isinstance(transport, transports._FlowControlMixin))
    transport.set_write_buffer_limits(100)
    show(transport.get_write_buffer_limits(), transport.is_closing())
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()

    got = loop.create_future()
    receiving, _ = await loop.create_datagram_endpoint(
        Datagrams, local_addr=("127.0.0.1", 0))
    receiving.sendto(b"datagram", receiving.get_extra_info("sockname"))
    show(await got)
    show(isinstance(receiving, asyncio.DatagramTransport))
    receiving.close()

    child = await asyncio.create_subprocess_exec(
        "cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    show(await child.communicate(b"through a child"))

    with open(os.devnull, "rb") as file:
        show(file.name)
    try:
        loop.call_soon(1 .__truediv__, 0)
        loop.set_exception_handler(lambda _, report: show(repr(report["exception"])))
        await asyncio.sleep(0.01)
    finally:
        loop.set_exception_handler(None)

for turn in range(2):
    with asyncio.Runner(loop_factory=new_event_loop, debug=bool(turn)) as runner:
        runner.get_loop().slow_callback_duration = 60
        runner.run(main())
    gc.collect()
"""


def program(fake, change):
    return ANOTHER + textwrap.dedent(FAKES[fake]).format(change=CHANGES[change])


@pytest.fixture(scope="module")
def right():
    """What the program says where nothing is changed."""
    return child_says("fastloop", "import asyncio\n" + PROGRAM)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("fake", FAKES)
def test_a_changed_layout(fast_kind, right, fake, change):
    source = program(fake, change) + "from fastloop import new_event_loop\n" + PROGRAM
    done = run_child("asyncio", source, PYTHONMALLOC="debug")
    assert (done.returncode, without_note(done.stderr)) == (0, "")
    assert done.stdout == right


@pytest.mark.parametrize("fake", FAKES)
def test_debug_mode_says_so_once(fast_kind, fake):
    source = program(fake, "a slot more") + "import fastloop\n"
    done = run_child("asyncio", source, PYTHONASYNCIODEBUG="1")
    assert done.returncode == 0
    assert without_note(done.stderr).count("does not know the layout") == 1
    assert without_note(done.stderr).count("\n") == 1


def test_of_a_known_layout_nothing_is_said(fast_kind):
    source = (
        "import sys, fastloop\nassert 'fastloop._layout' not in sys.modules\n"
        "loop = fastloop.new_event_loop()\n"
        "assert type(loop.call_soon(int)).__base__.__module__ == 'asyncio.events'\n"
        "loop.close()\n"
    )
    done = run_child("asyncio", source, PYTHONASYNCIODEBUG="1")
    assert (done.returncode, without_note(done.stderr)) == (0, "")
