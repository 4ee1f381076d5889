"""A Starlette WebSocket under its test client."""

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient

from .where import here

seen = []


async def echo(websocket):
    seen.append(here())
    await websocket.accept()
    await websocket.send_text(f"echo: {await websocket.receive_text()}")
    await websocket.close()


app = Starlette(routes=[WebSocketRoute("/echo", echo)])


def start(loop_factory):
    client = TestClient(app, backend_options={"loop_factory": loop_factory})
    with client.websocket_connect("/echo") as websocket:
        websocket.send_text("hi")
        return seen[0], websocket.receive_text()
