"""What the ends of random programs share: the protocol, and what must hold of it."""

import asyncio


class Passing:
    """The callbacks of every protocol that passes them on to its end."""

    def connection_made(self, transport):
        self.end.connection_made(transport)

    def connection_lost(self, exc):
        self.end.connection_lost(exc)

    def pause_writing(self):
        self.end.pause_writing()

    def resume_writing(self):
        self.end.resume_writing()

    def eof_received(self):
        return self.end.eof_received()


class Plain(Passing, asyncio.Protocol):
    """Passes everything on to its end."""

    def __init__(self, end):
        self.end = end

    def data_received(self, data):
        self.end.received(data)
        self.end.happens("data_received", len(data))


class End:
    """One end that is a transport."""

    is_transport = True

    def __init__(self, machine, name, reactions):
        self.machine, self.name = machine, name
        self.reactions = list(reactions)
        self.transport = None
        self.lost = False

    def finish(self, connecting):
        """Runs the loop until the coroutine has ended, whatever leaves the loop."""
        task = self.machine.loop.create_task(connecting)
        while not task.done():
            try:
                self.machine.loop.run_until_complete(task)
            except SystemExit:
                self.note("exit")

    def note(self, *event):
        self.machine.note(self.name, *event)

    def hold(self, truth, what):
        if not truth:
            self.machine.wrong.append(f"{self.name}: {what}")

    def happens(self, event, *details):
        self.note(event, *details)
        self.hold(not self.lost or event == "connection_lost", f"{event} after lost")
        for i, (when, what, *arguments) in enumerate(self.reactions):
            if when == event:
                del self.reactions[i]
                self.react(event, what, *arguments)
                break

    def connection_made(self, transport):
        self.hold(self.transport is None, "connection_made twice")
        self.transport = transport
        self.happens("connection_made")


class WritingEnd(End):
    """One that holds its transport to the water marks."""

    paused = False

    def pause_writing(self):
        self.hold(not self.paused, "paused twice")
        self.paused = True
        size = self.transport.get_write_buffer_size()
        high = self.transport.get_write_buffer_limits()[1]
        self.hold(size > high, f"paused at {size} of {high}")
        self.happens("pause_writing", size)

    def resume_writing(self):
        self.hold(self.paused, "resumed and not paused")
        self.paused = False
        size = self.transport.get_write_buffer_size()
        low = self.transport.get_write_buffer_limits()[0]
        self.hold(size <= low, f"resumed at {size} of {low}")
        self.happens("resume_writing", size)

    def do_write(self, size):
        self.transport.write(self.accept(size))

    def do_write_slice(self, size, start):
        data = self.accept(size)
        self.transport.write(memoryview(bytes(start) + data + b"end")[start:-3])

    def do_set_limits(self, high, low):
        self.transport.set_write_buffer_limits(high, low)
