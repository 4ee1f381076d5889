"""A textual application without a terminal: a key pressed, a timer, a worker."""

import asyncio

from textual.app import App
from textual.widgets import Label

from .where import here


class Small(App):
    def compose(self):
        self.seen = []
        yield Label("nothing", id="label")

    async def on_key(self, event):
        self.seen.append(here())
        self.run_worker(self.work(event.key), exclusive=True)

    async def work(self, key):
        await asyncio.sleep(0.001)
        self.query_one("#label", Label).update(f"pressed {key}")


async def main():
    app = Small()
    async with app.run_test() as pilot:
        await pilot.press("a")
        await app.workers.wait_for_complete()
        await pilot.pause()
        return app.seen[0], str(app.query_one("#label", Label).content)
