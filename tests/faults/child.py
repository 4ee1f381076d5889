"""Runs in a program of its own, with the interposer preloaded: walks one scenario.

    python child.py KIND SCENARIO [calls=MAX] [FUNCTION=FAULT,FAULT ...]

Makes each call of each function that the scenario makes fail in each way, one at a
time, each with a loop of its own, and prints a line of JSON for each try. MAX limits
the calls of a function that fail.
"""

import asyncio
import contextlib
import errno
import functools
import gc
import json
import logging
import signal
import sys
import traceback
import warnings

from tests.faults import interposer, scenarios
from tests.faults.scenarios import SCENARIOS, Stage
from tests.footprint import live_objects, open_fds

CALLS_MAX = 60
# What the first run of a loop does by itself fails here alone.
UNSTARTED = {"life", "signals"}
# Of the wait for free descriptors; before fastloop looks at it.
asyncio.constants.ACCEPT_RETRY_DELAY = 0.02
# What one call after the other answers, until it is let through.
LASTING = {
    "accept4": ["EMFILE", "ENFILE", "ENOMEM"],
    "epoll_ctl": ["ENOMEM", "ENOSPC", "EBADF"],
    "recv": ["ENOMEM", "EBADF"],
    "send": ["ENOBUFS", "EPIPE"],
    "sendmsg": ["ENOBUFS", "EPIPE"],
}


def new_event_loop_of(kind):
    if kind == "asyncio":
        return asyncio.new_event_loop
    import fastloop

    return fastloop.new_event_loop


def described(exc):
    """An exception as text that is the same for two loops."""
    numbers = [arg for arg in exc.args if isinstance(arg, int)]
    if isinstance(exc, OSError) and numbers:
        name = errno.errorcode.get(numbers[0], str(numbers[0]))
        return f"{type(exc).__name__} {name}"
    return type(exc).__name__


class Records(logging.Handler):
    """What is logged, and what finalizers complain of."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.facts = []

    def emit(self, record):
        self.facts.append(("logged", record.getMessage().splitlines()[0]))

    def unraisable(self, args):
        self.facts.append(("unraisable", described(args.exc_value)))

    def warn(self, message, category, *args, **kwargs):
        if category is ResourceWarning:
            self.facts.append(("left", str(message).split(" <")[0]))


class Try:
    """One run of a scenario, with a fault or without."""

    def __init__(self, kind, name, device):
        self.kind = kind
        self.name = name
        self.device = device
        self.new_event_loop = new_event_loop_of(kind)
        self.records = Records()
        self.result = None

    def handle(self, loop, context):
        """The loop's exception handler."""
        message = context["message"]
        if self.stage is None:  # found by the collector
            self.records.facts.append(("left", message))
            return
        if message.startswith("Exception in callback"):
            message = "Exception in callback"
        exc = context.get("exception")
        self.stage.facts.append((message, exc))

    async def play(self):
        stage = self.stage
        try:
            async with asyncio.timeout(scenarios.PATIENCE_S):
                self.result = await SCENARIOS[self.name](stage)
        except Exception as exc:
            stage.note("raised", exc)
        finally:
            with self.device.paused():
                await stage.clean()

    def run(self, loop, coroutine):
        """Run to the end, again if the loop itself raises."""
        task = loop.create_task(coroutine)
        for _ in range(4):
            try:
                loop.run_until_complete(task)
            except OSError as exc:
                self.stage.note("run raised", exc)
            except asyncio.CancelledError:
                pass
            except Exception as exc:
                self.stage.facts.append(("not run", exc))
            if task.done():
                break
        else:
            self.stage.facts.append(("stuck", None))

    async def prove(self):
        """The loop still does its work."""

        async def answer(reader, writer):
            writer.write(await reader.read(10))
            await writer.drain()
            writer.close()

        async with asyncio.timeout(1):
            server = await asyncio.start_server(answer, "127.0.0.1", 0)
            address = server.sockets[0].getsockname()
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"still here")
            assert await reader.readexactly(10) == b"still here"
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            server.close()
            await server.wait_closed()
            await asyncio.get_running_loop().shutdown_default_executor()

    def interrupt(self, number, frame):
        """A signal's handler that ends everything that can be."""
        for transport in self.stage.transports:
            scenarios.abort(transport)

    def turn(self, loop):
        """One iteration: a run that raised may have left the order to stop."""
        loop.call_soon(loop.stop)
        loop.run_forever()

    def live(self, arm):
        """With a loop of its own; the loop's end included."""
        whole = self.name == "life"
        self.stage = stage = Stage(None, self.new_event_loop, self.device)
        signal.signal(signal.SIGUSR2, self.interrupt)
        if whole:
            arm()
        try:
            loop = stage.loop = self.new_event_loop()
        except OSError as exc:
            stage.note("raised", exc)
            return
        loop.set_exception_handler(self.handle)
        if self.name not in UNSTARTED:
            self.turn(loop)
        if not whole:
            arm()
        self.run(loop, self.play())
        if not whole:
            self.device.disarm()
        try:
            if not whole:
                self.turn(loop)
                loop.run_until_complete(self.prove())
        except Exception as exc:
            stage.facts.append(("loop broken", exc))
        try:
            loop.close()
        except OSError as exc:
            stage.note("raised", exc)
        with contextlib.suppress(AttributeError):
            loop._run_once = None  # nothing of it is kept by a cycle

    def __call__(self, arm=lambda: None):
        """(result, facts as text, polls) of a whole run."""
        fds, live = open_fds(), live_objects()
        handler = self.records
        logger = logging.getLogger("asyncio")
        logger.addHandler(handler)
        sys.unraisablehook = handler.unraisable
        warnings.showwarning = handler.warn
        try:
            self.live(arm)
        finally:
            self.device.disarm()
        facts = self.stage.facts
        self.stage = None
        texts = [
            what if exc is None else f"{what}: {described(exc)}" for what, exc in facts
        ]
        facts.clear()
        gc.collect()
        texts += [f"{what}: {text}" for what, text in handler.facts]
        logger.removeHandler(handler)
        if left := open_fds() - fds:
            texts.append(f"left: {len(left)} file descriptors")
        for name, count in live_objects().items():
            if count > live.get(name, 0):
                texts.append(f"left: {count - live.get(name, 0)} {name}")
        return self.result, sorted(set(texts))


