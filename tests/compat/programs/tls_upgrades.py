"""aiosmtpd's STARTTLS for smtplib, and asyncpg's upgrade with a stub of a server."""

import asyncio
import smtplib
import ssl

import asyncpg
import trustme
from aiosmtpd.smtp import SMTP

from .where import here


def contexts():
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


class Kept:
    def __init__(self):
        self.messages = []

    async def handle_DATA(self, server, session, envelope):
        assert session.ssl is not None
        self.messages.append((envelope.mail_from, len(envelope.content)))
        return "250 kept"


def send(port, client):
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as smtp:
        smtp.starttls(context=client)
        smtp.sendmail("me@here", ["you@there"], "Subject: hello\n\n" + "x\n" * 10_000)
        return smtp.sock.version()


async def by_aiosmtpd(server, client):
    loop = asyncio.get_running_loop()
    kept = Kept()

    def make():
        return SMTP(kept, tls_context=server, require_starttls=True, hostname="h")

    listening = await loop.create_server(make, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        version = await loop.run_in_executor(None, send, port, client)
    assert version == "TLSv1.3"
    return kept.messages


def message(kind, body=b""):
    return kind + (len(body) + 4).to_bytes(4, "big") + body


READY = message(b"Z", b"I")


async def answer_as_postgres(reader, writer, server):
    assert await reader.readexactly(8) == b"\0\0\0\x08\x04\xd2\x16\x2f"
    writer.write(b"S")
    await writer.start_tls(server)
    size = int.from_bytes(await reader.readexactly(4), "big")
    assert b"user\0somebody\0" in await reader.readexactly(size - 4)
    settings = {b"server_version": b"15.0", b"client_encoding": b"UTF8"}
    writer.write(message(b"R", bytes(4)))
    for name, value in settings.items():
        writer.write(message(b"S", name + b"\0" + value + b"\0"))
    writer.write(message(b"K", bytes(8)) + READY)
    while (kind := await reader.readexactly(1)) == b"Q":
        size = int.from_bytes(await reader.readexactly(4), "big")
        query = await reader.readexactly(size - 4)
        writer.write(message(b"C", query[:-1][:20] + b"\0") + READY)
    assert kind == b"X"
    writer.close()


async def by_asyncpg(server, client):
    async def answer(reader, writer):
        await answer_as_postgres(reader, writer, server)

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        connection = await asyncpg.connect(
            host="127.0.0.1",
            port=port,
            user="somebody",
            database="some",
            ssl=client,
            timeout=20,
        )
        try:
            assert connection._transport.get_extra_info("cipher")
            first = await connection.execute("SELECT 1")
            return [first, await connection.execute("SELECT '%s'" % ("x" * 100_000))]
        finally:
            await connection.close()


async def main():
    found = contexts()
    async with asyncio.timeout(40):
        return here(), [await by_aiosmtpd(*found), await by_asyncpg(*found)]
