"""The ssh client as a child process, five at once, and OpenSSH's server."""

import asyncio
import getpass
import os
import pathlib

from .where import here

BODY = os.urandom(1_000_000)


async def ssh(folder, port, command, given=b""):
    """The exit status and the output of a command over there."""
    options = {
        "UserKnownHostsFile": f"{folder}/known",
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
        "LogLevel": "ERROR",
    }
    process = await asyncio.create_subprocess_exec(
        *("ssh", "-F", "none", "-i", f"{folder}/user_key", "-p", str(port)),
        *[word for name in options for word in ("-o", f"{name}={options[name]}")],
        *(f"{getpass.getuser()}@127.0.0.1", command),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate(given)
    return process.returncode, out


async def main(*, folder, port, **_):
    host_key = pathlib.Path(folder, "host_key.pub").read_text()
    pathlib.Path(folder, "known").write_text(f"[127.0.0.1]:{port} {host_key}")
    async with asyncio.timeout(45):
        echoed = await asyncio.gather(
            *[ssh(folder, port, "cat", BODY) for _ in range(4)],
            ssh(folder, port, "echo said; kill -TERM $$"),
        )
        status, said = echoed.pop()
        right = [one == (0, BODY) for one in echoed]
        return here(), [right, said.decode(), status != 0]
