"""The preloaded library that makes system calls fail: built, armed, looked at.

A program that was started with `environment()` can make the n-th call of a C library's
function fail, whoever in the program calls it, or our extension module alone.
"""

import contextlib
import ctypes
import errno
import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

SOURCE = Path(__file__).with_name("interpose.c")
VARIABLE = "FASTLOOP_TESTS_INTERPOSER"
EXTENSION = "_core."

ONCE, ALWAYS, SHORT, SIGNAL = range(4)

# What a function may answer besides doing its work, as far as manual pages and kernels
# have it; "short" moves a byte, "signal" lets a handler run before EINTR is returned.
IO = "EINTR EAGAIN ENOMEM ENOBUFS ECONNRESET EBADF signal short"
ERRORS = {
    name: faults.split()
    for names, faults in {
        "accept4": (
            "EMFILE ENFILE ENOBUFS ENOMEM ECONNABORTED EINTR EAGAIN EPERM EPROTO"
            " ENETDOWN EBADF signal"
        ),
        "connect": (
            "EINTR ECONNREFUSED ENETUNREACH EADDRNOTAVAIL EPERM ENOMEM ENOBUFS signal"
        ),
        "recv recvfrom recvmsg": IO,
        "send sendto sendmsg sendmmsg": f"{IO} EPIPE EPERM EMSGSIZE",
        "sendfile": f"{IO} EPIPE EIO EINVAL EOVERFLOW ENOTCONN",
        "read": "EINTR EAGAIN EIO EBADF ENOMEM signal short",
        "write writev": "EINTR EAGAIN EIO EBADF ENOMEM ENOBUFS EPIPE signal short",
        "epoll_create1": "EMFILE ENFILE ENOMEM",
        "epoll_ctl": "ENOMEM ENOSPC EBADF EPERM",
        "epoll_wait epoll_pwait2": "EINTR EBADF ENOMEM signal short",
        "eventfd socketpair pipe2 pidfd_open": "EMFILE ENFILE ENOMEM EPERM ENOSYS",
        "getsockopt setsockopt": "ENOBUFS ENOMEM EBADF ENOPROTOOPT EINVAL",
        "getsockname getpeername": "ENOBUFS ENOTCONN EBADF EINVAL",
        "shutdown": "ENOTCONN EBADF",
        "close": "EINTR EIO",
        "fstat lseek": "EBADF ENOMEM EOVERFLOW",
        "fcntl ioctl": "EBADF EPERM EINVAL ENOMEM",
    }.items()
    for name in names.split()
}
ERRORS["epoll_pwait2"] += ["ENOSYS", "EPERM"]

# Imported by the extension, and no system calls that could fail. What is not found in
# OpenSSL is a matter of tests/net/test_tls_records.py.
HARMLESS = {
    *("dlclose", "dlopen", "dlsym"),
    *("aligned_alloc", "calloc", "free", "malloc", "posix_memalign", "realloc"),
    *("memchr", "memcmp", "memcpy", "memmem", "memmove", "memset"),
    *("strchr", "strcmp", "strlen", "strncmp", "strnlen", "strrchr"),
    *("strcspn", "strtoull", "nextafter", "dl_iterate_phdr"),
    *("htonl", "htons", "ntohl", "ntohs"),
    *("abort", "ceil", "clock_gettime", "getenv", "inet_ntop", "inet_pton"),
    *("fprintf", "fputs", "fwrite", "snprintf", "stderr"),
}
# Called by the watch, in its own threads or to make them. Faults are armed for the
# thread of the program; tests/watch takes files and memory for threads from these.
OF_THE_WATCH = {
    *("geteuid", "getpid", "nanosleep", "open", "poll", "ppoll", "strtol", "strtoll"),
    *("pthread_create", "pthread_detach", "pthread_equal", "pthread_join"),
    "pthread_self",
    *("pthread_mutex_init", "pthread_mutex_lock", "pthread_mutex_unlock"),
    *("pthread_cond_broadcast", "pthread_cond_init", "pthread_cond_signal"),
    *("pthread_cond_timedwait", "pthread_cond_wait", "pthread_condattr_destroy"),
    *("pthread_condattr_init", "pthread_condattr_setclock"),
    *("pthread_sigmask", "sigaction", "sigaddset", "sigemptyset", "sigfillset"),
    "strstr",
}


