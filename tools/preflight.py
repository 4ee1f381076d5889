"""Say in one sentence what this machine lacks to build fastloop, or nothing.

    python tools/preflight.py          exits with that sentence, if there is one
    python tools/preflight.py --name   prints a word for this very interpreter

setup.py asks the same question. Only the standard library, and syntax that an old
Python can read, to be told that it is too old.
"""

import os
import platform
import shlex
import subprocess
import sys
import sysconfig
import zlib

OLDEST = (3, 11)
CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Machine:
    """What the build depends on, as found here."""

    def __init__(self):
        self.system = sys.platform
        self.implementation = platform.python_implementation()
        self.version = sys.version_info[:2]
        self.free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
        self.include = sysconfig.get_path("include")
        self.compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
        self.header = "stdlib.h"

    def includes(self):
        """Return whether the compiler finds C's own headers, or None without one."""
        command = shlex.split(self.compiler)
        command += ["-E", "-include", self.header, "-xc", os.devnull]
        nowhere, pipe = subprocess.DEVNULL, subprocess.PIPE
        try:
            done = subprocess.run(command, stdout=nowhere, stderr=pipe)
        except OSError:
            return None
        return done.returncode == 0 or self.header.encode() not in done.stderr


def refusal(machine):
    """Return the first reason why fastloop cannot be built there, or None."""
    python = "Python %d.%d" % machine.version
    if not machine.system.startswith("linux"):
        return "fastloop runs on Linux only, not on %s." % machine.system
    if machine.implementation != "CPython":
        return "fastloop runs on CPython only, not on %s." % machine.implementation
    if machine.version < OLDEST:
        return "fastloop needs Python %d.%d or newer; this is %s." % (
            OLDEST + (python,)
        )
    if machine.free_threaded:
        return "fastloop does not run on a free-threaded Python: use the other %s." % (
            python
        )
    if not os.path.exists(os.path.join(machine.include, "Python.h")):
        return (
            "Python.h of %s is missing: install its headers, on Debian with "
            "`apt install python3-dev`." % python
        )
    includes = machine.includes()
    compiler = shlex.split(machine.compiler)[0]
    if includes is None:
        return (
            "The C compiler %s is missing: install one, on Debian with "
            "`apt install gcc libc6-dev`." % compiler
        )
    if not includes:
        return (
            "The C compiler %s does not find %s: install the headers of the C "
            "library, on Debian with `apt install libc6-dev`."
            % (compiler, machine.header)
        )
    return None


def folder_refusal(folder):
    """Return why fastloop cannot be built inside a folder, or None."""
    if os.access(folder, os.W_OK):
        return None
    return (
        "%s cannot be written: copy it and build there, or give its path to the "
        "`pip install` of an environment of yours, which builds elsewhere." % folder
    )


def venv_refusal():
    """Return why this Python cannot make a virtual environment, or None."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return (
            "This Python cannot make a virtual environment: install what it lacks, "
            "on Debian with `apt install python3-venv`."
        )
    return None


def name_of_python():
    """Return a word that another Python, or another version of this one, has not."""
    path = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
    number = zlib.crc32(repr((path, sys.version)).encode()) & 0xFFFFFFFF
    return "%d.%d.%d-%08x" % (sys.version_info[:3] + (number,))


if __name__ == "__main__":
    if sys.argv[1:] == ["--name"]:
        print(name_of_python())
    else:
        sys.exit(refusal(Machine()) or folder_refusal(CHECKOUT) or venv_refusal())
