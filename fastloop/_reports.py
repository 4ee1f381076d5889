"""What the loop does with an exception that nobody took."""

import sys
import traceback
from asyncio import base_events, format_helpers
from typing import Any

# From 3.13 on the callback's arguments are left out unless debug is true.
_TAKES_DEBUG = "debug" in format_helpers._format_callback_source.__code__.co_varnames
# 3.12 runs a custom handler in the context of what failed.
_HANDLER_HAS_CONTEXT = sys.version_info >= (3, 12)


def _log_error(text: str, exc_info: Any) -> None:
    """Through the name that tests of asyncio programs replace."""
    base_events.logger.error(  # type: ignore[attr-defined]
        text, exc_info=exc_info
    )


def _context_of(report: dict[str, Any]) -> Any:
    """Return the contextvars.Context of the task, future or handle that failed."""
    for key in ("task", "future", "handle"):
        culprit = report.get(key)
        if culprit is not None:
            get_context = getattr(culprit, "get_context", None)
            return None if get_context is None else get_context()
    return None


def _creation_text(what: str, stack: Any) -> str:
    lines = "".join(traceback.format_list(stack)).rstrip()
    return f"{what} created at (most recent call last):\n{lines}"


class Reports:
    """Exception handling as asyncio.BaseEventLoop documents it."""

    def _callback_failed(self: Any, handle: Any, exc: BaseException) -> None:
        """Report the exception of a handle's callback."""
        keywords = {"debug": self.get_debug()} if _TAKES_DEBUG else {}
        callback = format_helpers._format_callback_source(
            handle._callback, handle._args, **keywords
        )
        report = {
            "message": f"Exception in callback {callback}",
            "exception": exc,
            "handle": handle,
        }
        if handle._source_traceback:
            report["source_traceback"] = handle._source_traceback
        self.call_exception_handler(report)

    def call_exception_handler(self: Any, context: dict[str, Any]) -> None:
        """call_exception_handler(context)

        Give a report to the exception handler in force.

        context: dict with "message" and, where known, "exception", "future",
        "task", "handle", "protocol", "transport", "socket", "source_traceback",
        "asyncgen". Raises nothing but SystemExit and KeyboardInterrupt.
        """
        self._send_waiting()
        handler = self._exception_handler
        if handler is None:
            try:
                self.default_exception_handler(context)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException:
                _log_error("Exception in default exception handler", True)
            return
        try:
            run_in = _context_of(context) if _HANDLER_HAS_CONTEXT else None
            if run_in is not None and hasattr(run_in, "run"):
                run_in.run(handler, self, context)
            else:
                handler(self, context)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            self._handler_failed(context, exc)

    def _handler_failed(self: Any, context: dict[str, Any], exc: BaseException) -> None:
        try:
            self.default_exception_handler(
                {
                    "message": "Unhandled error in exception handler",
                    "exception": exc,
                    "context": context,
                }
            )
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException:
            _log_error(
                "Exception in default exception handler while handling an unexpected "
                "error in custom exception handler",
                True,
            )

    def default_exception_handler(self: Any, context: dict[str, Any]) -> None:
        """default_exception_handler(context)

        Log a report, with a traceback if it has an exception.

        context: as for call_exception_handler(). In debug mode the log also
        says where the object, or the running handle, was created.
        """
        lines = [context.get("message") or "Unhandled exception in event loop"]
        current = self._current_handle
        if (
            "source_traceback" not in context
            and current is not None
            and current._source_traceback
        ):
            context["handle_traceback"] = current._source_traceback
        for key in sorted(context):
            if key in {"message", "exception"}:
                continue
            value = context[key]
            if key == "source_traceback":
                text = _creation_text("Object", value)
            elif key == "handle_traceback":
                text = _creation_text("Handle", value)
            else:
                text = repr(value)
            lines.append(f"{key}: {text}")
        exc = context.get("exception")
        exc_info = False if exc is None else (type(exc), exc, exc.__traceback__)
        _log_error("\n".join(lines), exc_info)
