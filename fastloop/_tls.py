"""TLS: asyncio's protocol with its records in C, and when it is asyncio's alone.

The class below is asyncio.sslproto.SSLProtocol for all that happens once per
connection; what happens per record is in C (`_core._Tls`) and drives the OpenSSL that
the ssl module has loaded, on the SSL of the connection's own ssl.SSLObject.

asyncio's class itself is used, as in asyncio's loop, where that cannot be right:

- FASTLOOP_TLS=stdlib in the environment;
- an ssl module whose OpenSSL cannot be found at run time (linked statically, another
  library than OpenSSL), or whose objects do not look as expected;
- a context that makes objects of a class of its own (sslobject_class, wrap_bio), or
  that has callbacks whose exceptions their methods hand on (_msg_callback,
  keylog_filename);
- asyncio.sslproto or ssl.SSLObject with methods that somebody has replaced.
"""

import asyncio
import contextlib
import os
import types
from asyncio import base_events, sslproto
from typing import Any

from . import _core

ssl: Any
_ssl: Any
try:
    import _ssl
    import ssl
except ImportError:
    ssl = None

# What C does in place of asyncio's methods, and what they call.
_DONE_IN_C: tuple[Any, ...] = (
    (
        sslproto.SSLProtocol,
        (
            "_control_app_writing",
            "_control_ssl_reading",
            "_do_read",
            "_do_read__copied",
            "_do_write",
            "_get_app_transport",
            "_get_read_buffer_size",
            "_get_write_buffer_size",
            "_process_outgoing",
            "_write_appdata",
            "buffer_updated",
            "get_buffer",
        ),
    ),
    (sslproto._SSLProtocolTransport, ("__init__", "write")),
)
if ssl is not None:
    _DONE_IN_C += ((ssl.SSLObject, ("read", "write")),)

_FLUSHING = sslproto.SSLProtocolState.FLUSHING
_DROPPED_AT_ONCE = 16 * 1024

_stock: Any = sslproto.SSLProtocol
_as_found = tuple(
    (vars(cls), name, vars(cls).get(name))
    for cls, names in _DONE_IN_C
    for name in names
)


class _SSLProtocolTransport(_core._TlsTransport, sslproto._SSLProtocolTransport):
    """asyncio's transport of TLS, which writes in C."""

    def _force_close(self: Any, exc: BaseException | None) -> None:
        self._closed = True
        if self._ssl_protocol is not None:
            self._ssl_protocol._abort(exc)


class SSLProtocol(_core._Tls, sslproto.SSLProtocol):
    """asyncio's protocol of TLS, with its records in C.

    The ends of handshake and connection are asyncio's too, but for what it gets wrong.
    """

    _flushing = False

    def connection_lost(self: Any, exc: BaseException | None) -> None:
        """Tell the protocol above in the context of reading, whoever ended it."""
        self._connection_lost(exc)

    def _on_handshake_complete(self: Any, handshake_exc: Any) -> None:
        """Read what came right behind it when whoever waits for TLS has it."""
        self._reads_later = True
        try:
            _stock._on_handshake_complete(self, handshake_exc)
        finally:
            self._reads_later = False

    def _start_shutdown(self: Any) -> None:
        """End also what the peer has ended while reading was paused, and still is.

        What it was resumed by goes on by itself.
        """
        _stock._start_shutdown(self)
        if self._state is _FLUSHING and not self._flushing and self._app_reading_paused:
            self._app_transport._closed = True
            self._do_flush()

    def _do_flush(self: Any) -> None:
        if not self._flushing:
            self._flushing = True
            self._reads_later = False
            try:
                _stock._do_flush(self)
            finally:
                self._flushing = False

    def _do_shutdown(self: Any) -> None:
        """Drop what the peer still sends, until it answers or time is up."""
        if not self._eof_received:
            try:
                self._drop_plain_text()
            except ssl.SSLError as exc:
                self._on_shutdown_complete(exc)
                return
        _stock._do_shutdown(self)

    def _drop_plain_text(self: Any) -> None:
        with contextlib.suppress(*sslproto.SSLAgainErrors, ssl.SSLZeroReturnError):
            while self._sslobj.read(_DROPPED_AT_ONCE):
                pass
        self._control_ssl_reading()

    def _abort(self: Any, exc: BaseException | None = None) -> None:
        """Hand the error on; the one of 3.11 and 3.12 takes none."""
        self._set_state(sslproto.SSLProtocolState.UNWRAPPED)
        if self._transport is not None:
            if exc is None:
                self._transport.abort()
            else:
                self._transport._force_close(exc)

    def _get_app_transport(self) -> Any:
        if self._app_transport is None:
            if self._app_transport_created:
                raise RuntimeError("Creating _SSLProtocolTransport twice")
            self._app_transport = _SSLProtocolTransport(self._loop, self)
            self._app_transport_created = True
        return self._app_transport


