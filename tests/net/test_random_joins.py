"""Random steps on connections that join writes: who looks finds all sent, in order."""

import asyncio
import random

import pytest

from tests.net.accepted import Accepted

LOOKS = [
    lambda pair: pair.transport.is_closing(),
    lambda pair: pair.transport.get_write_buffer_size(),
    lambda pair: pair.socket.getsockname(),
    lambda pair: repr(pair.transport),
    lambda pair: pair.transport.write(bytearray()) or pair.transport.is_reading(),
]


class Steps:
    """Writes at random, and remembers what the clients must have."""

    def __init__(self, pairs, seed):
        self.pairs, self.random = pairs, random.Random(seed)
        self.written = [b"" for _ in pairs]
        self.got = [b"" for _ in pairs]

    def piece(self):
        size = self.random.choice([1, 5, 100, 3000])
        return self.random.randbytes(size)

    def write(self, n):
        data, transport = self.piece(), self.pairs[n].transport
        kind = self.random.randrange(5)
        if kind == 0:
            # An empty piece stays with asyncio from 3.12 on: what follows it waits.
            transport.writelines(filter(None, [data[:1], memoryview(data)[1:]]))
        elif kind == 1:
            transport.write(memoryview(data))
        elif kind == 2:
            changing = bytearray(data)
            transport.write(changing)
            changing[:] = bytes(len(data))
        else:
            transport.write(data)
        self.written[n] += data

    def step(self):
        favourite = self.random.randrange(len(self.pairs))
        for _ in range(self.random.choice([1, 2, 2, 2, 3, 5])):
            other = self.random.random() < 0.1
            self.write((favourite + other) % len(self.pairs))
            if self.random.random() < 0.1:
                self.random.choice(LOOKS)(self.pairs[favourite])
                self.check(favourite)

    def check(self, n):
        """A client has all that was written to it by now."""
        while data := self.pairs[n].arrived():
            self.got[n] += data
        assert self.got[n] == self.written[n]

    def check_all(self):
        for n in range(len(self.pairs)):
            self.check(n)


@pytest.mark.parametrize("family", ["tcp", "unix"])
@pytest.mark.parametrize("seed", range(10))
def test_random_steps(run, tmp_path, family, seed):
    def path(name):
        return str(tmp_path / name) if family == "unix" else None

    async def main():
        loop = asyncio.get_running_loop()
        failed = []
        loop.set_exception_handler(lambda _, context: failed.append(context))
        async with Accepted(path("1")) as first, Accepted(path("2")) as second:
            steps = Steps([first, second], seed)
            for _ in range(60):
                loop.call_soon(steps.step)
                loop.call_soon(steps.check_all)
                await asyncio.sleep(0)
        return failed

    assert run(main()) == []
