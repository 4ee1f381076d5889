"""The watch where files, memory or threads cannot be had."""

from tests.support import not_sanitized
from tests.watch.test_blocks import run_child


def test_a_thread_that_cannot_be_had(fast_kind):
    """watch() says so, and a later one is no worse for it."""
    program = """
import fastloop, resource, time

def address_space():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()

async def block():
    time.sleep(0.5)

limits = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (address_space() + (3 << 20), limits[1]))
try:
    fastloop.watch(0.05)
except OSError as error:
    print(type(error).__name__)
resource.setrlimit(resource.RLIMIT_AS, limits)
blocks = []
with fastloop.watch(0.05, blocks.append):
    fastloop.run(block())
    while not blocks:
        time.sleep(0.01)
print(blocks[0].kind)
"""
    done = run_child(program)
    assert done.stdout.splitlines() == ["BlockingIOError", "off CPU"], done.stderr


def test_files_that_cannot_be_had(fast_kind):
    """It goes without what the kernel would tell of the thread."""
    program = """
import fastloop, resource, time

async def block():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    time.sleep(0.3)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

blocks = []
with fastloop.watch(0.05, blocks.append):
    fastloop.run(block())
    while not blocks or not blocks[-1].ended:
        time.sleep(0.01)
print(blocks[0].stack[-1].lineno, blocks[0].ended, blocks[-1].ended)
"""
    done = run_child(program)
    assert done.stdout == "7 False True\n", done.stderr


def test_a_program_that_closes_all_files(fast_kind):
    """As one does that becomes a daemon: no thread spins, the end comes, and whoever
    has the same numbers then keeps them."""
    program = """
import asyncio, fastloop, os, resource, time

def used_s():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime

with fastloop.watch(0.05):
    time.sleep(0.2)
    os.closerange(3, 100)
    mine = [os.open("/dev/null", os.O_RDWR) for _ in range(20)]
    began_s = used_s()
    time.sleep(1)
    print(used_s() - began_s < 0.3)
    for fd in mine[10:]:
        os.close(fd)
    fastloop.run(asyncio.sleep(0.01))
print(len([os.fstat(fd) for fd in mine[:10]]))
"""
    done = run_child(program)
    assert done.stdout.splitlines() == ["True", "10"], done.stderr


@not_sanitized  # whose allocator a fork may leave locked
def test_it_ends_in_one_thread_while_another_forks(fast_kind):
    """Else it would go on with a signal that nobody has a handler for any more."""
    program = """
import fastloop, os, threading, time, warnings
warnings.simplefilter("ignore")

def begins_and_ends():
    while time.monotonic() < end_s:
        watch = fastloop.watch(0.002)
        time.sleep(0.001)
        watch.stop()

end_s = time.monotonic() + 1.5
thread = threading.Thread(target=begins_and_ends)
thread.start()
n_forks = 0
while time.monotonic() < end_s:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    n_forks += 1
thread.join()
fastloop.watch(5).stop()  # which refuses if one is still on
print(n_forks > 0)
"""
    done = run_child(program)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_nobody_reads_standard_error(fast_kind):
    """What cannot be written there is left out: the loop goes on, and the end comes."""
    program = """
import ctypes, fastloop, logging, os, time
logging.getLogger("fastloop.watch").addHandler(logging.NullHandler())
logging.getLogger("fastloop.watch").propagate = False

async def block():
    ctypes.PyDLL(None).usleep(400_000)

left, right = os.pipe()
os.dup2(right, 2)
os.set_blocking(2, False)
try:
    while True:
        os.write(2, b"x")
except BlockingIOError:
    os.set_blocking(2, True)
with fastloop.watch(0.05) as watch:
    fastloop.run(block())
    fastloop.run(block())
print("ended")
"""
    done = run_child(program)
    assert done.stdout == "ended\n"
