"""What fastloop.blocked, .tasks and .top share: asking a process, and refusals."""

import argparse
import contextlib
import json
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from traceback import FrameSummary
from typing import Any

from . import _outside, _watch
from ._coroutines import clean
from ._version import __version__

NOTHING = 1
NO_PROCESS, ANOTHER_USER, NO_FASTLOOP, NO_WATCH, ANOTHER_VERSION = range(3, 8)
SILENT, GIL_TAKEN, NO_RECORDING = 8, 9, 10
_AGAIN_S = 0.05
_TRIES = 6
_ANSWER_S = 8
_MAX_ANSWER = 1 << 26
HOW = (
    "start it with FASTLOOP_WATCH=0.1 or python -m fastloop --watch 0.1,"
    " or have it call fastloop.watch(0.1)"
)


class Refusal(Exception):
    """There is no answer: the exit code and the sentence that says why."""

    def __init__(self, code: int, text: str):
        super().__init__(text)
        self.code = code


def parser(name: str, about: str) -> argparse.ArgumentParser:
    """Return the beginning of a command line."""
    made = argparse.ArgumentParser(
        f"python -m fastloop.{name}",
        description=about,
        epilog="exit codes: 2 wrong usage, 3 no such process, 4 another user's,"
        " 5 no fastloop in it, 6 no watch on, 7 another version, 8 no answer,"
        " 9 code in C keeps the GIL, 10 no timeline can be recorded",
    )
    made.add_argument("pid", type=int, metavar="PID", help="of a process of yours")
    made.add_argument("--json", action="store_true", help="all that is known, as JSON")
    return made


def run(command: Callable[[], int]) -> int:
    """Return a command's exit code; prints why it was refused."""
    try:
        code = command()
        sys.stdout.flush()
        return code
    except Refusal as refusal:
        print(f"fastloop: {refusal}", file=sys.stderr)
        return refusal.code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        return 130


# ---- asking ----


def ask(pid: int, question: str) -> dict[str, Any]:
    """Return what the process answers. Refusal if it does not."""
    for left in reversed(range(_TRIES)):
        try:
            return _asked(pid, question)
        except Refusal as refusal:
            # between the two sides of a fork it has none for a moment
            if refusal.code != NO_WATCH:
                raise
            if not left:
                _let_in(pid, refusal)
        time.sleep(_AGAIN_S)
    return _asked(pid, question)


def _asked(pid: int, question: str) -> dict[str, Any]:
    answer, columns = _exchange(pid, _find(pid), question), b""
    if answer.startswith(b"{"):
        answer, _, columns = answer.partition(b"\n")
    try:
        found = _read(answer)
        return {**found, "columns": columns} if columns else found
    except (KeyError, RecursionError, ValueError):
        raise Refusal(
            SILENT, f"process {pid} does not answer to the end: it was cut short"
        ) from None


def _let_in(pid: int, refusal: Refusal) -> None:
    """Have the process open a socket, where Python (3.14) and the kernel let us."""
    if sys.version_info < (3, 14):
        raise refusal
    script = f"{_home(pid)}/_let_in.py"
    # the file stays: it may be read as late as the main thread goes on
    try:
        sys.remote_exec(pid, script)
    except (OSError, RuntimeError) as error:
        text = f"{refusal} (it cannot be made to open one: {error})"
        raise Refusal(NO_WATCH, text) from None
    for _ in range(_TRIES * 10):
        time.sleep(_AGAIN_S)
        with contextlib.suppress(Refusal):
            _find(pid)
            return
    text = f"{refusal} (it has been asked to open one, but its main thread is held up)"
    raise Refusal(NO_WATCH, text)


def _status(pid: int) -> dict[str, list[str]]:
    try:
        with open(f"/proc/{pid}/status", errors="replace") as file:
            rows = (line.partition(":") for line in file)
            found = {key: value.split() for key, _, value in rows}
    except (FileNotFoundError, ProcessLookupError):
        found = {"State": ["X"]}
    if pid <= 0 or found["State"][0] in "XZ":
        raise Refusal(NO_PROCESS, f"there is no process {pid}")
    return found


def _home(pid: int) -> str | None:
    """Return where the fastloop of a process is, as that one sees it, or None."""
    try:
        with open(f"/proc/{pid}/maps", errors="replace") as file:
            lines = file.readlines()
    except OSError:
        return os.path.dirname(__file__)  # for all that is known
    if not lines:
        raise Refusal(NO_PROCESS, f"process {pid} has no program any more: it ends")
    for line in lines:
        if "/fastloop/_core." in line:
            return os.path.dirname(line.split(maxsplit=5)[5])
    return None


def _sockets(pid: int, uids: list[int], inner: str) -> Iterator[str]:
    """Yield where the process's socket is, as seen from here or from within it."""
    for root in ("", f"/proc/{pid}/root"):
        for uid in uids:
            for folder in _outside.folders(uid):
                with contextlib.suppress(OSError):
                    if _outside.is_private(root + folder, uid):
                        for name in os.listdir(root + folder):
                            if name.startswith(f"{inner}-"):
                                yield f"{root}{folder}/{name}"


def _find(pid: int) -> str:
    status = _status(pid)
    uid, user = int(status["Uid"][1]), os.geteuid()
    if user not in (0, uid):
        raise Refusal(
            ANOTHER_USER, f"process {pid} is another user's ({uid}): only that one asks"
        )
    inner = status.get("NSpid", [str(pid)])[-1]
    for path in _sockets(pid, list({uid: 0, user: 0}), inner):
        version = os.path.basename(path).partition("-")[2]
        if version != __version__:
            raise Refusal(
                ANOTHER_VERSION,
                f"process {pid} has fastloop {clean(version)}, this is {__version__}:"
                " use the Python that it runs on",
            )
        return path
    if _home(pid) is None:
        raise Refusal(NO_FASTLOOP, f"there is no fastloop in process {pid}")
    text = f"process {pid} has fastloop, but no watch is on there: {HOW}"
    if path := _removed(pid, inner):
        text = (
            f"a watch is on in process {pid}, but its socket {clean(path)} was removed:"
            " it must call fastloop.watch() again"
        )
    raise Refusal(NO_WATCH, text)


