"""A browser for the tests that look at the page."""

import re

import chromium
import pytest

import fastloop
from fastloop._timeline_page import page
from tests.timeline.recorded import recorded


def parts(colour):
    """Red, green and blue of "rgb(r, g, b)"."""
    return [int(part) for part in re.findall(r"\d+", colour)[:3]]


class Looking:
    """A page of a recording, in a browser."""

    def __init__(self, browser, folder):
        self.browser = browser
        self.folder = folder

    def open(self, recording, **how):
        """Make the page and show it; it must load without a word or a request."""
        path = self.folder / "out.html"
        path.write_bytes(page(recording))
        self.browser.open(path, **how)
        assert self.browser.complaints() == []
        assert self.browser.requests() == [path.resolve().as_uri()]
        return path

    def value(self, expression):
        """What JavaScript gives, with the model and the picture at hand."""
        return self.browser.evaluate(
            "(() => { const { model, picture, page } = window.timeline;"
            f" return {expression}; }})()"
        )

    def text(self, selector):
        """The text of an element that is shown, or ""."""
        found = f"document.querySelector({selector!r})"
        shown = self.browser.evaluate(f"{found}.hidden ? '' : {found}.innerText")
        return shown.replace("\n\n", "\n")

    def pixel(self, x, y, canvas="chart"):
        """The colour at a point of a canvas, as "rgb(r, g, b)"."""
        return self.browser.evaluate(
            f"'rgb(' + [...document.getElementById('{canvas}').getContext('2d')"
            f".getImageData({x}, {y}, 1, 1).data].slice(0, 3).join(', ') + ')'"
        )

    def colour(self, name):
        """The colour of a kind of thing."""
        return self.value(f"picture.colour[{name!r}]")

    def seen(self, row, ms, down=0.8, right=0):
        """What is drawn in a row at a time: the names of colours that are that one.

        down: how far down the row's bar, right: how many pixels beside the time.
        """
        x, y = self.value(
            f"[Math.round(picture.xOf({ms * 1e6})) + {right},"
            f" picture.yOf({row}) + 18 * {down}]"
        )
        shown = parts(self.pixel(x, int(y)))
        colours = self.value("picture.colour")
        return [
            name
            for name, colour in colours.items()
            # What is drawn with smooth edges is rounded.
            if max(abs(a - b) for a, b in zip(parts(colour), shown, strict=True)) <= 1
        ]

    def at(self, row, ms):
        """Where in the window a row and a time are."""
        return self.value(
            "(() => { const box = document.getElementById('chart')"
            f".getBoundingClientRect(); return [box.x + picture.xOf({ms * 1e6}),"
            f" box.y + picture.yOf({row}) + 9]; }})()"
        )

    def window(self):
        """The times that are shown, in ms."""
        return self.value("[picture.t0 / 1e6, picture.t1 / 1e6]")


shared: list[chromium.Chromium] = []


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item):
    """Start a browser for all tests that look, before it is noted what is there."""
    wanted = "look" in item.fixturenames and chromium.program()
    if wanted and not shared:
        shared.append(chromium.Chromium())
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item, nextitem):
    """End it after the last of them."""
    try:
        return (yield)
    finally:
        if shared and "look" not in getattr(nextitem, "fixturenames", ()):
            shared.pop().close()


@pytest.fixture
def look(tmp_path):
    """Opens pages in Chromium; skips the test where there is none."""
    if not shared:
        pytest.skip("no Chromium: apt install chromium")
    (browser,) = shared
    browser.renew()
    return Looking(browser, tmp_path)


@pytest.fixture
def story_of(tmp_path, monkeypatch):
    """Runs a coroutine function, recorded: its Story."""

    def run(main, **options):
        with recorded(tmp_path, monkeypatch, **options) as stories:
            fastloop.run(main())
        return stories[0]

    return run
