"""The event loop: the C core in front of asyncio's own selector loop.

What runs per event is in C (`_core.EventLoop`). What runs once per connection,
process or loop is the running Python's own asyncio code, inherited; what little
of that must differ is in this file and in the mixins.
"""

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any

from . import _core, _tls

if TYPE_CHECKING:
    from ._hooks import TaskFigures
    from ._metrics import Metrics

    # What these override keeps asyncio's signatures: type checkers read those.
    class Connections: ...

    class Names: ...

    class Processes: ...

    class Reports: ...

    class Signals: ...
else:
    from ._connections import Connections
    from ._names import Names
    from ._processes import Processes
    from ._reports import Reports
    from ._signals import Signals
from ._sockets import TransportSocket

if sys.version_info >= (3, 14):
    from asyncio import unix_events
else:
    # The core wants it with the first task, when no fd may be left to read it.
    from . import _registry  # noqa: F401

# What Loop takes over from asyncio as it is, and why.
INHERITED = {
    name: reason
    for reason, names in {
        "runs once per loop or program": (
            "shutdown_asyncgens shutdown_default_executor"
            " set_default_executor _check_callback _check_default_executor"
            " _check_running _check_signal _set_coroutine_origin_tracking"
            " _do_shutdown __del__"
        ),
        "runs once per name looked up": "_getaddrinfo_debug",
        "runs once per connection or server": (
            "create_server create_unix_connection create_unix_server"
            " connect_accepted_socket create_datagram_endpoint"
            " connect_read_pipe connect_write_pipe"
        ),
        "runs once per process": "subprocess_exec subprocess_shell",
        "chooses sock_sendfile or reading and writing, once per file": "sendfile",
    }.items()
    for name in names.split()
}


class _SelectorView:
    """What others ask of loop._selector: which events an fd has, by asyncio's
    transports; and clocks of tests put their own select() in front of this one."""

    def __init__(self, loop: "Loop") -> None:
        self._loop = loop

    def get_key(self, fileobj: Any) -> Any:
        """get_key(fileobj) -> selectors.SelectorKey; KeyError if not watched."""
        import selectors

        events = self._loop._watched_events(fileobj)
        if events is None:
            raise KeyError(f"{fileobj!r} is not registered")
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        return selectors.SelectorKey(fileobj, fd, events, None)

    def select(self, timeout: float | None = None) -> list[Any]:
        """Wait for an fd that is ready, or a call from another thread, for so many
        seconds. Their callbacks are queued; the list is empty if there are none."""
        return [(None, 1)] if self._loop._poll_for(timeout) else []

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "select":
            attributes = self._loop.__dict__
            attributes["_replaced_selector"] = self
            if type(self._loop)._run_once is _core.EventLoop._run_once:
                self._loop._run_once = self._run_once  # type: ignore[method-assign]

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if name == "select":
            attributes = self._loop.__dict__
            attributes.pop("_replaced_selector", None)
            if attributes.get("_run_once") == self._run_once:
                del self._loop._run_once

    def _run_once(self) -> None:
        """An iteration in which the poll is by select(), as in asyncio's loop."""
        self.select(self._loop._poll_timeout())
        _core.EventLoop._run_once(self._loop)


