"""Build fastloop._core. Everything else about the package is in pyproject.toml.

Switches, each an environment variable set to 1:

FASTLOOP_DEBUG     no optimisation, assertions, counters and consistency walkers
FASTLOOP_SANITIZE  AddressSanitizer and UBSan (the runtimes must be preloaded)
FASTLOOP_COVERAGE  gcov counters
FASTLOOP_WERROR    compiler warnings are errors

The syntax is one that an old Python can read, to be told that it is too old.
"""

import os
import sys
import sysconfig

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tools"))

from preflight import Machine, folder_refusal, refusal

reason = refusal(Machine())
if reason:
    sys.exit(reason)

import atexit
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
# A folder that cannot be written is built from elsewhere.
WRITABLE = os.access(str(HERE), os.W_OK)

# Room by room, lowest floor first. Listed, not globbed: a file forgotten here
# fails a test here, not a build on somebody else's machine.
SOURCES = {
    "base": ["fd_table.c", "keys.c", "ring.c", "timer_heap.c", "timers.c"],
    "os": ["clock.c", "poller_epoll.c", "thread_look.c", "wakeup.c"],
    "py": ["bytearray.c", "context.c", "error.c", "fault.c", "time_watch.c"],
    "py/args": ["args.c", "keywords.c"],
    "py/state": ["state.c", "tables.c"],
    "py/mirror": [
        "layout.c",
        "mirror.c",
        "mirror_breaker.c",
        "mirror_fields.c",
        "mirror_names.c",
    ],
    "py/await": [
        "awaitable.c",
        "awaitable_iter.c",
        "origin.c",
        "stop.c",
        "suspended.c",
    ],
    "watch": [
        "blind.c",
        "hatch.c",
        "lookout.c",
        "lookout_life.c",
        "metrics.c",
        "names.c",
        "sights.c",
        "slow_steps.c",
        "watch_methods.c",
    ],
    "watch/recorder": [
        "recorder.c",
        "recorder_life.c",
        "recorder_loop.c",
        "recorder_methods.c",
        "recorder_names.c",
        "recorder_wait.c",
    ],
    "core/ground": ["overrides.c"],
    "core/handle": [
        "alarm.c",
        "handle.c",
        "handle_methods.c",
        "handle_queue.c",
        "handle_run.c",
        "threadsafe_handle.c",
        "timer_handle.c",
    ],
    "core/loop": [
        "loop.c",
        "loop_attrs.c",
        "loop_check.c",
        "loop_fork.c",
        "loop_methods.c",
        "loop_metrics.c",
        "loop_schedule.c",
        "loop_tasks.c",
    ],
    "core/run": [
        "loop_debug.c",
        "loop_drop.c",
        "loop_nested.c",
        "loop_order.c",
        "loop_poll.c",
        "loop_run.c",
        "loop_setup.c",
        "loop_turns.c",
        "loop_virtual.c",
    ],
    "core/io": ["loop_signals.c", "loop_watch.c", "reader_watch.c", "source.c"],
    "core/future": [
        "awaited_by.c",
        "future.c",
        "future_attrs.c",
        "future_callbacks.c",
        "future_iter.c",
        "future_methods.c",
        "future_state.c",
        "task_wakeup.c",
    ],
    "core/task": [
        "task.c",
        "task_callable.c",
        "task_entry.c",
        "task_methods.c",
        "task_observe.c",
        "task_registry.c",
        "task_step.c",
        "task_yield.c",
    ],
    "net": ["address.c", "audit.c", "listener.c", "listener_accepted.c", "socket.c"],
    "net/sock": [
        "sock_connect.c",
        "sock_methods.c",
        "sock_op.c",
        "sock_receive.c",
        "sock_send.c",
        "sock_sendfile.c",
    ],
    "net/transport": [
        "protocol.c",
        "receive.c",
        "transport.c",
        "transport_attrs.c",
        "transport_close.c",
        "transport_limits.c",
        "transport_receive.c",
        "write_queue.c",
        "writer.c",
    ],
    "net/datagram": ["datagram.c", "datagram_send.c"],
    "net/pipe": ["pipe.c", "pipe_read.c", "pipe_write.c"],
    "net/stream": ["stream.c", "stream_extra.c", "stream_read.c", "stream_write.c"],
    "tls": [
        "bio.c",
        "control.c",
        "engine.c",
        "incoming.c",
        "openssl.c",
        "outgoing.c",
        "protocol.c",
        "warm.c",
    ],
    "aio": ["aio.c", "call.c", "call_look.c", "class.c", "function.c", "futures.c"],
    "aio/group": ["as_completed.c", "as_completed_one.c", "gather.c", "task_group.c"],
    "aio/wait": ["shield.c", "sleep.c", "wait.c", "wait_for.c", "wait_for_task.c"],
    "aio/timeout": ["timeout.c", "timeout_alarm.c", "timeout_error.c"],
    "aio/lock": [
        "condition.c",
        "condition_wait.c",
        "event.c",
        "lock.c",
        "semaphore.c",
        "waiters.c",
    ],
    "aio/queue": ["lifo_queue.c", "priority_queue.c", "queue.c", "queue_items.c"],
    "aio/stream": [
        "stream_connect.c",
        "stream_feed.c",
        "stream_flow.c",
        "stream_protocol.c",
        "stream_read.c",
        "stream_read_line.c",
        "stream_reader.c",
        "stream_writer.c",
    ],
    "": ["module.c"],
}

