"""A headless Chromium, driven over a pipe by the protocol of its own tools."""

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)
ANSWER_S = 45


def program() -> str | None:
    """Return the path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Chromium:
    """One browser with one page; a context manager."""

    def __init__(self) -> None:
        found = program()
        if found is None:
            raise FileNotFoundError("no Chromium is installed")
        self.heard: list[dict[str, Any]] = []
        self._rest = b""
        self._number = 0
        self._session = self._target = ""
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        # The browser reads at 3 and writes at 4, wherever the pipes are here.
        command = f'exec "$@" 3<&{to_read} 4>&{to_write}'
        profile = f"--user-data-dir={self._folder.name}"
        self._process = subprocess.Popen(
            ["bash", "-c", command, "bash", found, *OPTIONS, profile, "about:blank"],
            pass_fds=(to_read, to_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": self._folder.name},
            start_new_session=True,
        )
        os.close(to_read)
        os.close(to_write)
        try:
            self._attach()
        except BaseException:
            self.close()
            raise

    def _attach(self) -> None:
        pages = self.ask("Target.getTargets")["targetInfos"]
        first = next(one["targetId"] for one in pages if one["type"] == "page")
        self._enter(first)

    def _enter(self, target: str) -> None:
        self._session = ""
        asked = {"targetId": target, "flatten": True}
        self._session = self.ask("Target.attachToTarget", **asked)["sessionId"]
        self._target = target
        for name in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{name}.enable")

    def renew(self) -> None:
        """Take an empty page, with nothing of the state of the one there is."""
        before, self._session = self._target, ""
        made = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.ask("Target.closeTarget", targetId=before)
        self.heard.clear()
        self._enter(made)

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the browser, and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._read)
        os.close(self._write)
        self._folder.cleanup()

    def _send(
        self, number: int, method: str, asked: dict[str, Any], session: str
    ) -> None:
        message = {"id": number, "method": method, "params": asked}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]

    def ask(self, method: str, **asked: Any) -> dict[str, Any]:
        """Send a command to the page; return its answer. What else is said is heard."""
        self._number += 1
        self._send(self._number, method, asked, self._session)
        while True:
            message = self._receive()
            if message.get("id") == self._number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return dict(message["result"])
            self.heard.append(message)

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + ANSWER_S
        while b"\0" not in self._rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._read], [], [], left)[0]:
                raise TimeoutError("Chromium does not answer")
            data = os.read(self._read, 1 << 20)
            if not data:
                raise EOFError("Chromium has ended")
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))

    def open(
        self, page: Path, width: int = 1200, height: int = 800, dark: bool = False
    ) -> None:
        """Load a file, and wait until its picture is drawn."""
        self.heard.clear()
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask("Page.navigate", url=page.resolve().as_uri())
        while not any(one.get("method") == "Page.loadEventFired" for one in self.heard):
            self.heard.append(self._receive())
        self.evaluate("window.ready.catch(() => 0)")

    def evaluate(self, expression: str) -> Any:
        """Return the value of JavaScript, awaited."""
        answer = self.ask(
            "Runtime.evaluate",
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:2000])
        return answer["result"].get("value")

    def frame(self) -> None:
        """Wait until what was asked for is drawn."""
        self.evaluate(
            "new Promise((done) =>"
            " requestAnimationFrame(() => requestAnimationFrame(() => done())))"
        )

    def key(self, key: str, text: str = "") -> None:
        """Press and release a key, by its name or its letter."""
        code = {"Tab": 9, "Enter": 13, "Escape": 27}.get(key, 0)
        text = text or (key if len(key) == 1 else {"Enter": "\r"}.get(key, ""))
        event = {"key": key, "text": text, "windowsVirtualKeyCode": code}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **event)
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=key)
        self.frame()

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Move, press or turn the wheel of a mouse, at a point of the window."""
        self.ask("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **more)
        self.frame()

    def picture(self, clip: dict[str, float] | None = None) -> bytes:
        """Return a PNG of the window, or of a part of the page."""
        asked: dict[str, Any] = {"format": "png"}
        if clip:
            asked["clip"] = {**clip, "scale": 1}
            asked["captureBeyondViewport"] = True
        return base64.b64decode(self.ask("Page.captureScreenshot", **asked)["data"])

    def complaints(self) -> list[str]:
        """Return what the page's console says, and errors nobody caught."""
        self.evaluate("0")
        said = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        return [json.dumps(one) for one in self.heard if one.get("method") in said]

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since the page was opened."""
        wanted = "Network.requestWillBeSent"
        heard = [one for one in self.heard if one.get("method") == wanted]
        return [str(one["params"]["request"]["url"]) for one in heard]