def faults_of(chosen, *, also_lasting):
    """[(function, fault, lasting)] to be tried."""
    for function, faults in chosen.items():
        for fault in faults:
            yield function, fault, False
        for fault in LASTING.get(function, ()) if also_lasting else ():
            if fault in faults:
                yield function, fault, True


def walk(kind, name, chosen, calls_max):
    """Yield what came of each fault in each call."""
    device = interposer.Interposer()
    module = interposer.EXTENSION if kind == "fastloop" else ""
    expected, facts = Try(kind, name, device)()
    yield {"expected": repr(expected)[:80], "facts": facts}
    # Twice: what is made once, with the first use, is no leak.
    expected, facts = Try(kind, name, device)()
    gc.freeze()
    # A loop that can't watch its own descriptors does not run.
    also_lasting = calls_max is None and name not in UNSTARTED
    for function, fault, lasting in faults_of(chosen, also_lasting=also_lasting):
        for nth in range(1, 2 if lasting else (calls_max or CALLS_MAX) + 1):
            which = {"function": function, "fault": fault, "nth": nth}
            which["lasting"] = lasting
            print(json.dumps({"begins": which}), flush=True)
            arm = functools.partial(
                device.arm, function, fault, nth, module=module, always=lasting
            )
            result, facts = Try(kind, name, device)(arm)
            if device.faults == 0:
                break
            which |= {
                "same": result == expected,
                "result": "" if result == expected else repr(result)[:60],
                "facts": facts,
                "polls": device.polls,
                "site": device.site,
            }
            yield which


def main(kind, name, *choices):
    """The command line's scenario."""
    chosen = {}
    for choice in choices:
        function, _, faults = choice.partition("=")
        chosen[function] = faults.split(",")
    calls_max = int(chosen.pop("calls")[0]) if "calls" in chosen else None
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    logging.getLogger("asyncio").propagate = False
    warnings.simplefilter("always")
    for outcome in walk(kind, name, chosen or interposer.ERRORS, calls_max):
        print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception:
        traceback.print_exc()
        sys.exit(1)
