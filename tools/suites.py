"""Run packages' own tests on asyncio and on fastloop, and compare how each test ended.

    python tools/suites.py [asyncpg] [aiosmtpd] [hypercorn]

With the Python that has fastloop; the packages get an environment of their own in
build/. The tests are those of a package's source on PyPI. What failed on either loop is
run again by itself, since a busy machine may hold a test up past its time. Exits 1 if
then a test ends worse on fastloop than on asyncio.
"""

import asyncio
import collections
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import servers

ROOT = Path(__file__).resolve().parent.parent
LONGEST_S = 900
RESULTS = "SUITES_RESULTS"  # where the plugin below leaves how the tests ended
DOORS = {"asyncio": [], "fastloop": ["-m", "fastloop"]}
LOOPS = {"asyncio": "_UnixSelectorEventLoop", "fastloop": "Loop"}
NOBODY = ["--map-user=65534", "--map-group=65534"]


@dataclass(frozen=True)
class Suite:
    """A package's tests: its version, where they are, and what they want beside it.

    Not all that a package needs is named: pip knows the rest.
    """

    version: str
    folder: str
    needs: tuple[str, ...]
    options: tuple[str, ...] = ()
    hidden: str = ""  # the folder of the source that would be taken for the package
    has_postgres: bool = False


SUITES = {
    "asyncpg": Suite(
        version="0.32.0",
        folder="tests",
        needs=("distro==1.9.0",),
        hidden="asyncpg",
        has_postgres=True,
    ),
    "aiosmtpd": Suite(
        version="1.4.6",
        folder="aiosmtpd/tests",
        needs=("pytest-mock==3.17.0", "setuptools==75.8.0"),
    ),
    "hypercorn": Suite(
        version="0.18.0",
        folder="tests",
        # h2 4.4 refuses a head that a test of theirs sends
        needs=("h2==4.3.0", "httpx==0.28.1", "pytest-trio==0.8.0", "trio==0.35.0"),
        options=("--ignore=tests/trio",),
    ),
}
COMMON = ("pytest>=9", "pytest-asyncio==1.5.0")
OPTIONS = (
    *("-q", "-p", "suites", "-p", "no:cacheprovider", "-o", "addopts="),
    # some take a warning, that it is not set, for an error
    *("-o", "asyncio_default_fixture_loop_scope=function"),
)


class SuiteError(Exception):
    """Tests that could not be run; the message says why."""


