"""as_completed() up to Python 3.12, where asyncio's is a generator."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

from . import _core


def as_completed(fs: Iterable[Any], *, timeout: float | None = None) -> Iterator[Any]:
    yield from _core.as_completed(fs, timeout=timeout)


as_completed.__doc__ = asyncio.as_completed.__doc__
as_completed.__annotations__ = {}
as_completed.__module__ = asyncio.as_completed.__module__
