"""Builds the two lowest floors of C, base and os, without an interpreter."""

import os
import shlex
import subprocess
import sysconfig
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CSRC = HERE.parents[1] / "csrc"

WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Wvla",
    "-Wconversion",
    "-Werror",
]

SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]

OPTIONS = {
    "plain": ["-O1"],
    "sanitized": ["-O1", "-fno-omit-frame-pointer", *SANITIZE],
}

# Calls of the floors that check.c passes on, or makes fail.
WRAPPED = [
    "malloc",
    "calloc",
    "realloc",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "syscall",
    "eventfd",
    "socketpair",
    "read",
]


def floor_sources():
    """The C files of base and os."""
    return sorted([*CSRC.glob("base/*.c"), *CSRC.glob("os/*.c")])


def environment():
    """For what we compile: nothing preloaded, leaks looked for, refusals seen."""
    env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    env["ASAN_OPTIONS"] = "detect_leaks=1:allocator_may_return_null=1"
    return env


def compiler():
    """CC, or this Python's without the options meant for extensions; a command."""
    if "CC" in os.environ:
        return shlex.split(os.environ["CC"])
    return shlex.split(sysconfig.get_config_var("CC") or "cc")[:1]


def compile_c(sources, output, *options, cwd=None):
    """Compile sources, and link unless told not to; fail with what gcc says."""
    command = [*compiler(), "-std=c11", "-D_GNU_SOURCE", "-g", f"-I{CSRC}", *WARNINGS]
    command += [*options, *map(str, sources)]
    if output is not None:
        command += ["-o", str(output), "-lm", "-lpthread"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(), cwd=cwd
    )
    if done.returncode != 0:
        pytest.fail(f"{shlex.join(command)}\n{done.stderr}", pytrace=False)
    return output


def has_sanitizers(folder):
    """Tell whether the compiler can make and run sanitized programs."""
    source = folder / "nothing.c"
    source.write_text("int main(void) { return 0; }\n")
    program = folder / "nothing"
    command = [*compiler(), *SANITIZE, str(source), "-o", str(program)]
    if subprocess.run(command, capture_output=True, env=environment()).returncode:
        return False
    return subprocess.run([program], env=environment()).returncode == 0


def compile_objects(folder, variant):
    """Compile the floors and check.c, "plain" or "sanitized"; the object files."""
    folder.mkdir()
    sources = [HERE / "check.c", *floor_sources()]
    compile_c(sources, None, *OPTIONS[variant], "-c", cwd=folder)
    return sorted(folder.glob("*.o"))


def compile_program(test_source, objects, output, variant):
    """Link a test program with what compile_objects made; its path."""
    wraps = [f"-Wl,--wrap={name}" for name in WRAPPED]
    return compile_c(
        [test_source, *objects], output, *OPTIONS[variant], f"-I{HERE}", *wraps
    )
