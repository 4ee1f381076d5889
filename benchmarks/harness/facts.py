"""What was measured on: facts of machine and interpreter, no names, no paths."""

import json
import os
import platform
import subprocess

from harness.venv import Venv, clean_environment

ASK = """
import importlib.metadata, json, platform, sys, sysconfig
names = ["uvloop", "rloop", "zuvloop", "rsloop", "blazio", "asyncio-fastloop",
         "uvicorn", "aiohttp", "websockets"]
versions = {}
for name in names:
    try:
        versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
flags = sysconfig.get_config_vars("CONFIG_ARGS", "PY_CORE_CFLAGS", "PY_CFLAGS")
text = " ".join(map(str, flags))
print(json.dumps({
    "python": platform.python_version(),
    "compiler": platform.python_compiler(),
    "pgo": "--enable-optimizations" in text or "-fprofile-use" in text,
    "versions": versions,
}))
"""


def collect(venv: Venv) -> dict:
    """The facts, as they go into the result file."""
    asked = subprocess.run(
        [venv.python, "-c", ASK],
        env=clean_environment(),
        check=True,
        capture_output=True,
        text=True,
    )
    return {
        "cpu": _cpu_model(),
        "cpus": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "Linux"),
        **json.loads(asked.stdout),
    }


def _cpu_model() -> str:
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