def _removed(pid: int, inner: str) -> str:
    """Return the path at which the process listens though nothing is there, or ""."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/net/unix") as file:
        for line in file:
            path = line.rstrip("\n").partition("/")[2]
            if f"/{path}".rpartition("/")[2] == f"{inner}-{__version__}":
                return f"/{path}"
    return ""


def _exchange(pid: int, path: str, question: str) -> bytes:
    got = bytearray()
    with socket.socket(socket.AF_UNIX) as sock:
        # so that connect() waits for its turn, too
        for option in socket.SO_SNDTIMEO, socket.SO_RCVTIMEO:
            sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("2l", _ANSWER_S, 0))
        try:
            sock.connect(path)
            peer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            if struct.unpack("3i", peer)[0] != pid:
                raise ConnectionRefusedError
            sock.sendall(question.encode())
            while len(got) < _MAX_ANSWER and (data := sock.recv(1 << 16)):
                got += data
            if not got:
                raise ConnectionResetError  # it ends, or forks
        except (ConnectionError, FileNotFoundError):
            raise Refusal(
                NO_WATCH, f"process {pid} has no watch on any more: {HOW}"
            ) from None
        except OSError:
            got.clear()
    if not got:
        raise Refusal(SILENT, f"process {pid} does not answer")
    return bytes(got)


def record(pid: int, seconds: float, path: str) -> int:
    """Write a timeline of so many seconds of the process, fewer after a Ctrl-C."""
    from . import _timeline, _timeline_outside

    with contextlib.suppress(KeyboardInterrupt):
        _begun(pid, ask(pid, "r"))
        time.sleep(seconds)
    answer = _begun(pid, ask(pid, "e"))
    try:
        recording = _timeline_outside.recording_of(answer)
    except (KeyError, ValueError):
        raise Refusal(SILENT, f"process {pid} does not answer to the end") from None
    _timeline.write(recording, path)
    return 0


def _begun(pid: int, answer: dict[str, Any]) -> dict[str, Any]:
    if not answer["gil"]:
        raise Refusal(GIL_TAKEN, without_gil(pid, answer))
    if answer["error"]:
        raise Refusal(NO_RECORDING, f"process {pid}: {answer['error']}")
    return answer


# ---- answers ----


def _read(answer: bytes) -> dict[str, Any]:
    """Return an answer as one shape, whoever has written it."""
    text = answer.decode("utf-8", "replace")
    if text.startswith("{"):
        found: dict[str, Any] = json.loads(text)
        return {"gil": True, **found}
    head, *parts = text.split("\nloop ")
    loops = []
    for part in parts:
        first, _, dump = part.partition("\n")
        first, _, call = first.partition(" call=")
        loop: dict[str, Any] = dict(word.split("=") for word in first.split())
        for key, value in loop.items():
            loop[key] = float(value) if key == "busy_s" else int(value)
        loop["stack"] = _outside.plain(_watch._stack_in(dump))
        kind = "C" if loop.pop("awake") else "off CPU"
        if loop.pop("gil"):
            loop.update(kind=f"{kind} with the GIL", call=call)
        loops.append({"name": "", **loop})
    return {"gil": False, "limit_s": float(head.partition("=")[2]), "loops": loops}


def _kind(pid: int, thread: int) -> str:
    """Return what a thread that leaves the GIL to others does."""
    for _ in range(3):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/stat") as f:
            if f.read().rpartition(")")[2].split()[0] == "R":
                return "Python"
        time.sleep(0.003)
    return "off CPU"


def blocks(pid: int, answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the loops of an answer that a step blocks, each with its kind."""
    found = [loop for loop in answer["loops"] if loop["busy_s"]]
    for loop in found:
        if "kind" not in loop:
            loop["kind"], loop["call"] = _kind(pid, loop["thread"]), ""
    return found


def shown(block: dict[str, Any]) -> str:
    """Return some lines about a block."""
    kind = block["kind"] + (f", in {block['call']}" if block["call"] else "")
    who = clean(block["name"] or f"a step in thread {block['thread']}")
    lines = [f"{who} has blocked the loop for {block['busy_s']:.3f} s ({kind})"]
    for filename, number, name in block["stack"]:
        lines += map(clean, at(filename, number, name).split("\n"))
    if not block["stack"]:
        lines.append("  (its stack cannot be read without the GIL)")
    return "\n".join(lines)


def without_gil(pid: int, answer: dict[str, Any]) -> str:
    """Return what is known of a process whose Python could not be asked."""
    lines = [f"process {pid} did not give the GIL up within a second; its loops:"]
    for loop in answer["loops"]:
        keys = "iterations", "polls", "steps", "wakeups", "ready", "timers"
        figures = ", ".join(f"{loop[key]} {key}" for key in keys)
        lines.append(f"in thread {loop['thread']}: {figures}")
    return "\n".join([*lines, *map(shown, blocks(pid, answer))])


def place(frame: list[Any]) -> str:
    """Return a frame in short."""
    return f"{frame[0]}:{frame[1]} in {frame[2]}"


def at(filename: str, number: int, name: str) -> str:
    """Return a frame as a traceback shows it, with its line if that can be read."""
    frame = FrameSummary(filename, number, name, lookup_line=False)
    return _watch._shown(frame)
