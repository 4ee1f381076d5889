"""What loop.metrics() returns: figures of one moment, by names that stay."""

from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Histogram:
    """How long something took, how often.

    counts: of the spans below 1 us, then of those below 2, 4, 8, ... us; the last has
    all that are longer. max_s: the longest, in seconds.
    """

    counts: tuple[int, ...]
    max_s: float

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)

    @property
    def bounds_s(self) -> tuple[float, ...]:
        """Where each bucket ends, in seconds; the last has no end."""
        ends = [2**i * 1e-6 for i in range(len(self.counts) - 1)]
        return (*ends, float("inf"))

    def quantile_s(self, q: float) -> float:
        """Return a span that the share q (0 to 1) is not above: the end of its bucket,
        or the longest of all; 0.0 if there was none. ValueError for another q."""
        if not 0.0 <= q <= 1.0:
            raise ValueError(f"a share from 0 to 1 was expected, got {q!r}")
        wanted = q * self.count
        seen = 0
        for count, end_s in zip(self.counts, self.bounds_s, strict=True):
            seen += count
            if count and seen >= wanted:
                return min(end_s, self.max_s) if self.max_s else end_s
        return 0.0

    @property
    def p50_s(self) -> float:
        """The median, as quantile_s(0.5)."""
        return self.quantile_s(0.5)

    @property
    def p99_s(self) -> float:
        """What one in a hundred is above, as quantile_s(0.99)."""
        return self.quantile_s(0.99)


class SlowStep(NamedTuple):
    """A step of more than a millisecond.

    name: of the task and its coroutine, or of the callback. time_s: how long it took.
    end_s: when it ended, by time.monotonic().
    """

    name: str
    time_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a loop has done and what waits, at one moment.

    now_s: that moment, by time.monotonic(). uptime_s: since the loop was made. busy_s,
    idle_s: of the time it ran, running steps and asleep. step_since_s: when the step
    under way began, by time.monotonic(), or None if none is.

    iterations, polls, steps, wakeups: since the loop was made; of the last, those of a
    sleeping loop by other threads. ready, timers, watches, transports, tasks: now:
    callbacks queued, timers set, file descriptors watched by add_reader() and kin,
    transports with an open file descriptor, tasks that are not done.

    step_time: how long steps took. lag: how long they waited behind others, from the
    poll's return to their run. slowest: the longest lately, the longest first. These
    since the loop was made or reset_metrics() was called.
    """

    now_s: float
    uptime_s: float
    busy_s: float
    idle_s: float
    step_since_s: float | None
    iterations: int
    polls: int
    steps: int
    wakeups: int
    ready: int
    timers: int
    watches: int
    transports: int
    tasks: int
    step_time: Histogram
    lag: Histogram
    slowest: tuple[SlowStep, ...]


def make_metrics(read: tuple[Any, ...], n_tasks: int) -> Metrics:
    """Make them of what the core's _read_metrics() returns, and the number of tasks."""
    figures: tuple[Any, ...]
    figures, steps, lags, slowest, longest_s, longest_lag_s = read
    rows = sorted((SlowStep(*row) for row in slowest), key=lambda step: -step.time_s)
    step_time, lag = Histogram(steps, longest_s), Histogram(lags, longest_lag_s)
    return Metrics(*figures, n_tasks, step_time, lag, tuple(rows))  # type: ignore[call-arg]
