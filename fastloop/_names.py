"""Names: what needs no look-up is answered at once.

asyncio gives every name to the executor, numbers too. `socket.getaddrinfo` itself
answers here as there, so the answer is the same in every combination of arguments;
only the thread is not.
"""

import asyncio
import re
import socket
import sys
from typing import Any

# As they were at import: what replaces them may block, and gets its thread.
_getaddrinfo = socket.getaddrinfo
_getnameinfo = socket.getnameinfo
# Programs put our loop in the place of asyncio.SelectorEventLoop.
_getaddrinfo_in_executor = asyncio.SelectorEventLoop.getaddrinfo
_getnameinfo_in_executor = asyncio.SelectorEventLoop.getnameinfo

_NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
_DIGITS = re.compile(r"[0-9]*", re.ASCII)
# One to four numbers, decimal, octal or hexadecimal, as inet_aton takes them.
_IPV4 = re.compile(r"(?:[0-9a-fA-FxX]+\.){0,3}[0-9a-fA-FxX]+", re.ASCII)

# Known answers.
_answers: dict[Any, list[Any]] = {}


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _is_numeric_host(host: Any) -> bool:
    """Tell whether the resolver takes host as a number, or as no host at all."""
    if host is None:
        return True
    if not isinstance(host, str | bytes):
        return False
    host = _text(host)
    try:
        if ":" in host:
            socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
            return True
        if _IPV4.fullmatch(host):
            socket.inet_aton(host)
            return True
    except (OSError, ValueError):
        pass
    return False


def _is_numeric_port(port: Any) -> bool:
    """Tell whether port is no service to be looked up."""
    if isinstance(port, str | bytes):
        return _DIGITS.fullmatch(_text(port)) is not None
    return port is None or isinstance(port, int)


class Names:
    """getaddrinfo and getnameinfo of the loop."""

    async def getaddrinfo(
        self: Any,
        host: str | bytes | None,
        port: str | bytes | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        """Resolve a host and a port, as socket.getaddrinfo with the same arguments.

        Raises what that raises: socket.gaierror if there is no such name.
        """
        key = host, port, family, type, proto, flags
        usual = socket.getaddrinfo is _getaddrinfo
        plain = usual and host.__class__ is str and port.__class__ is int
        known = _answers.get(key) if plain else None
        if known and not self.get_debug():
            self._check_closed()
            # "|" refuses 0.0, too; flags are 0
            numbers = family | 0, type | 0, proto | flags
            sys.audit("socket.getaddrinfo", host, port, *numbers)
            return known[:]
        if usual and _is_numeric_host(host) and _is_numeric_port(port):
            self._check_closed()
            resolve = self._getaddrinfo_debug if self.get_debug() else _getaddrinfo
            found: list[Any] = resolve(*key)
            if plain and not flags and "%" not in str(host):
                if len(_answers) > 63:
                    _answers.clear()
                _answers[key] = found[:]
            return found
        return await _getaddrinfo_in_executor(
            self, host, port, family=family, type=type, proto=proto, flags=flags
        )

    async def getnameinfo(self: Any, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """Name an address, as socket.getnameinfo; raises what that raises."""
        if (
            isinstance(flags, int)
            and flags & _NUMERIC == _NUMERIC
            and socket.getnameinfo is _getnameinfo
        ):
            self._check_closed()
            return _getnameinfo(sockaddr, flags)
        return await _getnameinfo_in_executor(self, sockaddr, flags)
