"""discord.py without its service: a client's events, waits and background tasks."""

import discord
from discord.ext import tasks

from .where import here

seen = []


class Client(discord.Client):
    async def on_something(self, number):
        seen.append((here(), number))


async def main():
    turns = []

    @tasks.loop(seconds=0.001, count=3)
    async def background():
        turns.append(background.current_loop)

    async with Client(intents=discord.Intents.none()) as client:
        running = background.start()
        client.dispatch("something", 1)
        waiting = client.loop.create_task(client.wait_for("something", timeout=10))
        await client.loop.run_in_executor(None, int)
        client.dispatch("something", 2)
        awaited = await waiting
        await running
    return seen[0][0], [awaited, [number for _, number in seen], turns]
