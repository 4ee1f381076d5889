"""curl asks servers over TLS: aiohttp by HTTP/1.1, hypercorn by HTTP/2."""

import asyncio
import hashlib
import os
import pathlib
import tempfile

import trustme
from aiohttp import web
from hypercorn.asyncio import serve
from hypercorn.config import Config

from .where import here

BODY = os.urandom(1_000_000)
# curl itself is not tested by a sanitizer.
PLAIN = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}


async def curl(*arguments, given=b""):
    """What curl wrote; it must end well."""
    process = await asyncio.create_subprocess_exec(
        *("curl", "--silent", "--show-error", "--fail", "--noproxy", "*"),
        *map(str, arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=PLAIN,
    )
    out, _ = await process.communicate(given)
    if process.returncode:
        raise RuntimeError(f"curl: exit status {process.returncode}")
    return out


def digest(data):
    return hashlib.sha256(data).hexdigest()


async def by_aiohttp(folder, context):
    async def keep(request):
        data = await request.read()
        return web.json_response({"digest": digest(data), "length": len(data)})

    async def give(request):
        return web.FileResponse(folder / "body")

    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/", keep)
    app.router.add_get("/", give)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        url = "https://{}:{}/".format(*runner.addresses[0])
        trust = "--cacert", folder / "authority"
        # asks whether it may go on before it sends what is large
        sent = [*trust, "--data-binary", "@-", "-H", "Expect: 100-continue", url]
        posted, got, rest = await asyncio.gather(
            curl(*sent, given=BODY),
            curl(*trust, url),
            curl(*trust, "--range", "999990-", url),
        )
        assert digest(BODY).encode() in posted
        return [got == BODY, rest == BODY[-10:]]
    finally:
        await runner.cleanup()


async def application(scope, receive, send):
    """Sends back what it gets, as it comes."""
    if scope["type"] != "http":
        raise NotImplementedError
    version = scope["http_version"].encode()
    start = {"type": "http.response.start", "status": 200}
    await send({**start, "headers": [(b"x-version", version)]})
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        body = {"type": "http.response.body", "body": message.get("body", b"")}
        await send({**body, "more_body": more})


async def by_hypercorn(folder):
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.certfile, config.keyfile = folder / "server", folder / "server"
    config.errorlog = None
    sockets = config.create_sockets()
    config.create_sockets = lambda: sockets
    end = asyncio.Event()
    task = asyncio.create_task(serve(application, config, shutdown_trigger=end.wait))
    port = sockets.secure_sockets[0].getsockname()[1]
    trust = ["--cacert", folder / "authority", "--retry", "9", "--retry-connrefused"]
    write = ["--write-out", "%{stderr}%{http_version}", "-D", folder / "head"]
    got = await curl(
        *trust,
        *write,
        *("--http2", "--data-binary", "@-", f"https://127.0.0.1:{port}/"),
        given=BODY,
    )
    end.set()
    await task
    head = (folder / "head").read_text().lower()
    return ["http/2 200" in head, "x-version: 2" in head, got == BODY]


async def main():
    import ssl

    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.configure_cert(context)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "body").write_bytes(BODY)
        authority.cert_pem.write_to_path(folder / "authority")
        made.private_key_and_cert_chain_pem.write_to_path(folder / "server")
        async with asyncio.timeout(45):
            answers = [*await by_aiohttp(folder, context), *await by_hypercorn(folder)]
    return here(), answers
