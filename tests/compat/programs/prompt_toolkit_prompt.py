"""A prompt fed through a pipe."""

from prompt_toolkit import PromptSession
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from .where import here


async def main():
    with create_pipe_input() as pipe:
        pipe.send_text("typed\n")
        session = PromptSession(input=pipe, output=DummyOutput())
        text = await session.prompt_async("> ")
    return here(), text
