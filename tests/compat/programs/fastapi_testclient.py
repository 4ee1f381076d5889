"""FastAPI under its test client, which runs the application in a thread."""

from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

from .where import here

app = FastAPI()
seen = []


class Order(BaseModel):
    name: str
    number: int


@app.post("/orders")
async def order(order: Order):
    seen.append(here())
    return {"name": order.name, "doubled": 2 * order.number}


def start(loop_factory):
    options = {"loop_factory": loop_factory}
    with TestClient(app, backend_options=options) as client:
        response = client.post("/orders", json={"name": "you", "number": 21})
    return seen[0], response.json()
