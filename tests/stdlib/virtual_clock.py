"""A loop whose time is told by the test, as CPython's own TestLoop, on any loop class.

CPython's tests of timeouts hand over a generator: it is sent the deadline of each new
timer and yields by how much time moves on.
"""


def virtual_clock(loop_class):
    """The subclass of `loop_class` to call with such a generator function."""

    class VirtualClockLoop(loop_class):
        def __init__(self, generator_function):
            super().__init__()
            self._now = 0
            self._generator = generator_function()
            next(self._generator)
            self._unseen = []

        def time(self):
            return self._now

        def advance_time(self, seconds):
            self._now += seconds

        def call_at(self, when, callback, *args, context=None):
            # A ready callback also keeps the poller from waiting for that deadline.
            if not self._unseen:
                self.call_soon(self._consult)
            self._unseen.append(when)
            return super().call_at(when, callback, *args, context=context)

        def _consult(self):
            unseen, self._unseen = self._unseen, []
            for when in unseen:
                self._now += self._generator.send(when) or 0

        def run_until_complete(self, future):
            try:
                return super().run_until_complete(future)
            finally:
                self._consult()

        def close(self):
            super().close()
            try:
                self._generator.send(0)
            except StopIteration:
                return
            raise AssertionError("the test's generator of times has not ended")

    return VirtualClockLoop
