"""Where each name of Loop comes from, and that asyncio's code misses none."""

import abc
import asyncio
import inspect
import pathlib
import re
import sys
import threading
import types
from asyncio import base_events, selector_events, unix_events

import pytest

from tests.support import run_once

# What must never be asyncio's code.
OURS = [
    "run_forever",
    "run_until_complete",
    "stop",
    "close",
    "call_soon",
    "call_soon_threadsafe",
    "call_later",
    "call_at",
    "time",
    "create_future",
    "create_task",
    "set_task_factory",
    "get_task_factory",
    "get_exception_handler",
    "set_exception_handler",
    "default_exception_handler",
    "call_exception_handler",
    "add_reader",
    "remove_reader",
    "add_writer",
    "remove_writer",
    "add_signal_handler",
    "remove_signal_handler",
    "is_running",
    "is_closed",
    "get_debug",
    "set_debug",
    "_add_reader",
    "_remove_reader",
    "_add_writer",
    "_remove_writer",
    "_call_soon",
    "_add_callback",
    "_run_once",
    "_process_events",
    "_timer_handle_cancelled",
    "_write_to_self",
    "_read_from_self",
    "_make_self_pipe",
    "_close_self_pipe",
    "_handle_signal",
    "__init__",
]

# What runs per event or callback: in C, whatever else may be in Python.
IN_C = [
    "run_forever",
    "run_until_complete",
    "stop",
    "call_soon",
    "call_soon_threadsafe",
    "call_later",
    "call_at",
    "time",
    "create_future",
    "create_task",
    "add_reader",
    "remove_reader",
    "add_writer",
    "remove_writer",
    "is_running",
    "is_closed",
    "get_debug",
    "_add_reader",
    "_remove_reader",
    "_add_writer",
    "_remove_writer",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_recvfrom_into",
    "sock_sendall",
    "sock_sendto",
    "sock_connect",
    "sock_accept",
    "sock_sendfile",
]

ASYNCIOS = {base_events.BaseEventLoop, asyncio.AbstractEventLoop}
ASYNCIOS |= set(asyncio.SelectorEventLoop.__mro__) - {object}


@pytest.fixture
def kind(fast_loop):
    return type(fast_loop)


def home(kind, name):
    """The class that a name of this class resolves in."""
    return next((cls for cls in kind.__mro__ if name in vars(cls)), None)


def is_c(kind, name):
    value = vars(home(kind, name))[name]
    return isinstance(
        value,
        types.MethodDescriptorType
        | types.WrapperDescriptorType
        | types.ClassMethodDescriptorType,
    )


def test_the_loop_is_asyncios_too(kind):
    assert issubclass(kind, asyncio.SelectorEventLoop)


@pytest.mark.parametrize("name", OURS)
def test_not_asyncios_code(kind, name):
    cls = home(kind, name)
    if cls is None:
        # A method that this version's asyncio does not have either.
        assert not hasattr(asyncio.SelectorEventLoop, name)
        return
    if home(asyncio.SelectorEventLoop, name) is None:
        return
    assert cls not in ASYNCIOS, f"{name} is {cls.__qualname__}'s"


@pytest.mark.parametrize("name", IN_C)
def test_in_c(kind, name):
    assert is_c(kind, name)


def test_what_is_inherited_is_listed(kind):
    """Each method that resolves to asyncio's code is in the list, and no other."""
    from fastloop._loop import INHERITED

    inherited = {
        name
        for cls in ASYNCIOS
        for name, value in vars(cls).items()
        if isinstance(value, types.FunctionType) and home(kind, name) in ASYNCIOS
    }
    public = {name for name in inherited if not name.startswith("_")}
    listed = set(INHERITED)
    assert public - listed == set(), "inherited, but not listed"
    stale = {
        name
        for name in listed
        if home(kind, name) not in ASYNCIOS
        and home(asyncio.SelectorEventLoop, name) is not None
    }
    assert stale == set(), "listed, but not inherited"
    assert all(isinstance(reason, str) and reason for reason in INHERITED.values())


def test_an_abstract_subclass_makes_no_loop(kind):
    class Abstract(kind, abc.ABC):
        @abc.abstractmethod
        def missing(self):
            pass

    with pytest.raises(TypeError, match=r"abstract class Abstract .*missing"):
        Abstract()


def test_every_method_of_the_abstract_loop_is_there(kind):
    for name in vars(asyncio.AbstractEventLoop):
        if not name.startswith("__"):
            assert home(kind, name) is not asyncio.AbstractEventLoop, name


def test_signatures_are_asyncios(kind):
    """Whatever arguments asyncio's methods take, ours take."""
    for name in vars(asyncio.AbstractEventLoop):
        if name.startswith("_"):
            continue
        theirs = inspect.signature(getattr(asyncio.SelectorEventLoop, name))
        ours = inspect.signature(getattr(kind, name))
        takes_any = any(
            parameter.kind is parameter.VAR_KEYWORD
            for parameter in ours.parameters.values()
        )
        missing = set(theirs.parameters) - set(ours.parameters)
        missing -= {"self", "args", "kwargs"}
        positional = all(
            theirs.parameters[name].kind
            in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
            for name in missing
        )
        assert takes_any or positional, (name, missing)


# ---- the private names that asyncio's inherited code uses ----

FOLDER = pathlib.Path(asyncio.__file__).parent

