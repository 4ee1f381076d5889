"""Say in one sentence what this machine lacks to build fastloop, or nothing.

Run as a script it exits with that sentence; setup.py asks the same question.
Only the standard library, and syntax that an old Python can read.
"""

import os
import platform
import shlex
import shutil
import sys
import sysconfig

OLDEST = (3, 11)


class Machine:
    """What the build depends on, as found here."""

    def __init__(self):
        compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
        self.system = sys.platform
        self.implementation = platform.python_implementation()
        self.version = sys.version_info[:2]
        self.free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
        self.include = sysconfig.get_path("include")
        self.compiler = shlex.split(compiler)[0]


def refusal(machine):
    """Return the first reason why fastloop cannot be built there, or None."""
    python = "Python %d.%d" % machine.version
    if not machine.system.startswith("linux"):
        return "fastloop runs on Linux only, not on %s." % machine.system
    if machine.implementation != "CPython":
        return "fastloop runs on CPython only, not on %s." % machine.implementation
    if machine.version < OLDEST:
        return "fastloop needs Python %d.%d or newer; this is %s." % ((*OLDEST, python))
    if machine.free_threaded:
        return "fastloop does not run on a free-threaded Python: use the other %s." % (
            python
        )
    if not os.path.exists(os.path.join(machine.include, "Python.h")):
        return (
            "Python.h of %s is missing: install its headers, on Debian with "
            "`apt install python3-dev`." % python
        )
    if shutil.which(machine.compiler) is None:
        return (
            "The C compiler %s is missing: install one, on Debian with "
            "`apt install gcc`." % machine.compiler
        )
    return None


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


if __name__ == "__main__":
    sys.exit(refusal(Machine()) or venv_refusal())
