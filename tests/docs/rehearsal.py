"""Commands of the pages that change a machine, run so that they only say so.

`apt install` simulates; `pip install` of this project reads its metadata as it would
before compiling, and other packages must be installed already. A Dockerfile's lines are
read one by one, in a folder that stands for the image.
"""

import importlib.metadata
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What the pages write where a reader puts the address of the repository.
ADDRESS = "https://git.example.org/fastloop.git"
TIMEOUT_S = 100
SOURCES = ["csrc", "fastloop", "tools", "LICENSE", "README.md", "pyproject.toml"]
SOURCES += ["setup.py", "MANIFEST.in", "CHANGELOG.md"]


def run(*command, folder=None):
    """What a command prints; it must succeed."""
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def checkout(folder):
    """A copy of what a build reads, in a new folder."""
    folder.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


def repository(folder):
    """The same as a repository of git."""
    if shutil.which("git") is None:
        pytest.skip("no git")
    checkout(folder)
    git = ["git", "-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]
    run(*git, "init", "-q", folder=folder)
    run(*git, "add", "-A", folder=folder)
    run(*git, "commit", "-q", "-m", "A copy", folder=folder)
    return folder


def install_with_apt(packages):
    """The packages have names that this machine's apt knows."""
    if shutil.which("apt-get") is None:
        pytest.skip("not a Debian machine")
    known = subprocess.run(
        ["apt-cache", "show", *packages], capture_output=True, text=True
    )
    if not known.stdout:
        pytest.skip("apt has no lists here")
    run("apt-get", "install", "--simulate", "-y", *packages)


def install_with_pip(words, sources):
    """A `pip install` or `pip wheel`; sources are folders by their names there."""
    _, verb, *words = words
    assert verb in ("install", "wheel")
    ours = []
    while words:
        word = words.pop(0)
        if word == "--wheel-dir":
            words.pop(0)
        elif word in sources:
            ours.append(str(sources[word]))
        elif word.endswith("*.whl"):
            ours += map(str, sources.values())
        elif word != "--no-deps":
            importlib.metadata.version(word)
    options = ["--dry-run", "--no-deps", "--no-index", "--no-build-isolation"]
    said = run(sys.executable, "-m", "pip", "install", *options, *ours)
    assert "Would install asyncio-fastloop-" in said.replace("_", "-"), said


def say_what_it_would_do(command, folder):
    """Rehearse a command of a page."""
    words = shlex.split(command, comments=True)
    if words[:3] == ["sudo", "apt", "install"]:
        install_with_apt([word for word in words[3:] if word != "-y"])
    elif words[:2] == ["pip", "install"] and words[2] == f"git+{ADDRESS}":
        address = f"git+file://{repository(folder / 'repository')}"
        install_with_pip(words, {words[2]: address})
    elif words[:2] == ["pip", "install"]:
        install_with_pip(words, {".": checkout(folder / "checkout")})
    elif words[:3] == ["python3", "-m", "venv"]:
        # pip is copied into one in seconds, and is here already
        run(sys.executable, *words[1:], "--without-pip", folder=folder)
    elif words[0] == ".":
        assert (folder / words[1]).exists()
    else:
        raise AssertionError(f"nobody knows how to rehearse {command}")


def dockerfile(text, folder):
    """Rehearse each line but the last; return the command of that one.

    The folder is what Docker would be given, with this checkout in fastloop/, and an
    app.py if the page has none.
    """
    context = checkout(folder / "fastloop")
    app = folder / "app.py"
    if not app.exists():
        app.write_text(
            "import asyncio\n\n\nasync def main():\n"
            "    print(type(asyncio.get_running_loop()))\n\n\nasyncio.run(main())\n"
        )
    *lines, last = text.splitlines()
    sources = {}
    for line in lines:
        instruction, *words = line.split()
        if instruction == "FROM":
            assert words[0].startswith("python:3.")
        elif instruction == "COPY":
            *options, source, target = words
            if not options:
                assert (folder / source).exists(), line
                sources |= {target: context} if source == "fastloop" else {}
        else:
            assert instruction == "RUN" and words[0] == "pip", line
            install_with_pip(words, sources)
    instruction, _, command = last.partition(" ")
    assert instruction == "CMD"
    # Out of the way of `import fastloop`, in which the copy is not compiled.
    shutil.rmtree(context)
    return shlex.join(json.loads(command))
