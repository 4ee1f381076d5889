"""Pipes of every kind, and transports over them."""

import asyncio
import contextlib
import os
import socket
import tty

from tests.net.helpers import Recorder
from tests.support import open_terminal


@contextlib.contextmanager
def pipe():
    read, write = os.pipe()
    with os.fdopen(read, "rb", 0) as reader, os.fdopen(write, "wb", 0) as writer:
        yield reader, writer


async def reading(pipe, factory=Recorder):
    """The transport and protocol of a pipe's reading end."""
    loop = asyncio.get_running_loop()
    loop.slow_callback_duration = 60
    return await loop.connect_read_pipe(factory, pipe)


async def writing(pipe, factory=Recorder):
    """The transport and protocol of a pipe's writing end."""
    loop = asyncio.get_running_loop()
    loop.slow_callback_duration = 60
    return await loop.connect_write_pipe(factory, pipe)


@contextlib.contextmanager
def terminal():
    """A pseudo-terminal's two sides, in raw mode: what is written is what is read."""
    leader, follower = open_terminal()
    tty.setraw(follower)
    with os.fdopen(leader, "rb+", 0) as ours, os.fdopen(follower, "rb+", 0) as theirs:
        yield ours, theirs


def anonymous(tmp_path):
    return pipe()


@contextlib.contextmanager
def named(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with open(path, "rb+", 0) as reader, open(path, "wb", 0) as writer:
        yield reader, writer


def sockets(tmp_path):
    return both(*socket.socketpair())


def buffered(tmp_path):
    read, write = os.pipe()
    return both(os.fdopen(read, "rb"), os.fdopen(write, "wb"))


def terminals(tmp_path):
    return terminal()


@contextlib.contextmanager
def both(reader, writer):
    with reader, writer:
        yield reader, writer


KINDS_OF_PIPES = [anonymous, named, sockets, buffered, terminals]
