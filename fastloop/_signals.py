"""Signal handlers of the loop."""

import errno
import inspect
import signal
import sys
import warnings
from asyncio import coroutines
from asyncio.log import logger
from collections.abc import Callable
from typing import Any


def _do_nothing(signum: int, frame: object) -> None:
    """Be a handler, so that CPython writes the signal to the wake-up fd."""


def _release_wakeup_fd() -> None:
    try:
        signal.set_wakeup_fd(-1)
    except (ValueError, OSError) as exc:
        logger.info("set_wakeup_fd(-1) failed: %s", exc)


class Signals:
    """add_signal_handler and remove_signal_handler, over the core's wake-up fd."""

    def add_signal_handler(
        self: Any, sig: int, callback: Callable[..., object], *args: object
    ) -> None:
        """add_signal_handler(sig, callback, *args)

        Run callback(*args) in the loop whenever the signal arrives.

        Raises ValueError for a number that is no signal, RuntimeError outside
        the main thread or for a signal that can't be caught, TypeError for a
        coroutine.
        """
        if coroutines.iscoroutine(callback) or inspect.iscoroutinefunction(callback):
            raise TypeError("coroutines cannot be used with add_signal_handler()")
        self._check_signal(sig)
        self._check_closed()
        try:
            signal.set_wakeup_fd(self._signal_fd())
        except (ValueError, OSError) as exc:
            raise RuntimeError(str(exc))  # noqa: B904, asyncio's has no cause
        self._signal_handlers[sig] = self._make_handle(callback, args)
        try:
            signal.signal(sig, _do_nothing)
            # Other code's system calls are then restarted, not interrupted.
            signal.siginterrupt(sig, False)
        except OSError as exc:
            del self._signal_handlers[sig]
            if not self._signal_handlers:
                self._keep_or_release_wakeup_fd()
            if exc.errno == errno.EINVAL:
                raise RuntimeError(f"sig {sig} cannot be caught")  # noqa: B904
            raise

    def remove_signal_handler(self: Any, sig: int) -> bool:
        """remove_signal_handler(sig) -> bool

        Give the signal its default action back; return whether it was handled.

        Raises ValueError for a number that is no signal.
        """
        self._check_signal(sig)
        if self._signal_handlers.pop(sig, None) is None:
            return False
        default = signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL
        try:
            signal.signal(sig, default)
        except OSError as exc:
            if exc.errno == errno.EINVAL:
                raise RuntimeError(f"sig {sig} cannot be caught")  # noqa: B904
            raise
        if not self._signal_handlers:
            self._keep_or_release_wakeup_fd()
        return True

    def _keep_or_release_wakeup_fd(self: Any) -> None:
        """A running loop goes on listening for Ctrl-C."""
        if self._took_wakeup_fd:
            signal.set_wakeup_fd(self._signal_fd(), warn_on_full_buffer=False)
        else:
            _release_wakeup_fd()

    def _drop_signal_handlers(self: Any) -> None:
        """Forget every handler, for a loop that is being closed."""
        if not sys.is_finalizing():
            for sig in list(self._signal_handlers):
                self.remove_signal_handler(sig)
        elif self._signal_handlers:
            warnings.warn(
                f"Closing the loop {self!r} on interpreter shutdown stage, "
                "skipping signal handlers removal",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )
            self._signal_handlers.clear()