# What runs once in a program, a loop or a connection is compiled to be small: 25 KB of
# 623 less on 3.13, and a switch of tasks takes as many instructions as before.
FOR_SIZE = {
    "os": ["thread_look.c"],
    "py/await": ["origin.c", "suspended.c"],
    "py/state": ["state.c"],
    "py/mirror": [
        "layout.c",
        "mirror.c",
        "mirror_breaker.c",
        "mirror_fields.c",
        "mirror_names.c",
    ],
    "watch": SOURCES["watch"],
    "watch/recorder": SOURCES["watch/recorder"],
    "core/ground": ["overrides.c"],
    "core/io": ["loop_signals.c"],
    "core/loop": [
        "loop.c",
        "loop_attrs.c",
        "loop_check.c",
        "loop_fork.c",
        "loop_metrics.c",
    ],
    "core/task": ["task_observe.c"],
    "core/run": ["loop_debug.c", "loop_nested.c", "loop_virtual.c"],
    "net/pipe": ["pipe.c"],
    "net/sock": ["sock_connect.c", "sock_sendfile.c"],
    "net/transport": ["transport_limits.c"],
    "net/stream": ["stream_extra.c"],
    "tls": ["control.c", "openssl.c", "protocol.c"],
    "aio": ["aio.c", "call_look.c"],
    "aio/timeout": ["timeout_error.c"],
    "aio/stream": ["stream_connect.c"],
    "": ["module.c"],
}

WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Wvla",
    "-Wconversion",
]

# The code branches and calls, its loops are short: what is for long ones made the
# module 3 % larger.
BRANCHY = [
    "-fno-align-jumps",
    "-fno-align-labels",
    "-fno-align-loops",
    "-fno-peel-loops",
    "-fno-split-loops",
    "-fno-tree-loop-distribution",
    "-fno-tree-vectorize",
    "-fno-unswitch-loops",
]

SWITCHES = ("DEBUG", "SANITIZE", "COVERAGE", "WERROR")


def switched_on(name):
    """Tell whether the environment variable FASTLOOP_<name> asks for something."""
    return os.environ.get("FASTLOOP_" + name, "0") not in ("", "0")


def paths_of(rooms):
    """Return the files of rooms, relative to the project."""
    return [str(Path("csrc", room, name)) for room in rooms for name in rooms[room]]


def source_paths():
    """Return every C file, relative to the project; exit if one is missing."""
    paths = paths_of(SOURCES)
    missing = [path for path in paths if not (HERE / path).is_file()]
    if missing:
        sys.exit("setup.py lists C files that do not exist: " + ", ".join(missing))
    return paths


def header_paths():
    """Return every header, relative to the project."""
    return sorted(str(p.relative_to(HERE)) for p in (HERE / "csrc").rglob("*.h"))


