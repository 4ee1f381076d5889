"""Transports given a context of another class, whose run() asyncio calls (3.15)."""

import asyncio
import socket
import sys

import pytest

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 15), reason="transports take no context"
)


class Foreign:
    """Is no contextvars.Context, and runs what it is given."""

    def run(self, function, *args):
        return function(*args)


class Recorder(asyncio.Protocol):
    def __init__(self, done):
        self.calls = []
        self.done = done

    def connection_made(self, transport):
        self.calls.append("made")

    def data_received(self, data):
        self.calls.append(data)

    def connection_lost(self, exc):
        self.calls.append("lost")
        self.done()


def calls_and_reports(loop, context):
    reports = []

    def report(_, what):
        reports.append(repr(what["exception"]))
        loop.stop()

    loop.set_exception_handler(report)
    ours, peer = socket.socketpair()
    ours.setblocking(False)
    protocol = Recorder(loop.stop)
    loop._make_socket_transport(ours, protocol, context=context)
    with peer:
        peer.send(b"x")
        peer.shutdown(socket.SHUT_WR)
        loop.run_forever()
    return protocol.calls, reports


def test_its_run_is_called(loop):
    assert calls_and_reports(loop, Foreign()) == (["made", b"x", "lost"], [])
