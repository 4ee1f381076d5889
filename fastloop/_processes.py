"""Pipes, and child processes: a cheaper way to spawn, exits told by a pidfd.

The transport, its protocols and the arguments are asyncio's and subprocess's own.
What differs: the child comes from vfork in fewer steps, and a pidfd in the loop's
own poller tells its end, from any thread and whatever SIGCHLD does. Where the kernel
refuses pidfds, asyncio's thread waits.
"""

import asyncio
import atexit
import contextlib
import fcntl
import functools
import os
import subprocess
import sys
import threading
from asyncio import events, unix_events
from asyncio.log import logger
from typing import Any

from . import _core

# As they were at import: who replaces them wants to see them used.
_Popen: Any = subprocess.Popen
_UnixSubprocessTransport: Any = unix_events._UnixSubprocessTransport  # type: ignore[attr-defined]
_UnixReadPipeTransport: Any = unix_events._UnixReadPipeTransport  # type: ignore[attr-defined]
_UnixWritePipeTransport: Any = unix_events._UnixWritePipeTransport  # type: ignore[attr-defined]
# Programs put our loop in the place of asyncio.SelectorEventLoop.
_AsyncioLoop: Any = asyncio.SelectorEventLoop

_DefaultPolicy: Any
if sys.version_info >= (3, 14):
    _ThreadedChildWatcher: Any = unix_events._ThreadedChildWatcher  # type: ignore[attr-defined]
    _WATCHERS = (unix_events._PidfdChildWatcher,)  # type: ignore[attr-defined]
else:
    _ThreadedChildWatcher = unix_events.ThreadedChildWatcher
    # What get_child_watcher() makes when nobody has set another.
    _WATCHERS = (
        (unix_events.ThreadedChildWatcher,)
        if sys.version_info < (3, 12)
        else (unix_events.PidfdChildWatcher,)
    )
    _DefaultPolicy = asyncio.DefaultEventLoopPolicy


# ---- spawning ----

_EXECUTE_CHILD = (
    "self args executable preexec_fn close_fds pass_fds cwd env startupinfo"
    " creationflags shell p2cread p2cwrite c2pread c2pwrite errread errwrite"
    " restore_signals gid gids uid umask start_new_session process_group"
)


def _is_known(popen: Any) -> bool:
    """Tell whether Popen spawns by the method that ours takes the place of."""
    code: Any = popen._execute_child.__code__
    names = code.co_varnames[: code.co_argcount]
    known: bool = names == tuple(_EXECUTE_CHILD.split())
    return known and sys.version_info < (3, 16)


@functools.lru_cache(maxsize=64)
def _candidates(program: str | bytes, path: str) -> tuple[bytes, ...]:
    """Name the files that a program without a folder may be, in this PATH."""
    name = os.fsencode(program)
    return tuple(
        os.path.join(os.fsencode(folder), name) for folder in path.split(os.pathsep)
    )


def _files(program: Any, env: Any) -> tuple[bytes, ...]:
    """Name the files that a program may be, as os.execvpe tries them."""
    name = os.fsencode(program)
    if b"/" in name:
        return (name,)
    path = os.environ.get("PATH") if env is None else None
    if path is None:
        path = os.pathsep.join(os.fsdecode(folder) for folder in os.get_exec_path(env))
    return _candidates(name, path)


def _encoded(env: Any) -> list[bytes] | None:
    """Encode an environment; ValueError if a name has "=" in it."""
    if env is None:
        return None
    pairs = []
    for key, value in env.items():
        name = os.fsencode(key)
        if b"=" in name:
            raise ValueError("illegal environment variable name")
        pairs.append(name + b"=" + os.fsencode(value))
    return pairs


# Whether a child that fails before it runs its program tells if that was chdir().
_CHDIR_IS_TOLD = "noexec:chdir" in _Popen._execute_child.__code__.co_consts


def _spawn_error(said: bytes, program: Any, cwd: Any) -> OSError:
    """Read what a child says that could not run its program, as Popen does.

    It says `OSError:ERRNO:WHERE`, the number in hexadecimal.
    """
    _, number, where = said.decode().split(":", 2)
    errno = int(number, 16)
    if not where:
        return OSError(errno, os.strerror(errno), program)
    if _CHDIR_IS_TOLD and where != "noexec:chdir":
        return OSError(errno, os.strerror(errno))
    return OSError(errno, os.strerror(errno), cwd)


def _allow_vfork() -> tuple[bool, ...]:
    """Return the last argument of fork_exec, where it has that one."""
    if sys.version_info >= (3, 14):
        return ()
    return (getattr(subprocess, "_USE_VFORK", True),)


