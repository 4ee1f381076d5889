"""asyncssh and TLS in one loop, and asyncssh over a connection of TLS's."""

import asyncio
import ssl

import asyncssh
import trustme

from .where import here


class Server(asyncssh.SSHServer):
    def begin_auth(self, username):
        return False


async def answer(process):
    process.stdout.write(f"ssh: {await process.stdin.readline()}")
    process.exit(0)


async def by_tls(server, client):
    async def upper(reader, writer):
        writer.write((await reader.readline()).upper())
        writer.close()

    async with await asyncio.start_server(upper, "127.0.0.1", 0, ssl=server) as tls:
        port = tls.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
        writer.write(b"tls\n")
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return line.decode()


async def by_ssh(connection):
    return (await connection.run("anything", input="hi\n")).stdout


async def main():
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    key = asyncssh.generate_private_key("ssh-ed25519")
    listening = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Server,
        server_host_keys=[key],
        process_factory=answer,
    )
    public = key.export_public_key().decode()
    async with (
        asyncio.timeout(40),
        listening,
        asyncssh.connect(
            "127.0.0.1",
            listening.get_port(),
            known_hosts=asyncssh.import_known_hosts(f"* {public}"),
            username="somebody",
            config=None,
            client_keys=None,
        ) as connection,
    ):
        answers = await asyncio.gather(
            *[by_tls(server, client) for _ in range(5)],
            *[by_ssh(connection) for _ in range(5)],
        )
    return here(), sorted(set(answers))