class Loop(
    _core.EventLoop,
    Connections,
    Names,
    Processes,
    Reports,
    Signals,
    asyncio.SelectorEventLoop,
):
    """An asyncio event loop whose scheduling is written in C.

    selector: what subclasses of asyncio's loop hand on; the loop polls by itself and
    does not look at it. Every method of asyncio.AbstractEventLoop is there and behaves
    as in the asyncio of the running Python; stats(), metrics(), reset_metrics(),
    task_figures() and run_nested() are additions.
    """

    _thread_id: int | None = None

    def __repr__(self) -> str:
        text = super().__repr__()
        return f"<fastloop.{text[1:]}" if type(self) is Loop else text

    def metrics(self) -> "Metrics":
        """Return what the loop has done and what waits, as figures of this moment; from
        any thread, without stopping the loop. Walks over the tasks to count them."""
        from ._metrics import make_metrics

        return make_metrics(self._read_metrics(), len(asyncio.all_tasks(self)))

    def task_figures(self) -> "tuple[TaskFigures, ...]":
        """Return what each task that is not done has cost, the dearest first; from any
        thread. Empty unless fastloop.task_figures() has it counted."""
        from ._hooks import figures_of

        return figures_of(self)

    # --- transports: asyncio's connecting and accepting code makes them by these ---

    def _make_socket_transport(
        self,
        sock: Any,
        protocol: Any,
        waiter: Any = None,
        *,
        extra: Any = None,
        server: Any = None,
        context: Any = None,
    ) -> Any:
        self._ensure_fd_no_transport(sock)  # type: ignore[attr-defined]
        transport = _core._make_stream(
            self, sock, protocol, waiter, extra, server, context
        )
        if transport is not None:
            return transport
        keywords = {} if context is None else {"context": context}
        return super()._make_socket_transport(  # type: ignore[misc]
            sock, protocol, waiter, extra=extra, server=server, **keywords
        )

    def _show_socket(self, transport: Any, sock: Any) -> Any:
        return TransportSocket(sock, transport)

    def _make_datagram_transport(
        self,
        sock: Any,
        protocol: Any,
        address: Any = None,
        waiter: Any = None,
        extra: Any = None,
    ) -> Any:
        self._ensure_fd_no_transport(sock)  # type: ignore[attr-defined]
        transport = _core._make_datagram(self, sock, protocol, address, waiter, extra)
        if transport is not None:
            return transport
        return super()._make_datagram_transport(  # type: ignore[misc]
            sock, protocol, address, waiter, extra
        )

    def _make_ssl_transport(
        self,
        rawsock: Any,
        protocol: Any,
        sslcontext: Any,
        waiter: Any = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: Any = None,
        server: Any = None,
        context: Any = None,
        **timeouts: Any,
    ) -> Any:
        tls = _tls.make_protocol(
            self, protocol, sslcontext, waiter, server_side, server_hostname, **timeouts
        )
        self._make_socket_transport(
            rawsock, tls, extra=extra, server=server, context=context
        )
        return tls._app_transport

    def _start_serving(
        self,
        protocol_factory: Any,
        sock: Any,
        sslcontext: Any = None,
        server: Any = None,
        backlog: int = 100,
        *timeouts: Any,
        context: Any = None,
        **named_timeouts: Any,
    ) -> None:
        # 3.15 hands the context as the last positional argument.
        if len(timeouts) > 2:
            context = timeouts[2]
            timeouts = timeouts[:2]
        tls = (sslcontext, server, *timeouts) if sslcontext else None
        usual = type(self)._make_socket_transport is Loop._make_socket_transport
        if (
            usual
            and not self.get_debug()
            and not named_timeouts
            and _core._listen(
                self, sock, protocol_factory, server, backlog, context, tls
            )
        ):
            return
        if context is not None:
            named_timeouts["context"] = context
        super()._start_serving(  # type: ignore[misc]
            protocol_factory,
            sock,
            sslcontext,
            server,
            backlog,
            *timeouts,
            **named_timeouts,
        )

    @property
    def _selector(self) -> _SelectorView | None:
        if self.is_closed():
            return None
        return self.__dict__.get("_replaced_selector") or _SelectorView(self)

    if sys.version_info >= (3, 14):

        @property
        def _watcher(self) -> Any:
            """The child watcher, made when the first child is."""
            watcher = self.__dict__.get("_watcher")
            if watcher is None:
                watcher = (
                    unix_events._PidfdChildWatcher()  # type: ignore[attr-defined]
                    if unix_events.can_use_pidfd()  # type: ignore[attr-defined]
                    else unix_events._ThreadedChildWatcher()  # type: ignore[attr-defined]
                )
                self.__dict__["_watcher"] = watcher
            return watcher


Loop.__module__ = "fastloop"

# Asked for by the core with the first loop, when no fd may be left to read it.
from . import _patched  # noqa: E402, F401

# The parent's epoll is of no use to a forked child, and harmful to the parent.
os.register_at_fork(before=_core._before_fork, after_in_child=_core._after_fork)
