"""ipykernel, whose cells nest: by nest_asyncio2, which knows its shared Context."""

import sys
import tempfile

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec

from .where import here

CELLS = [
    "import asyncio, nest_asyncio2; nest_asyncio2.apply(); seen = []",
    """\
async def inside(name):
    await asyncio.sleep(0.001)
    seen.append(name)
    return name
asyncio.run(inside("first"))
""",
    'asyncio.get_event_loop().run_until_complete(inside("second"))',
    'await inside("third"); print(*seen)',
]


async def ask(manager):
    """What a kernel prints that runs the cells, all sent at once."""
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    printed = []
    try:
        await client.wait_for_ready(timeout=30)

        def output(message):
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        for cell in CELLS:
            reply = await client.execute_interactive(
                cell, output_hook=output, timeout=30
            )
            assert reply["content"]["status"] == "ok", reply
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)
    return "".join(printed).strip()


async def main():
    classes = here()
    ours = ["-m", "fastloop"] if classes[0].__module__.startswith("fastloop") else []
    launch = [sys.executable, *ours, "-m", "ipykernel_launcher"]
    with tempfile.TemporaryDirectory() as folder:
        manager = AsyncKernelManager(transport="ipc", ip=f"{folder}/kernel")
        manager._kernel_spec = KernelSpec(argv=[*launch, "-f", "{connection_file}"])
        return classes, await ask(manager)
