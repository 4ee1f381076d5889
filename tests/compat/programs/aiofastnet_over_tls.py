"""aiofastnet's TLS over the loop, with the loop's own at the other end."""

import asyncio
import ssl

import aiofastnet
import trustme

from .where import here

DATA = b"0123456789" * 20_000


def contexts():
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def ask(reader, writer):
    writer.write(DATA)
    answer = await reader.readexactly(len(DATA))
    writer.close()
    await writer.wait_closed()
    return answer == DATA


async def main():
    server, client = contexts()
    loop = asyncio.get_running_loop()
    answers = []
    for its_server in True, False:
        serve = (
            aiofastnet.start_server(loop, echo, "127.0.0.1", 0, ssl=server)
            if its_server
            else asyncio.start_server(echo, "127.0.0.1", 0, ssl=server)
        )
        async with asyncio.timeout(30), await serve as listening:
            port = listening.sockets[0].getsockname()[1]
            where = ("127.0.0.1", port)
            for opening in (
                asyncio.open_connection(*where, ssl=client),
                aiofastnet.open_connection(loop, *where, ssl=client),
            ):
                answers.append(await ask(*await opening))
    return here(), answers