# Modules whose code runs with our loop: what they ask of it by `loop._x`.
USERS = [
    "base_events",
    "base_futures",
    "base_subprocess",
    "base_tasks",
    "coroutines",
    "events",
    "futures",
    "locks",
    "mixins",
    "queues",
    "runners",
    "selector_events",
    "sslproto",
    "staggered",
    "streams",
    "subprocess",
    "taskgroups",
    "tasks",
    "threads",
    "timeouts",
    "transports",
    "trsock",
    "unix_events",
]

# Names that asyncio's code has and that nothing inherited reaches.
UNREACHED = {
    "_ready": "only read by the scheduling that is ours",
    "_internal_fds": "only counted by the self-pipe that is ours",
    "_ssock": "the self-pipe, replaced by a wake-up in C",
    "_csock": "the self-pipe, replaced by a wake-up in C",
    "_timer_cancelled_count": "only read by the scheduling that is ours",
    "_proactor": "Windows only",
}

# Methods of ours that end in asyncio's own.
PASSED_ON = {"create_connection", "run_in_executor"}


def names_used(source, pattern):
    return set(re.findall(pattern, source))


def loop_names_used():
    """Private names read from a loop, in asyncio's code that we inherit or serve."""
    found = {}
    for module in USERS:
        path = FOLDER / f"{module}.py"
        if not path.exists():
            continue
        pattern = r"\b(?:self\._loop|self\.loop|loop|_loop)\.(_[a-z]\w*)"
        for name in names_used(path.read_text(), pattern):
            found.setdefault(name, set()).add(module)
    return found


def self_names_used(kind):
    """Private names that inherited methods read from `self`, with their users."""
    found = {}
    for cls in ASYNCIOS:
        for method, value in vars(cls).items():
            function = getattr(value, "fget", None) or value
            if not isinstance(function, types.FunctionType):
                continue
            if home(kind, method) is not cls and method not in PASSED_ON:
                continue  # ours is called instead
            source = inspect.getsource(function)
            for name in names_used(source, r"\bself\.(_[a-z]\w*)"):
                found.setdefault(name, set()).add(f"{cls.__name__}.{method}")
    return found


def test_names_that_asyncios_modules_read_from_the_loop(fast_loop):
    missing = {
        name: modules
        for name, modules in loop_names_used().items()
        if not hasattr(fast_loop, name) and name not in UNREACHED
    }
    assert missing == {}


def test_names_that_inherited_methods_read_from_self(fast_loop, kind):
    missing = {
        name: users
        for name, users in self_names_used(kind).items()
        if not hasattr(fast_loop, name) and name not in UNREACHED
    }
    assert missing == {}


def test_the_search_finds_something(kind):
    assert {"_add_reader", "_transports", "_selector"} <= set(loop_names_used())
    assert {"_check_closed", "_asyncgens"} <= set(self_names_used(kind))


def test_nothing_half_there(fast_loop):
    """Names whose absence libraries ask for: a dead copy would mislead them."""
    run = fast_loop.run_until_complete
    run(asyncio.sleep(0))
    for name in ("_ready", "_ssock", "_csock", "_internal_fds"):
        assert not hasattr(fast_loop, name)
        assert name not in vars(fast_loop)
    assert set(vars(fast_loop)) <= {"_thread_id", "_watcher"}


def test_where_asyncio_defines_its_unix_loop():
    """The classes looked through above are those of the running asyncio."""
    assert asyncio.SelectorEventLoop is unix_events.SelectorEventLoop
    assert selector_events.BaseSelectorEventLoop in ASYNCIOS
    assert base_events.BaseEventLoop in ASYNCIOS


# ---- what libraries are known to touch ----


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_closed", False),
        ("_debug", False),
        ("_stopping", False),
        ("_thread_id", None),
        ("_default_executor", None),
        ("_executor_shutdown_called", False),
        ("_exception_handler", None),
        ("_task_factory", None),
        ("_asyncgens_shutdown_called", False),
        ("_current_handle", None),
        ("_coroutine_origin_tracking_enabled", False),
        ("slow_callback_duration", 0.1),
    ],
)
def test_private_state_as_asyncios(loop, name, value):
    assert getattr(loop, name) == value


@pytest.mark.parametrize("name", ["_transports", "_asyncgens", "_signal_handlers"])
def test_private_collections_are_empty(loop, name):
    assert len(getattr(loop, name)) == 0


def test_clock_resolution(loop):
    assert 0 < loop._clock_resolution <= 1e-6


@pytest.mark.skipif(sys.version_info < (3, 13), reason="came with 3.13")
def test_unix_server_sockets(loop):
    assert loop._unix_server_sockets == {}


def test_running_state(loop):
    seen = []
    loop.call_soon(lambda: seen.append((loop._thread_id, loop.is_running())))
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == [(threading.get_ident(), True)]


def test_thread_id_is_in_the_loops_dictionary(loop):
    seen = []
    loop.call_soon(lambda: seen.append(vars(loop)["_thread_id"]))
    run_once(loop)
    assert seen == [threading.get_ident()]
    assert vars(loop).get("_thread_id") is None


def test_stopping_can_be_set(loop):
    """Some servers take a stop back so."""
    seen = []

    def go_on():
        loop._stopping = False
        loop.call_soon(seen.append, "went on")
        loop.call_soon(loop.stop)

    loop.stop()
    assert loop._stopping is True
    loop.call_soon(go_on)
    loop.run_forever()
    assert seen == ["went on"]
    assert loop._stopping is False


def test_the_current_handle_in_debug_mode(loop):
    loop.set_debug(True)
    seen = []
    handle = loop.call_soon(lambda: seen.append(loop._current_handle is handle))
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == [True]
    assert loop._current_handle is None
