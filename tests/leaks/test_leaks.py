"""Nothing grows when fastloop is used over and over, and every method is used."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastloop
from fastloop import _core
from tests.leaks import measure
from tests.leaks.scenarios import SCENARIOS

HERE = Path(__file__).resolve().parent


@pytest.mark.long
@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.timeout(120)
def test_nothing_grows(name):
    done = subprocess.run(
        [sys.executable, HERE / "measure.py", name],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.stdout, done.stderr) == (f"{name} flat\n", "")


def test_a_leak_is_seen():
    kept = []
    assert measure.growth(lambda: kept.append([]))["objects"] > 0
    assert measure.growth(lambda: kept.append(object()))["blocks"] > 0
    assert measure.growth(lambda: kept.append(open("/dev/null")))["fds"] > 0  # noqa: SIM115
    for each in kept:
        getattr(each, "close", bool)()


def test_what_does_not_grow_is_not_reported():
    assert measure.growth(lambda: [object()]) == {}


# Called by the loop itself, by the running Python's own code over it, or by tests of a
# debug build.
CALLED_INSIDE = re.compile(
    r"_(add_callback.*|add_writer|adopt|after_fork|asyncgen_.*|before_fork|call_soon|check_.*"
    r"|close_self_pipe|connection_lost|control_.*|debug_.*|do_read|ensure_fd_.*|fault_.*|handle_signal|listen|loops_run|make_.*"
    r"|pending_tasks|process_events|process_outgoing|read_from_self|remove_writer|run_.*|send_waiting"
    r"|show_socket|signal_fd|start_serving"
    r"|timer_handle_cancelled|tls_set_up|unlist_task|watch_gc|watch_loops|watch_start|watch_stop|watch_take|watched_events|write_appdata"
    r"|write_to_self|_\w+__|AsCompletedIterator|Protocol|Tls|TlsTransport)"
    r"|EventLoop"
)


def public_callables():
    """(where, name) of everything a user can call: functions, types and methods."""
    types = {fastloop.Loop, *(v for v in vars(_core).values() if isinstance(v, type))}
    for name, value in [*vars(_core).items(), *((n, 0) for n in dir(fastloop))]:
        if name in dir(fastloop) or callable(value):
            yield "fastloop", name
    for kind in types:
        for name, value in vars(kind).items():
            if callable(value) or type(value).__name__ == "classmethod":
                yield kind.__name__, name


def test_every_callable_has_a_scenario():
    text = "".join(path.read_text() for path in HERE.glob("scenarios*.py"))
    wanted = {
        (where, name)
        for where, name in public_callables()
        if not CALLED_INSIDE.fullmatch(name)
    }
    assert ("Task", "uncancel") in wanted and ("fastloop", "install") in wanted
    assert [
        f"{where}.{name}"
        for where, name in sorted(wanted)
        if not re.search(rf"\b{name}\b", text)
    ] == []