def flags():
    """Return (compiler flags, linker flags) for the switches that are on."""
    compile_args = ["-std=c11", "-fvisibility=hidden"] + WARNINGS
    link_args = []
    if switched_on("WERROR"):
        compile_args.append("-Werror")
    if switched_on("DEBUG"):
        compile_args += ["-O0", "-g3", "-UNDEBUG", "-DFASTLOOP_DEBUG=1"]
    elif switched_on("COVERAGE"):
        compile_args += ["-O0", "-g"]
    elif switched_on("SANITIZE"):
        compile_args += ["-O1", "-g"]
    else:
        # Calls inside the module need no detour through its symbol table.
        compile_args += ["-O3", "-g", "-fno-semantic-interposition"]
        # Across files too: 3 % fewer instructions a step (clang's needs a plugin).
        if "gcc" in os.environ.get("CC", sysconfig.get_config_var("CC")):
            compile_args += ["-flto=auto"] + BRANCHY
            link_args += ["-flto=auto", "-O3"]
            # What is read lies beside what runs: 8 KB less of nothing between pages.
            link_args += ["-Wl,-z,noseparate-code"]
    if switched_on("SANITIZE"):
        sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
        compile_args += sanitize + ["-fno-omit-frame-pointer"]
        link_args += sanitize
    if switched_on("COVERAGE"):
        compile_args.append("--coverage")
        link_args.append("--coverage")
    return compile_args, link_args


def build_folder():
    """Return where to build: in build/, which stays, or in a folder that does not."""
    if WRITABLE:
        return "build"
    folder = tempfile.mkdtemp(prefix="fastloop-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def options_of(folder):
    """Return the options of the commands that write into the folder they build."""
    if WRITABLE:
        return {}
    return {
        "build": {"build_base": folder},
        "bdist_wheel": {"bdist_dir": os.path.join(folder, "wheel")},
        "egg_info": {"egg_base": folder},
    }


def variant():
    """Name the object directory: one per Python and combination of switches."""
    switches = [s for s in SWITCHES if switched_on(s)]
    return "-".join([sysconfig.get_config_var("SOABI")] + switches).lower()


class BuildExt(build_ext):
    """Compile changed files only, several at a time, in a directory that stays."""

    def finalize_options(self):
        super().finalize_options()
        # The module on disk may come from other switches: always link it anew.
        self.force = True
        base = self.get_finalized_command("build").build_base
        self.build_temp = str(HERE / base / variant())

    def run(self):
        if (self.inplace or self.editable_mode) and not WRITABLE:
            sys.exit(folder_refusal(str(HERE)))
        super().run()

    def build_extensions(self):
        compile_one = self.compiler.compile
        shared = [HERE / path for path in ["setup.py"] + header_paths()]
        newest_shared = max(path.stat().st_mtime_ns for path in shared)

        for_size = set(paths_of(FOR_SIZE))

        def compile_source(source, output_dir, options):
            (obj,) = self.compiler.object_filenames([source], output_dir=output_dir)
            needed = max(newest_shared, (HERE / source).stat().st_mtime_ns)
            if not os.path.exists(obj) or os.stat(obj).st_mtime_ns < needed:
                flags = options["extra_postargs"]
                if source in for_size:
                    flags = ["-Os" if flag == "-O3" else flag for flag in flags]
                options = dict(options, extra_postargs=flags)
                compile_one([source], output_dir=output_dir, **options)
            return obj

        def compile_all(sources, output_dir=None, **options):
            with ThreadPoolExecutor(self.parallel or os.cpu_count()) as pool:
                jobs = [
                    pool.submit(compile_source, source, output_dir, options)
                    for source in sources
                ]
            return [job.result() for job in jobs]

        self.compiler.compile = compile_all
        super().build_extensions()


class BuildPy(build_py):
    """Install the page of the timeline without what only its writers read."""

    def copy_file(self, source, target, **options):
        done = super().copy_file(source, target, **options)
        if target.endswith((".css", ".js")):
            path = Path(target)
            lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
            kept = [line for line in lines if line and not line.startswith("//")]
            path.unlink()  # as read-only as the source may be
            path.write_text("\n".join(kept) + "\n", "utf-8")
        return done


if __name__ == "__main__":
    from long_description import long_description

    compile_flags, link_flags = flags()
    setup(
        long_description=long_description(),
        long_description_content_type="text/markdown",
        ext_modules=[
            Extension(
                "fastloop._core",
                sources=source_paths(),
                depends=header_paths(),
                include_dirs=["csrc"],
                define_macros=[("_GNU_SOURCE", "1")],
                extra_compile_args=compile_flags,
                extra_link_args=link_flags,
            )
        ],
        cmdclass={"build_ext": BuildExt, "build_py": BuildPy},
        options=options_of(build_folder()),
    )