def _find_openssl() -> bool:
    """Tell whether connections can be driven from C at all."""
    if ssl is None or os.environ.get("FASTLOOP_TLS") == "stdlib":
        return False
    path = getattr(_ssl, "__file__", None)
    if path is None or not ssl.OPENSSL_VERSION.startswith("OpenSSL "):
        return False
    return _core._tls_set_up(
        sslproto, _ssl._SSLSocket, path, ssl.OPENSSL_VERSION_NUMBER
    )


_found: bool | None = None


def _drives(context: Any) -> bool:
    """Tell whether connections of that context, or of a default one, are for C."""
    global _found
    if _found is None:
        _found = _find_openssl()
    if not _found or sslproto.SSLProtocol is not _stock:
        return False
    for namespace, name, value in _as_found:
        if namespace.get(name) is not value:
            return False
    return not context or (
        isinstance(context, ssl.SSLContext)
        and type(context).wrap_bio is ssl.SSLContext.wrap_bio
        and context.sslobject_class is ssl.SSLObject
        and context._msg_callback is None
        and context.keylog_filename is None
    )


def make_protocol(
    loop: Any, app_protocol: Any, sslcontext: Any, *args: Any, **options: Any
) -> Any:
    """Return a new SSLProtocol: one in C, or asyncio's own. The rest as asyncio's."""
    if _drives(sslcontext):
        protocol: Any = SSLProtocol(loop, app_protocol, sslcontext, *args, **options)
        if type(protocol._sslobj) is ssl.SSLObject and protocol._adopt():
            return protocol
        protocol._app_transport._closed = True  # nobody will see it
    return sslproto.SSLProtocol(loop, app_protocol, sslcontext, *args, **options)


_stock_start_tls = base_events.BaseEventLoop.start_tls


def _make_for_start_tls(
    loop: Any,
    app_protocol: Any,
    sslcontext: Any,
    waiter: Any,
    server_side: Any,
    *args: Any,
    **options: Any,
) -> Any:
    protocol = make_protocol(
        loop, app_protocol, sslcontext, waiter, server_side, *args, **options
    )
    # Late releases do this themselves, and then find nothing.
    if server_side and isinstance(app_protocol, asyncio.StreamReaderProtocol):
        reader = getattr(app_protocol, "_stream_reader", None)
        if reader is not None and reader._buffer:
            protocol._incoming.write(reader._buffer)
            reader._buffer.clear()
    return protocol


def start_tls(*args: Any, **options: Any) -> Any:
    """Return the coroutine of the running Python's start_tls, with the protocol above.

    Its code is asyncio's, as it is; the module that it finds SSLProtocol in is not.
    """
    stock = base_events.BaseEventLoop.start_tls
    if stock is not _stock_start_tls:
        return stock(*args, **options)
    names = {**vars(sslproto), "SSLProtocol": _make_for_start_tls}
    function = types.FunctionType(
        stock.__code__,
        {**vars(base_events), "sslproto": types.SimpleNamespace(**names)},
        stock.__name__,
        stock.__defaults__,
        stock.__closure__,
    )
    function.__kwdefaults__ = stock.__kwdefaults__
    return function(*args, **options)
