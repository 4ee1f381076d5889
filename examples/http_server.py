"""A small HTTP server on fastloop, with asyncio's streams.

    python examples/http_server.py [PORT]

Then, from another terminal: curl http://127.0.0.1:8080/any/path
Ctrl-C stops it and prints what the loop counted.
"""

import asyncio
import json
import sys

import fastloop


async def answer(reader, writer):
    """Answer requests on one connection until the client has no more."""
    try:
        while request := await reader.readline():
            method, path, _ = request.decode("latin-1").split(" ", 2)
            while await reader.readline() not in (b"\r\n", b"\n", b""):
                pass  # headers
            body = json.dumps({"method": method, "path": path}).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body)
            )
            writer.write(body)
            await writer.drain()
    except (ConnectionError, ValueError):
        pass  # the client went away, or does not speak HTTP
    finally:
        writer.close()


async def main(port):
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    port = server.sockets[0].getsockname()[1]
    print(f"serving on http://127.0.0.1:{port}", flush=True)
    try:
        async with server:
            await server.serve_forever()
    finally:
        print(asyncio.get_running_loop().stats(), flush=True)


if __name__ == "__main__":
    try:
        fastloop.run(main(int(sys.argv[1]) if sys.argv[1:] else 8080))
    except KeyboardInterrupt:
        pass
