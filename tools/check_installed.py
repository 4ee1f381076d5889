"""Check fastloop as it is installed, from a wheel, for the Python that runs this.

    python tools/check_installed.py

Looks at what lies on disk and what its metadata say, runs a program on it, and holds it
to its budgets of size and of import time. Prints the figures; names every failure.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SIZE_LIMIT_BYTES = 1_000_000
# How many times slower than others this machine is (tools/arm64.sh).
SLOWER = float(os.environ.get("FASTLOOP_TESTS_SLOWER", "1"))
# What qemu runs for the first time it translates before: an import is hardly else.
EMULATED = os.environ.get("FASTLOOP_TESTS_EMULATED") == "1"
IMPORT_LIMIT_S = (0.050 if EMULATED else 0.010) * SLOWER
IMPORTS = 10
TIME_IMPORT = """
import asyncio, time
start = time.process_time()
import fastloop
print(time.process_time() - start)
"""


def run(*arguments: str) -> str:
    """Return what this Python prints, run in a folder that holds nothing."""
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=120 * SLOWER,
        ).stdout


def check_place(installed: Distribution) -> Iterator[str]:
    """It is a copy, not a checkout."""
    path = run("-c", "import fastloop; print(fastloop.__file__)").strip()
    if Path(path).resolve() != Path(str(installed.locate_file("fastloop/__init__.py"))):
        yield f"imports from {path}, where nothing was installed"


def check_files(installed: Distribution) -> Iterator[str]:
    """The package, its metadata and nothing else, within the size budget."""
    files = installed.files or []
    tops = {file.parts[0] for file in files}
    if {top for top in tops if not top.endswith(".dist-info")} != {"fastloop"}:
        yield f"installs more than the package: {sorted(tops)}"
    names = {file.name for file in files}
    if absent := {"py.typed", "_core.pyi", "LICENSE"} - names:
        yield f"lacks {sorted(absent)}"
    if sources := [str(f) for f in files if f.suffix in (".c", ".h", ".o")]:
        yield f"installs sources: {sources}"
    sizes = {file: Path(str(file.locate())).stat().st_size for file in files}
    # What pip compiles afterwards is its own choice, and Python's to keep small.
    caches = sum(size for file, size in sizes.items() if file.suffix == ".pyc")
    size = sum(sizes.values()) - caches
    print(f"installed size: {size} bytes of {SIZE_LIMIT_BYTES}, and {caches} of .pyc")
    if size > SIZE_LIMIT_BYTES:
        yield f"{size} bytes installed, more than {SIZE_LIMIT_BYTES}"


def check_metadata(installed: Distribution) -> Iterator[str]:
    """Licence, tags, and no dependency at run time."""
    said = installed.metadata
    if said.get("License-Expression") != "MIT" or said.get("License") is not None:
        yield "the licence is not said by an expression"
    if said.get_all("License-File") != ["LICENSE"]:
        yield f"licence files: {said.get_all('License-File')}"
    needed = [r for r in installed.requires or [] if "extra ==" not in r]
    if needed:
        yield f"needs {needed} at run time"
    python = "cp{}{}".format(*sys.version_info[:2])
    wheel = (installed.read_text("WHEEL") or "").splitlines()
    tags = [line.partition(": ")[2] for line in wheel if line.startswith("Tag: ")]
    print(f"tags: {' '.join(tags)}")
    if not tags or not all(tag.startswith(f"{python}-{python}-") for tag in tags):
        yield f"the wheel's tags are {tags}, not {python}-{python}-..."


def check_symbols(installed: Distribution) -> Iterator[str]:
    """The module's init function is all that others can link to."""
    (module,) = (f for f in installed.files or [] if f.match("fastloop/_core.*.so"))
    nm = shutil.which("nm")
    if nm is None:
        print("exported symbols: not looked at, there is no nm here")
        return
    command = [nm, "-D", "--defined-only", str(module.locate())]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    names = [line.split()[-1] for line in lines.stdout.splitlines()]
    print(f"exported symbols: {' '.join(names)}")
    if names != ["PyInit__core"]:
        yield f"exports {names}"


def check_programs(_: Distribution) -> Iterator[str]:
    """The example runs on it, by name and by `python -m fastloop`."""
    demo = str(ROOT / "examples" / "demo.py")
    loop = json.loads(run("-m", "fastloop", demo))["loop"]
    print(f"python -m fastloop ran the example on {loop}")
    if not loop.startswith("fastloop."):
        yield f"python -m fastloop ran the example on {loop}"
    code = "import asyncio, fastloop; print(fastloop.run(asyncio.sleep(0, 42)))"
    if run("-c", code) != "42\n":
        yield "fastloop.run did not return what its coroutine did"


def check_import_time(_: Distribution) -> Iterator[str]:
    """Importing it costs little beside importing asyncio."""
    least = min(float(run("-c", TIME_IMPORT)) for _ in range(IMPORTS))
    print(f"import: {least * 1e3:.1f} ms beyond asyncio's, of {IMPORT_LIMIT_S * 1e3}")
    if least > IMPORT_LIMIT_S:
        yield f"the import takes {least * 1e3:.1f} ms"


CHECKS = [
    check_place,
    check_files,
    check_metadata,
    check_symbols,
    check_programs,
    check_import_time,
]


def main() -> int:
    """The command."""
    installed = distribution("asyncio-fastloop")
    failures = [failure for check in CHECKS for failure in check(installed)]
    for failure in failures:
        print(f"FAILED  {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
