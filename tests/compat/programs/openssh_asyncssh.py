"""asyncssh as a client of OpenSSH's server, and as the server of its client."""

import asyncio
import getpass
import os
import pathlib

import asyncssh

from .openssh_child import ssh
from .where import here

BODY = os.urandom(1_000_000)


async def upper(reader, writer):
    writer.write((await reader.readline()).upper())
    writer.close()


async def of_openssh(folder, port):
    key = pathlib.Path(folder, "host_key.pub").read_text()
    async with asyncssh.connect(
        "127.0.0.1",
        port,
        known_hosts=asyncssh.import_known_hosts(f"* {key}"),
        username=getpass.getuser(),
        client_keys=[f"{folder}/user_key"],
        agent_path=None,
        config=None,
    ) as connection:
        echoed, failed = await asyncio.gather(
            connection.run("cat", input=BODY, encoding=None),
            connection.run("echo failed >&2; exit 7"),
        )
        async with connection.start_sftp_client() as sftp:
            async with sftp.open(f"{folder}/sent", "wb") as file:
                await file.write(BODY)
            there = await sftp.stat(f"{folder}/sent")
        # a connection of theirs to a server of ours, and one the other way
        async with (
            await asyncio.start_server(upper, "127.0.0.1", 0) as server,
            await connection.forward_local_port(
                "127.0.0.1", 0, *server.sockets[0].getsockname()
            ) as forwarding,
        ):
            where = "127.0.0.1", forwarding.get_port()
            reader, writer = await asyncio.open_connection(*where)
            writer.write(b"forwarded\n")
            line = await reader.readline()
            writer.close()
            await writer.wait_closed()
    return [
        echoed.stdout == BODY,
        [failed.stderr, failed.exit_status],
        there.size == len(BODY),
        line.decode(),
    ]


class Server(asyncssh.SSHServer):
    def begin_auth(self, username):
        return False


async def echo(process):
    async for data in process.stdin:
        process.stdout.write(data)
    process.exit(3)


async def by_openssh(folder):
    listening = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Server,
        server_host_keys=[f"{folder}/host_key"],
        process_factory=echo,
        encoding=None,
    )
    async with listening:
        port = listening.get_port()
        key = pathlib.Path(folder, "host_key.pub").read_text()
        pathlib.Path(folder, "known").write_text(f"[127.0.0.1]:{port} {key}")
        status, out = await ssh(folder, port, "anything", BODY)
        return [status, out == BODY]


async def main(*, folder, port, **_):
    async with asyncio.timeout(45):
        return here(), [await of_openssh(folder, port), await by_openssh(folder)]
