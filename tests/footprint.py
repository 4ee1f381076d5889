"""What this process has of the machine: memory, file descriptors, live objects."""

import ctypes
import gc
import os
import pathlib
import sys


class _Mallinfo(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def memory():
    """The resident set, what malloc has given out (KiB), and Python's own blocks.

    The resident set varies with what malloc keeps for later: with TLS by 10 MB.
    """
    gc.collect()
    status = pathlib.Path("/proc/self/status").read_text()
    found = {
        "rss": int(status.partition("VmRSS:")[2].split()[0]),
        "blocks": sys.getallocatedblocks(),
    }
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is not None:
        mallinfo.restype = _Mallinfo
        info = mallinfo()
        found["malloc"] = (info.uordblks + info.hblkhd) // 1024
    return found


def open_fds():
    """The numbers, as text; one of them is the listing's own."""
    return set(os.listdir("/proc/self/fd"))


def live_objects():
    """Those that a debug build counts, if there are any."""
    core = sys.modules.get("fastloop._core")
    counts = getattr(core, "_debug_counts", dict)()
    return {name: count for name, count in counts.items() if count}
