"""A clock for the listings: "seconds" that pass fast, and a log of what happened."""

import asyncio
import time

# One second of a document takes this long here.
SECOND = 0.05


class Story:
    """What a program printed, and how long it took in the document's seconds."""

    def __init__(self):
        self.lines = []
        self.started = time.monotonic()

    def say(self, *words):
        self.lines.append(" ".join(map(str, words)))

    @property
    def seconds(self):
        return (time.monotonic() - self.started) / SECOND

    async def sleep(self, seconds):
        """Says that it starts and ends; the number of seconds slept."""
        self.say("start", seconds)
        await asyncio.sleep(seconds * SECOND)
        self.say("end", seconds)
        return seconds

    def took(self, seconds):
        """Whether the program took this long.

        Never less; more only by what a loaded machine adds. Whether waits overlapped
        is told by the order of what was said.
        """
        return seconds - 0.05 <= self.seconds < seconds + 20
