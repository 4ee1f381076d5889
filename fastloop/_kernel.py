"""A Jupyter kernel whose notebooks run on fastloop."""

import importlib.util
import json
import os
import sys
from pathlib import Path

NAME = "fastloop"


def folder() -> Path:
    """Where Jupyter finds the kernel: JUPYTER_DATA_DIR if that is set, else the
    folder of this virtual environment, or else the user's."""
    if "JUPYTER_DATA_DIR" in os.environ:
        data = Path(os.environ["JUPYTER_DATA_DIR"])
    elif sys.prefix != sys.base_prefix:
        data = Path(sys.prefix, "share", "jupyter")
    else:
        share = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        data = Path(share, "jupyter")
    return data / "kernels" / NAME


def install() -> int:
    """Write the kernel's description, say where; returns the exit status."""
    if importlib.util.find_spec("ipykernel") is None:
        sys.stderr.write(
            f"There is no ipykernel for {sys.executable}:"
            " `pip install ipykernel` there, then do this again.\n"
        )
        return 1
    argv = [sys.executable, "-m", "fastloop", "-m", "ipykernel_launcher"]
    version = ".".join(map(str, sys.version_info[:2]))
    kernel = {
        "argv": [*argv, "-f", "{connection_file}"],
        "display_name": f"Python {version} on fastloop",
        "language": "python",
        "metadata": {"debugger": True},
    }
    target = folder()
    try:
        target.mkdir(parents=True, exist_ok=True)
        (target / "kernel.json").write_text(json.dumps(kernel, indent=1) + "\n")
    except OSError as error:
        sys.stderr.write(f"The kernel cannot be written to {target}: {error}\n")
        return 1
    sys.stdout.write(
        f"Jupyter kernel `{NAME}` is in {target}\n"
        f"Use it: jupyter console --kernel {NAME}, or choose it in a notebook.\n"
    )
    return 0
