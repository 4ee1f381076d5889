"""A prompt fed through a pipe."""

import asyncio

from prompt_toolkit import PromptSession
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput


async def main():
    with create_pipe_input() as pipe:
        pipe.send_text("typed\n")
        session = PromptSession(input=pipe, output=DummyOutput())
        text = await session.prompt_async("> ")
    return type(asyncio.get_running_loop()), text