def main(names: list[str]) -> int:
    """The command."""
    unknown = set(names) - set(SUITES)
    if unknown:
        print(f"suites: no tests of {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    python = environment()
    worse = False
    for name in names or SUITES:
        try:
            worse |= compare(name, SUITES[name], python)
        except (SuiteError, servers.Absent) as error:
            print(f"{name}: {error}", flush=True)
            worse |= isinstance(error, SuiteError)
    return int(worse)


# --- what is run ---------------------------------------------------------------


def environment() -> Path:
    """The Python of an environment with all the packages."""
    version = "{}.{}".format(*sys.version_info)
    folder = ROOT / "build" / f"suites-{version}"
    wanted = [*COMMON]
    for name, suite in SUITES.items():
        wanted += [f"{name}=={suite.version}", *suite.needs]
    digest = hashlib.sha256(repr([sys.version, wanted]).encode()).hexdigest()
    stamp, python = folder / "stamp", folder / "bin" / "python"
    if not (stamp.exists() and stamp.read_text() == digest):
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip(python, "install", "--only-binary=:all:", *wanted)
        stamp.write_text(digest)
    return python


def pip(python: Path, *arguments: object) -> None:
    """Run pip. Raises SuiteError with its last word."""
    done = subprocess.run(
        list(map(str, [python, "-m", "pip", "--quiet", *arguments])),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        said = done.stdout.strip().splitlines() or ["pip failed"]
        raise SuiteError(said[-1])


def unpack(name: str, suite: Suite, python: Path, folder: Path) -> Path:
    """The package's source, without what would be taken for the installed package."""
    pinned = f"{name}=={suite.version}"
    source = ["--no-deps", "--no-binary", name, "--dest", folder]
    pip(python, "download", *source, pinned)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    (unpacked,) = (path for path in folder.iterdir() if path.is_dir())
    if suite.hidden:
        shutil.rmtree(unpacked / suite.hidden)
    return unpacked


def variables(suite: Suite, results: Path) -> dict[str, str]:
    """The environment of a run."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "PYTHON"))}
    kept |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tools'}", RESULTS: str(results)}
    if suite.has_postgres:
        folder = Path(servers.find_postgres("postgres")).resolve().parent
        kept |= {"PGINSTALLATION": str(folder)}
    return kept


def run(kind: str, suite: Suite, python: Path, folder: Path, only: list[str]) -> Any:
    """How each test ended on a loop of that kind, by its name. Raises SuiteError."""
    results, log = folder / "results.json", folder / "log"
    results.unlink(missing_ok=True)
    tests = only or [suite.folder]
    command: list[object] = [python, *DOORS[kind], "-m", "pytest"]
    command += [*OPTIONS, *suite.options, *tests]
    if suite.has_postgres and os.geteuid() == 0:
        # whoever it is there, PostgreSQL sees no root, and all files are its own
        command = [servers.find("unshare"), *NOBODY, *command]
    with log.open("w") as output:
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=folder,
            env=variables(suite, results),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(LONGEST_S)
        except subprocess.TimeoutExpired:
            raise SuiteError(f"over {LONGEST_S} s on {kind}") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if not results.exists():
        raise SuiteError(f"nothing ran on {kind}: {log.read_text()[-2000:]}")
    found = json.loads(results.read_text())
    if found["loop"] != LOOPS[kind]:
        raise SuiteError(f"ran on {found['loop']}, not on {kind}")
    return found["outcomes"]


# --- how they ended --------------------------------------------------------------


def compare(name: str, suite: Suite, python: Path) -> bool:
    """Print how a package's tests ended; whether one ended worse on fastloop."""
    with tempfile.TemporaryDirectory() as given:
        folder = unpack(name, suite, python, Path(given))
        ended = {kind: run(kind, suite, python, folder, []) for kind in DOORS}
        for kind in DOORS:
            failed = [test for test, how in ended[kind].items() if how == "failed"]
            if 0 < len(failed) < 20:
                again = run(kind, suite, python, folder, failed)
                print(f"{name} on {kind}, again: {counts(again)}", flush=True)
                ended[kind] |= again
    said = [f"{kind} {counts(ended[kind])}" for kind in DOORS]
    print(f"{name} {suite.version}: {'; '.join(said)}", flush=True)
    theirs, ours = ended["asyncio"], ended["fastloop"]
    worse = False
    for test in sorted(theirs.keys() | ours.keys()):
        pair = theirs.get(test, "absent"), ours.get(test, "absent")
        if pair[0] != pair[1] or "failed" in pair:
            print(f"  {test}: {pair[0]} on asyncio, {pair[1]} on fastloop", flush=True)
            worse |= pair[1] not in (pair[0], "passed")
    return worse


def counts(ended: dict[str, str]) -> str:
    """For example: 370 passed, 11 skipped."""
    found = collections.Counter(ended.values())
    return ", ".join(f"{found[how]} {how}" for how in sorted(found))


# --- as a plugin of the pytest that runs them -----------------------------------

outcomes: dict[str, str] = {}


def pytest_runtest_logreport(report: Any) -> None:
    """A test has failed if any part of it, or a subtest, has."""
    if outcomes.get(report.nodeid) != "failed":
        if report.failed or report.skipped:
            outcomes[report.nodeid] = report.outcome
        elif report.when == "call":
            outcomes.setdefault(report.nodeid, "passed")


def pytest_sessionfinish() -> None:
    """Leave how they ended, and on what."""
    loop = asyncio.new_event_loop()
    loop.close()
    found = {"loop": type(loop).__name__, "outcomes": outcomes}
    Path(os.environ[RESULTS]).write_text(json.dumps(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