def compiler():
    """The C compiler, or None."""
    names = [os.environ.get("CC"), sysconfig.get_config_var("CC"), "gcc", "cc"]
    for name in filter(None, names):
        if found := shutil.which(name.split()[0]):
            return found
    return None


def build(folder):
    """Build the library in a folder; its path."""
    path = Path(folder, "interpose.so")
    command = [compiler(), "-shared", "-fPIC", "-O1", "-o", path, SOURCE, "-ldl"]
    subprocess.run(command, check=True)
    return path


def environment(library):
    """What a program's environment needs for the library at this path."""
    return {"LD_PRELOAD": str(library), VARIABLE: str(library)}


def imported(module):
    """The C library's functions that a shared object calls."""
    listing = subprocess.run(
        ["nm", "-D", "--undefined-only", module],
        check=True,
        capture_output=True,
        text=True,
    )
    names = {line.split()[-1].partition("@")[0] for line in listing.stdout.splitlines()}
    # __read_chk is read, where the compiler knows the buffer's size
    names = {re.sub(r"^__(\w+)_chk$", r"\1", name) for name in names}
    names = {name.removesuffix("64") for name in names}
    return {name for name in names if not name.startswith(("Py", "_", "__"))}


def unknown_imports(module):
    """Functions a shared object calls that can neither be made to fail nor do."""
    known = HARMLESS | OF_THE_WATCH | set(ERRORS) | {"syscall"}
    return sorted(imported(module) - known)


def call_sites(module):
    """Where a shared object calls what can be made to fail: {offset: name}."""
    listing = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", module],
        check=True,
        capture_output=True,
        text=True,
    )
    sites = {}
    waiting = None
    for line in listing.stdout.splitlines():
        head, colon, code = line.partition(":\t")
        if colon and waiting:
            sites[int(head, 16)] = waiting
        waiting = None
        found = re.search(r"\bcallq?\b.*<(\w+)@|\b(?:jmp|bl?)\b.*<(\w+)@plt", code)
        name = found and (found[1] or found[2])
        if colon and name in {*ERRORS, "syscall"}:
            waiting = name
    return sites


def source_line(module, offset):
    """file:line of the call that returns to this offset."""
    found = subprocess.run(
        ["addr2line", "-s", "-e", module, hex(offset - 1)],
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.split()[0]


class Interposer:
    """The library, in the program that has it preloaded."""

    def __init__(self):
        self._library = ctypes.CDLL(os.environ[VARIABLE])
        self._library.faults_count.restype = ctypes.c_long
        self._library.faults_arm.argtypes = [
            ctypes.c_char_p,
            ctypes.c_char_p,
            ctypes.c_int,
            ctypes.c_long,
            ctypes.c_int,
        ]

    def arm(self, function, fault, nth, *, module, always=False):
        """Let the nth call (or all from it on) of a function fail with a fault.

        module: how the name of the callers' file begins; "" for this thread's calls.
        """
        how = {"short": SHORT, "signal": SIGNAL}.get(fault, ALWAYS if always else ONCE)
        number = getattr(errno, fault, errno.EINTR)
        self._library.faults_arm(function.encode(), module.encode(), how, nth, number)

    def disarm(self):
        """No call fails any more."""
        self._library.faults_disarm()

    @contextlib.contextmanager
    def paused(self):
        """Calls made meanwhile neither fail nor count."""
        self._library.faults_pause(1)
        try:
            yield
        finally:
            self._library.faults_pause(-1)

    @property
    def calls(self):
        """Calls of the armed function since then."""
        return self._library.faults_count(0)

    @property
    def faults(self):
        """Those of them that failed or were cut short."""
        return self._library.faults_count(1)

    @property
    def polls(self):
        """Polls since then."""
        return self._library.faults_count(2)

    @property
    def site(self):
        """Where the last fault was: the call's return address in its file."""
        return self._library.faults_count(3)