class Popen(_Popen):  # type: ignore[misc]
    """subprocess.Popen whose child is made in fewer steps where that can be done."""

    def _execute_child(self, *given: Any) -> None:
        args, executable, preexec_fn, close_fds, pass_fds, cwd, env = given[:7]
        replaced = _Popen._execute_child is not _execute_child
        unusual = preexec_fn is not None or pass_fds or isinstance(args, os.PathLike)
        if not (replaced or unusual):
            shell, handles, how = given[9], given[10:16], given[16:]
            argv = [args] if isinstance(args, str | bytes) else list(args)
            if shell:
                argv = [executable or "/bin/sh", "-c", *argv]
            program = argv[0] if executable is None else executable
            sys.audit("subprocess.Popen", program, argv, cwd, env)
            self._spawn(program, argv, close_fds, cwd, env, handles, how)
            self._close_pipe_fds(*handles)
            return
        super()._execute_child(*given)

    def _spawn(
        self,
        program: Any,
        argv: list[Any],
        close_fds: bool,
        cwd: Any,
        env: Any,
        handles: tuple[int, ...],
        how: tuple[Any, ...],
    ) -> None:
        """Make the child; OSError if it does not come to run the program."""
        restore_signals, gid, gids, uid, umask, new_session, process_group = how
        read, write = os.pipe()  # the child writes there if it can't
        try:
            if write < 3:  # where the child's own standard files come to be
                low = write
                write = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 3)
                os.close(low)
            variables = _encoded(env)
            pid = subprocess._fork_exec(  # type: ignore[attr-defined]
                argv,
                _files(program, env),
                close_fds,
                (write,),
                cwd,
                variables,
                *handles,
                read,
                write,
                restore_signals,
                new_session,
                process_group,
                gid,
                gids,
                uid,
                umask,
                None,
                *_allow_vfork(),
            )
            os.close(write)
            write = -1
            said = b""
            while part := os.read(read, 1000):  # it writes piece by piece
                said += part
        finally:
            os.close(read)
            if write >= 0:
                os.close(write)
        if said:
            with contextlib.suppress(ChildProcessError):  # SIGCHLD is ignored
                os.waitpid(pid, 0)
            raise _spawn_error(said, program, cwd)
        self.pid = pid
        self._child_created = True


_SPAWNS = _is_known(_Popen)
_execute_child = _Popen._execute_child


# ---- the transport ----


class SubprocessTransport(_UnixSubprocessTransport):  # type: ignore[misc]
    """asyncio's transport of a child, spawned by the Popen above."""

    def _start(
        self,
        args: Any,
        shell: bool,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        bufsize: int,
        **keywords: Any,
    ) -> None:
        self._loop._send_waiting()
        popen = Popen if _SPAWNS and subprocess.Popen is _Popen else subprocess.Popen
        self._proc = popen(
            args,
            shell=shell,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            universal_newlines=False,
            bufsize=bufsize,
            **keywords,
        )

    def _let_writes_go(self) -> None:
        """Send what waits, so that the child's end comes after it."""
        if self._loop is not None:
            self._loop._send_waiting()

    def send_signal(self, signal: int) -> None:
        """Send a signal to the child; ProcessLookupError once all is over."""
        self._let_writes_go()
        super().send_signal(signal)

    def terminate(self) -> None:
        """Send SIGTERM; ProcessLookupError once all is over."""
        self._let_writes_go()
        super().terminate()

    def kill(self) -> None:
        """Send SIGKILL; ProcessLookupError once all is over."""
        self._let_writes_go()
        super().kill()


# ---- the end ----


def _reap(process: Any) -> int | None:
    """Return the exit code of a child; None if it has not ended.

    Popen's own wait() in another thread, or poll(), may have it already.
    """
    with process._waitpid_lock:
        if process.returncode is None:
            try:
                pid, status = os.waitpid(process.pid, os.WNOHANG)
            except ChildProcessError:
                logger.warning(
                    "child process pid %d exit status already read: "
                    " will report returncode 255",
                    process.pid,
                )
                process.returncode = 255
            else:
                if pid == 0:
                    return None
                process.returncode = os.waitstatus_to_exitcode(status)
        code: int = process.returncode
        return code


