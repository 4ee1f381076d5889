"""System calls that fail: what the loop makes of it.

walk.py makes every call fail in every way; here are a few of each, and by name what
once went wrong.
"""

import shutil
import subprocess

import pytest

from tests.faults import interposer
from tests.faults.scenarios import SCENARIOS
from tests.faults.walk import complaints
from tests.support import child_args, own_types, without_note

# One fault of those that a function's callers treat alike.
SELECTED = {
    "accept4": ["EMFILE", "ECONNABORTED"],
    "connect": ["EINTR", "ENOMEM"],
    "recv": ["EINTR", "ENOMEM"],
    "recvfrom": ["ENOMEM"],
    "send": ["ENOBUFS", "EPIPE"],
    "sendto": ["ENOBUFS", "short"],
    "sendmsg": ["ENOBUFS", "short"],
    "sendfile": ["EIO", "EINTR"],
    "write": ["EIO"],
    "eventfd": ["EMFILE"],
    "socketpair": ["EMFILE"],
    "epoll_create1": ["EMFILE"],
    "epoll_ctl": ["ENOMEM"],
    "epoll_pwait2": ["EINTR", "ENOSYS"],
}
# Where asyncio's own code leaves what it has to the collector when its call of the loop
# fails (walk.py compares with it); what has tests by name below, or makes no calls.
ELSEWHERE = {"process", "start_tls", "waking", "executor"}


def not_asyncios(complaint):
    return (
        complaint != "left: unclosed"
    )  # a server's socket, by asyncio's create_server


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", [n for n in SCENARIOS if n not in ELSEWHERE])
def test_faults_are_reported_or_recovered(name, walk, fast_kind):
    outcomes = walk(fast_kind, name, SELECTED, calls_max=2)
    assert outcomes
    wrong = [
        (outcome, found)
        for outcome in outcomes
        if (found := list(filter(not_asyncios, complaints(outcome))))
    ]
    assert wrong == []


@pytest.mark.skipif(not shutil.which("nm"), reason="there is no nm")
def test_every_call_of_the_c_code_can_be_made_to_fail(fast_kind):
    import fastloop._core

    assert interposer.unknown_imports(fastloop._core.__file__) == []


def test_a_call_that_is_not_known_is_seen(tmp_path):
    source = tmp_path / "some.c"
    source.write_text("#include <unistd.h>\nint f(void) { return chroot(0); }\n")
    built = tmp_path / "some.so"
    command = [interposer.compiler(), "-shared", "-fPIC", "-o", built, source]
    subprocess.run(command, check=True)
    assert interposer.unknown_imports(built) == ["chroot"]


# --- by name ------------------------------------------------------------------------

PRELUDE = """
import asyncio, os, signal, socket, threading
from tests.faults.interposer import Interposer
device = Interposer()
loop = new_event_loop()
reports = []
loop.set_exception_handler(lambda loop, context: reports.append(context))

def fail(function, fault, nth=1, **options):
    device.arm(function, fault, nth, module="_core.", **options)

def pair():
    socks = socket.socketpair()
    for sock in socks:
        sock.setblocking(False)
    return socks

async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)
"""


