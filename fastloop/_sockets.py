"""The socket that a connection shows whose writes may be joined.

And what asyncio's own connection takes for something to write.
"""

import asyncio.selector_events
import asyncio.trsock
import collections
import types
import weakref
from typing import Any

_Asyncios = asyncio.trsock.TransportSocket
_writelines: Any = asyncio.selector_events._SelectorSocketTransport.writelines  # type: ignore[attr-defined]
_slot: Any = _Asyncios.__dict__["_sock"]


class TransportSocket(_Asyncios):
    """asyncio's, but what waits to be joined is sent before a method is called.

    Once a method gives out the descriptor, or the socket itself, others may send
    there, and the connection joins no more. New methods of asyncio's get at the
    socket by _sock, and so count among these.
    """

    __slots__ = ("_transport",)

    def __init__(self, sock: Any, transport: Any) -> None:
        _slot.__set__(self, sock)
        self._transport = weakref.ref(transport)

    def _after_writes(self) -> Any:
        transport = self._transport()
        if transport is not None:
            transport._flush()
        return _slot.__get__(self)

    @property
    def _sock(self) -> Any:
        transport = self._transport()
        if transport is not None:
            transport._share()
        return _slot.__get__(self)

    @property
    def family(self) -> Any:
        return _slot.__get__(self).family

    @property
    def type(self) -> Any:
        return _slot.__get__(self).type

    @property
    def proto(self) -> Any:
        return _slot.__get__(self).proto

    def get_inheritable(self) -> Any:
        return self._after_writes().get_inheritable()

    def getpeername(self) -> Any:
        return self._after_writes().getpeername()

    def getsockname(self) -> Any:
        return self._after_writes().getsockname()

    def getsockopt(self, *args: Any, **kwargs: Any) -> Any:
        return self._after_writes().getsockopt(*args, **kwargs)

    def setsockopt(self, *args: Any, **kwargs: Any) -> None:
        self._after_writes().setsockopt(*args, **kwargs)

    def shutdown(self, how: int) -> None:
        self._after_writes().shutdown(how)


def writelines_drops_false() -> bool:
    """Tell whether asyncio's writelines() leaves out pieces that are false."""
    transport = types.SimpleNamespace(
        _eof=False, _empty_waiter=None, _conn_lost=0, _buffer=collections.deque()
    )
    try:
        _writelines(transport, [None])
    except TypeError:
        return False
    return True
