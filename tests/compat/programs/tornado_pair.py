"""A tornado server and client."""

import asyncio

from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from .where import here

seen = []


class Hello(RequestHandler):
    async def get(self, name):
        await asyncio.sleep(0.001)
        seen.append(here())
        self.write(f"hello {name}")


async def main():
    sockets = bind_sockets(0, "127.0.0.1")
    server = HTTPServer(Application([("/(.*)", Hello)]))
    server.add_sockets(sockets)
    host, port = sockets[0].getsockname()
    try:
        client = AsyncHTTPClient()
        response = await client.fetch(f"http://{host}:{port}/tornado")
        return seen[0], response.body.decode()
    finally:
        server.stop()
        await server.close_all_connections()