class _Exit:
    """A pidfd and what to do when it is readable; closes it when dropped."""

    def __init__(self, loop: Any, transport: Any, process: Any) -> None:
        self._fd = -1
        self._fd = os.pidfd_open(process.pid)
        self._loop = loop
        self._transport = transport
        self._process = process

    def watch(self) -> None:
        """Have the loop call this at the child's end."""
        self._loop._add_reader(self._fd, self)
        if sys.version_info < (3, 12):
            _held[id(self)] = self._loop, self._transport, self._process

    def __call__(self) -> None:
        try:
            code = _reap(self._process)
        except BaseException:
            self._end()
            raise
        if code is None:
            return
        self._end()
        loop, exited = self._loop, self._transport._process_exited
        # Each asyncio leaves as many turns for what else the child has caused.
        if sys.version_info >= (3, 14):
            exited(code)
        elif sys.version_info >= (3, 12):
            loop.call_soon(exited, code)
        else:
            loop.call_soon(loop.call_soon, exited, code)

    def _end(self) -> None:
        self._loop._remove_reader(self._fd)
        self.close()

    def close(self) -> None:
        """Give the pidfd back."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        if sys.version_info < (3, 12):
            _held.pop(id(self), None)

    if sys.version_info >= (3, 12):
        __del__ = close
    else:

        def __del__(self) -> None:
            if self._fd >= 0:
                self.close()
                # no thread begins any more once the interpreter ends
                if self._loop.is_closed() and not sys.is_finalizing():
                    given = self._loop, self._transport, self._process
                    threading.Thread(target=_outlive, args=given, daemon=True).start()


def _outlive(loop: Any, transport: Any, process: Any) -> None:
    """Hold the transport of a child that its loop left behind: it kills as it dies.

    So does the thread that asyncio has for each child up to 3.11.
    """
    process.wait()
    if loop.is_closed():
        logger.warning("Loop %r that handles pid %r is closed", loop, process.pid)


if sys.version_info < (3, 12):
    # Children that run, of loops that nobody may hold: (loop, transport, Popen object).
    _held: dict[int, Any] = {}

    @atexit.register
    def _outlive_all() -> None:
        for given in list(_held.values()):
            threading.Thread(target=_outlive, args=given, daemon=True).start()


class Processes:
    """The loop's transports of pipes and of child processes."""

    def _make_read_pipe_transport(
        self: Any, pipe: Any, protocol: Any, waiter: Any = None, extra: Any = None
    ) -> Any:
        if unix_events._UnixReadPipeTransport is not _UnixReadPipeTransport:  # type: ignore[attr-defined]
            return _AsyncioLoop._make_read_pipe_transport(
                self, pipe, protocol, waiter, extra
            )
        return _core._make_read_pipe(self, pipe, protocol, waiter, extra)

    def _make_write_pipe_transport(
        self: Any, pipe: Any, protocol: Any, waiter: Any = None, extra: Any = None
    ) -> Any:
        if unix_events._UnixWritePipeTransport is not _UnixWritePipeTransport:  # type: ignore[attr-defined]
            return _AsyncioLoop._make_write_pipe_transport(
                self, pipe, protocol, waiter, extra
            )
        return _core._make_write_pipe(self, pipe, protocol, waiter, extra)

    def _may_watch(self: Any) -> bool:
        """Tell whether nobody has asked for a child watcher of his own."""
        if unix_events._UnixSubprocessTransport is not _UnixSubprocessTransport:  # type: ignore[attr-defined]
            return False
        if sys.version_info >= (3, 14):
            loop: Any = self
            return type(loop._watcher) in _WATCHERS
        policy: Any = events.get_event_loop_policy()
        if type(policy).get_child_watcher is not _DefaultPolicy.get_child_watcher:
            return False
        watcher = policy._watcher
        return watcher is None or type(watcher) in _WATCHERS

    async def _make_subprocess_transport(
        self: Any,
        protocol: Any,
        args: Any,
        shell: bool,
        stdin: Any,
        stdout: Any,
        stderr: Any,
        bufsize: int,
        extra: Any = None,
        **keywords: Any,
    ) -> Any:
        given = protocol, args, shell, stdin, stdout, stderr, bufsize
        if not self._may_watch():
            return await _AsyncioLoop._make_subprocess_transport(
                self, *given, extra, **keywords
            )
        waiter = self.create_future()
        transport = SubprocessTransport(
            self, *given, waiter=waiter, extra=extra, **keywords
        )
        self._watch_child(transport)
        try:
            await waiter
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            transport.close()
            await asyncio.shield(transport._wait())
            raise
        return transport

    def _watch_child(self: Any, transport: Any) -> None:
        try:
            _Exit(self, transport, transport._proc).watch()
        except OSError:
            # No pidfd, for whatever reason: the child must be waited for.
            _ThreadedChildWatcher().add_child_handler(
                transport.get_pid(), self._child_watcher_callback, transport
            )
