"""asyncssh: a server that echoes and a client, with a key made here."""

import asyncssh

from .where import here

seen = []


async def echo(process):
    seen.append(here())
    process.stdout.write(f"echo: {await process.stdin.readline()}")
    process.exit(3)


class Server(asyncssh.SSHServer):
    def begin_auth(self, username):
        return False


async def main():
    key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Server,
        server_host_keys=[key],
        process_factory=echo,
    )
    async with (
        server,
        asyncssh.connect(
            "127.0.0.1",
            server.get_port(),
            known_hosts=asyncssh.import_known_hosts(
                f"* {key.export_public_key().decode()}"
            ),
            username="somebody",
            config=None,
            client_keys=None,
        ) as connection,
    ):
        result = await connection.run("anything", input="hi\n")
        return seen[0], [result.stdout, result.exit_status]
