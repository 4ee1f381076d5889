"""python-telegram-bot without its service: an application handles two updates."""

import asyncio

from telegram import Update
from telegram.ext import Application, CommandHandler
from telegram.request import BaseRequest

from .where import here

seen = []
ME = b'{"ok": true, "result": {"id": 1, "is_bot": true, "first_name": "Me",'
ME += b'"username": "me_bot"}}'


class NoService(BaseRequest):
    read_timeout = 1

    async def initialize(self):
        pass

    async def shutdown(self):
        pass

    async def do_request(self, url, method, *args, **options):
        await asyncio.sleep(0.001)
        return 200, ME


async def command(update, context):
    await asyncio.sleep(0.001)
    seen.append((here(), context.args))


def message(number, text):
    return {
        "update_id": number,
        "message": {
            "message_id": number,
            "date": 0,
            "chat": {"id": 1, "type": "private"},
            "text": text,
            "entities": [{"type": "bot_command", "offset": 0, "length": 5}],
        },
    }


async def main():
    application = (
        Application.builder()
        .token("1:a")
        .request(NoService())
        .get_updates_request(NoService())
        .build()
    )
    application.add_handler(CommandHandler("echo", command))
    async with application:
        for number, text in enumerate(("/echo one", "/echo two")):
            update = Update.de_json(message(number, text), application.bot)
            await application.process_update(update)
    return seen[0][0], [arguments for _, arguments in seen]
