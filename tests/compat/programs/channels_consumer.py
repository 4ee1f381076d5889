"""channels: a websocket consumer with its test client and the in-memory layer."""

import asyncio

from django.conf import settings

settings.configure(
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
)

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.testing import WebsocketCommunicator  # noqa: E402

from .where import here  # noqa: E402

seen = []


class Echo(AsyncWebsocketConsumer):
    groups = ("everybody",)

    async def receive(self, text_data=None, bytes_data=None):
        seen.append(here())
        await asyncio.sleep(0.001)
        await self.channel_layer.group_send(
            "everybody", {"type": "said", "text": text_data}
        )

    async def said(self, event):
        await self.send(text_data=f"echo: {event['text']}")


async def main():
    communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
    connected, _ = await communicator.connect()
    assert connected
    await communicator.send_to(text_data="hi")
    answer = await communicator.receive_from()
    await communicator.disconnect()
    return seen[0], answer
