"""The venv of a run: pinned peers, fastloop from this tree, our C programs."""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from harness import BENCHMARKS, ROOT

SOURCES = ("csrc", "fastloop", "tools", "setup.py", "pyproject.toml", "MANIFEST.in")


class SetupError(Exception):
    """The run cannot be set up; the message says what to do."""


@dataclass
class Venv:
    """A ready venv: its interpreter, its version X.Y, and what is missing in it."""

    folder: Path
    version: str
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def program(self, name: str) -> Path:
        """Where a C program of ours is put."""
        return self.folder / "bin" / name


def clean_environment() -> dict[str, str]:
    """The environment of children: no debug switches, one hash seed."""
    env = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("FASTLOOP_", "PYTHON"))
    }
    env["PYTHONHASHSEED"] = "0"
    return env


def find_python(wanted: str | None) -> tuple[str, str]:
    """The interpreter for `--python` (a version X.Y or a program), and its X.Y.

    Raises SetupError if there is none.
    """
    if wanted is None:
        program = sys.executable
    else:
        name = f"python{wanted}" if wanted[0].isdigit() else wanted
        program = shutil.which(name)
        if program is None:
            raise SetupError(f"{name} was not found; install it or give its path")
    version = subprocess.run(
        [program, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    return program, version


def prepare(wanted: str | None, *, with_fastloop: bool = True, say=print) -> Venv:
    """Make the venv, or bring the one of an earlier run up to date.

    Raises SetupError if something that every run needs cannot be had.
    """
    program, version = find_python(wanted)
    venv = Venv(BENCHMARKS / f".venv-{version}", version)
    if not venv.python.exists():
        say(f"making {venv.folder.relative_to(ROOT)}")
        subprocess.run([program, "-m", "venv", venv.folder], check=True)
    for name in ("tools", "peers", "apps"):
        _install_requirements(venv, BENCHMARKS / f"requirements-{name}.txt", say)
    if with_fastloop:
        _install_fastloop(venv, say)
    _build_programs(venv)
    return venv


def _pip(venv: Venv, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    # pip's own PYTHON... and PIP_... settings are the user's: leave them alone here.
    env = {k: v for k, v in os.environ.items() if not k.startswith("FASTLOOP_")}
    return subprocess.run(
        [venv.python, "-m", "pip", "install", "--quiet", *arguments],
        env=env,
        capture_output=True,
        text=True,
    )


def _stamped(venv: Venv, name: str, digest: str) -> bool:
    stamp = venv.folder / f"{name}.stamp"
    return stamp.exists() and stamp.read_text() == digest


def _stamp(venv: Venv, name: str, digest: str) -> None:
    (venv.folder / f"{name}.stamp").write_text(digest)


def _install_requirements(venv: Venv, listed: Path, say) -> None:
    digest = hashlib.sha256(listed.read_bytes()).hexdigest()
    if _stamped(venv, listed.stem, digest):
        return
    say(f"installing {listed.name}")
    complete = True
    for line in listed.read_text().splitlines():
        # One at a time: a package that cannot be had must not cost the others.
        done = _pip(venv, "--only-binary=:all:", line)
        if done.returncode:
            complete = False
            name = line.partition("=")[0]
            lines = done.stderr.strip().splitlines() or ["pip failed"]
            venv.missing[name] = f"not installable: {lines[-1][:100]}"
            say(f"  {name}: {venv.missing[name]}")
    if complete:
        _stamp(venv, listed.stem, digest)


def _tree_digest() -> str:
    digest = hashlib.sha256()
    for name in SOURCES:
        top = ROOT / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.suffix in {".c", ".h", ".py", ".toml", ".in"} and path.is_file():
                digest.update(str(path.relative_to(ROOT)).encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _install_fastloop(venv: Venv, say) -> None:
    if not (ROOT / "setup.py").exists():
        venv.missing["fastloop"] = "no setup.py in this tree"
        return
    digest = _tree_digest()
    if _stamped(venv, "fastloop", digest):
        return
    say("building fastloop in release mode")
    # Not from the tree itself: a build there would share build/ with other builds.
    copy = venv.folder / "fastloop-source"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in (*SOURCES, "README.md", "LICENSE"):
        source = ROOT / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("*.so", "__pycache__")
            shutil.copytree(source, copy / name, ignore=ignore)
        elif source.exists():
            shutil.copy(source, copy / name)
    done = _pip(
        venv, "--no-deps", "--no-build-isolation", "--force-reinstall", str(copy)
    )
    if done.returncode:
        raise SetupError(f"building fastloop failed:\n{done.stdout}{done.stderr}")
    _stamp(venv, "fastloop", digest)


def _build_programs(venv: Venv) -> None:
    where = "import sysconfig as s; print(s.get_path('include'), s.get_path('platlib'))"
    asked = subprocess.run(
        [venv.python, "-c", where], check=True, capture_output=True, text=True
    )
    include, packages = asked.stdout.split()
    shared = ["-shared", "-fPIC", f"-I{include}"]
    for source in sorted((BENCHMARKS / "c").glob("floor*.c")):
        extension = Path(packages) / f"benchmark_{source.stem}.so"
        _compile(source, extension, *shared)
    for source in sorted((BENCHMARKS / "c").glob("bench_*.c")):
        _compile(source, venv.program(source.stem))


def _compile(source: Path, target: Path, *options: str) -> None:
    newest = max(path.stat().st_mtime for path in source.parent.iterdir())
    if target.exists() and target.stat().st_mtime > newest:
        return
    compiler = os.environ.get("CC", "gcc")
    warnings = ["-Wall", "-Wextra", "-Werror"]
    done = subprocess.run(
        [compiler, "-std=c11", "-O2", *warnings, *options, source, "-o", target],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SetupError(f"building {source.name} failed:\n{done.stderr}")