@pytest.fixture
def says(walk, fast_kind):
    """says(source): what the program prints that runs it with the interposer."""

    def says(source):
        done = subprocess.run(
            child_args(fast_kind, PRELUDE + source),
            env=walk.environment,
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert (done.returncode, without_note(done.stderr)) == (0, "")
        return done.stdout

    return says


WAKE_UP = """
def call(event):
    for _ in range({calls}):
        threading.Event().wait(0.05)  # the loop sleeps by then
        loop.call_soon_threadsafe(event.set)
async def main():
    event = asyncio.Event()
    thread = threading.Thread(target=call, args=[event])
    thread.start()
    start = loop.time()
    async with asyncio.timeout(3):
        await event.wait()
    print(device.faults, loop.time() - start < 1)
    thread.join()
fail("write", "{fault}")
loop.run_until_complete(main())
loop.close()
"""


def test_a_wake_up_that_failed_does_not_stop_the_next(says):
    assert says(WAKE_UP.format(calls=2, fault="EBADF")) == "1 True\n"


def test_an_interrupted_wake_up_is_made_again(says):
    assert says(WAKE_UP.format(calls=1, fault="EINTR")) == "1 True\n"


SIGNALS_REFUSED = """
async def main():
    seen = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, seen.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    async with asyncio.timeout(3):
        await seen.wait()
    loop.remove_signal_handler(signal.SIGUSR1)
task = loop.create_task(main())
fail("epoll_ctl", "ENOSPC")
try:
    loop.run_until_complete(task)
except OSError as exc:
    print(exc.strerror)
loop.run_until_complete(task)
print("seen")
loop.close()
"""


def test_signals_arrive_after_their_fd_was_refused_once(says):
    assert says(SIGNALS_REFUSED) == "No space left on device\nseen\n"


READER_KEPT = """
left, right = pair()
seen = []
async def main():
    writable = asyncio.Event()
    loop.add_reader(left, lambda: seen.append(left.recv(10)))
    {add}
    fail("epoll_ctl", "ENOMEM", {nth})
    try:
        {trigger}
    except OSError as exc:
        print(exc.strerror)
    print(device.faults)
    right.send(b"hello")
    await until(lambda: seen)
    loop.remove_reader(left)
loop.run_until_complete(main())
loop.close()
left.close(), right.close()
print(seen)
"""


def test_a_reader_survives_a_writer_that_cannot_be_added(says):
    source = READER_KEPT.format(add="", nth=1, trigger="loop.add_writer(left, bool)")
    assert says(source) == "Cannot allocate memory\n1\n[b'hello']\n"


def test_a_reader_survives_a_writer_that_cannot_be_removed(says):
    source = READER_KEPT.format(
        add="loop.add_writer(left, bool)", nth=1, trigger="loop.remove_writer(left)"
    )
    assert says(source) == "1\n[b'hello']\n"


AWAITED_WITH_ANOTHER = """
left, right = pair()
async def main():
    reading = loop.create_task(loop.sock_recv(left, 10))
    await asyncio.sleep(0)
    loop.add_writer(left, bool)
    fail("epoll_ctl", "EBADF")
    try:
        loop.remove_writer(left)
    except OSError as exc:
        print(exc.strerror)
    right.send(b"hello")
    async with asyncio.timeout(3):
        print(await reading)
loop.run_until_complete(main())
loop.close()
left.close(), right.close()
"""


@own_types  # else the sock_ methods are asyncio's, too
def test_whoever_awaits_a_lost_watch_looks_for_himself(says):
    assert says(AWAITED_WITH_ANOTHER) == "Bad file descriptor\nb'hello'\n"


CONNECTION_NOT_WATCHED = """
left, right = pair()
lost = []
class Protocol(asyncio.Protocol):
    def connection_lost(self, exc):
        lost.append(exc.strerror)
async def main():
    fail("epoll_ctl", "ENOSPC")
    transport, _ = await loop.create_connection(Protocol, sock=left)
    await until(lambda: lost)
    await asyncio.sleep(0.01)
    print(lost, transport.is_closing(), left.fileno())
    print([(str(report["exception"]), report["message"]) for report in reports])
loop.run_until_complete(asyncio.sleep(0))
loop.run_until_complete(main())
loop.close()
right.close()
"""


def test_a_connection_that_cannot_be_watched_is_lost(says):
    error = "[Errno 28] No space left on device"
    message = "Fatal read error on transport"
    assert says(CONNECTION_NOT_WATCHED) == (
        f"['No space left on device'] True -1\n{[(error, message)]}\n"
    )


RESUMED_AGAIN = """
left, right = pair()
class Protocol(asyncio.Protocol):
    data = None
    def data_received(self, data):
        self.data = data
async def main():
    transport, protocol = await loop.create_connection(Protocol, sock=left)
    transport.pause_reading()
    fail("epoll_ctl", "ENOMEM")
    try:
        transport.resume_reading()
    except OSError as exc:
        print(exc.strerror, transport.is_reading())
    transport.resume_reading()
    right.send(b"hello")
    await until(lambda: protocol.data)
    print(protocol.data)
    transport.close()
    await asyncio.sleep(0)
loop.run_until_complete(main())
loop.close()
right.close()
"""


def test_reading_that_could_not_be_resumed_can_be_later(says):
    assert says(RESUMED_AGAIN) == "Cannot allocate memory False\nb'hello'\n"


LISTENER_REFUSED = """
async def main():
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    fail("accept4", "ENFILE")
    first = socket.create_connection(address)
    await until(lambda: reports)
    fail("epoll_ctl", "ENOMEM")
    await until(lambda: len(reports) > 1)
    await until(lambda: loop._transports)
    print([str(report["exception"]) for report in reports])
    server.close()
    for transport in list(loop._transports.values()):
        transport.abort()
    first.close()
    await asyncio.sleep(0)
loop.run_until_complete(main())
loop.close()
"""


def test_a_server_that_cannot_go_on_tries_again(says):
    assert says(LISTENER_REFUSED) == (
        "['[Errno 23] Too many open files in system',"
        " '[Errno 12] Cannot allocate memory']\n"
    )


LISTENER_FORBIDDEN = """
async def main():
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    fail("accept4", "EPERM", always=True)
    client = socket.create_connection(server.sockets[0].getsockname())
    await asyncio.sleep(0.05)
    print(device.faults, [report["message"] for report in reports])
    server.close()
    client.close()
loop.run_until_complete(main())
loop.close()
"""


def test_a_server_that_may_not_accept_does_not_spin(says):
    assert says(LISTENER_FORBIDDEN) == "1 ['socket.accept() is forbidden']\n"


DATAGRAMS_CLOSED_BEHIND = """
told = []
class Protocol(asyncio.DatagramProtocol):
    def error_received(self, exc):
        told.append(("error", exc.strerror))
    def connection_lost(self, exc):
        told.append(("lost", exc.strerror))
async def main():
    sock = socket.socket(type=socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    await loop.create_datagram_endpoint(Protocol, sock=sock)
    address = sock.getsockname()
    with sock.dup(), socket.socket(type=socket.SOCK_DGRAM) as sender:
        os.close(sock.fileno())  # the file lives on, and so do its events
        sender.sendto(b"to nobody", address)
        await asyncio.sleep(0.02)
loop.run_until_complete(main())
loop.close()
print(told)
"""


def test_a_datagram_socket_closed_behind_its_transport_ends_it(says):
    bad = "Bad file descriptor"
    assert says(DATAGRAMS_CLOSED_BEHIND) == f"{[('error', bad), ('lost', bad)]}\n"


FORKED_WITHOUT_POLLER = """
left, right = pair()
seen = []
async def main():
    loop.add_reader(left, lambda: seen.append(left.recv(10)))
    fail("epoll_create1", "ENFILE")
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # says why
        device.disarm()
        loop.remove_reader(left)
        os._exit(0)
    device.disarm()
    os.waitpid(pid, 0)
    right.send(b"hello")
    await until(lambda: seen)
    loop.remove_reader(left)
import warnings
warnings.simplefilter("ignore")
os.set_blocking(2, True)
with open(os.devnull, "w") as null:
    saved = os.dup(2)
    os.dup2(null.fileno(), 2)
    loop.run_until_complete(main())
    os.dup2(saved, 2)
loop.close()
left.close(), right.close()
print(seen)
"""


def test_a_child_that_gets_no_poller_leaves_its_parents(says):
    assert says(FORKED_WITHOUT_POLLER) == "[b'hello']\n"


OUT_OF_MEMORY = """
left, right = pair()
async def main():
    fail("recvfrom", "ENOMEM")
    try:
        await loop.sock_recv(left, 10)
    except OSError as exc:
        print(type(exc) is OSError, exc.strerror)
loop.run_until_complete(main())
loop.close()
left.close(), right.close()
"""


@own_types
def test_the_kernels_want_of_memory_is_an_oserror(says):
    assert says(OUT_OF_MEMORY) == "True Cannot allocate memory\n"
