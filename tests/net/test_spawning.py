"""What a child process is given, and how it is spawned."""

import asyncio
import contextlib
import os
import pathlib
import subprocess
import sys

import pytest

from tests.conftest import KINDS, factory_of
from tests.net.helpers import children
from tests.support import child_says, lasting_repr, spawn_tells

PIPE = asyncio.subprocess.PIPE


async def python(code, *args, **options):
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, *args, **options
    )


async def says(code, **options):
    """What a Python program prints to its standard output."""
    process = await python(code, stdout=PIPE, **options)
    out, _ = await process.communicate()
    return out.decode().strip()


@pytest.mark.parametrize(
    ("options", "code", "expected"),
    [
        ({"umask": 0o027}, "import os; print(oct(os.umask(0)))", "0o27"),
        ({"process_group": 0}, "import os; print(os.getpgrp() == os.getpid())", "True"),
        (
            {"start_new_session": True},
            "import os; print(os.getsid(0) == os.getpid())",
            "True",
        ),
        ({"cwd": "/"}, "import os; print(os.getcwd())", "/"),
        ({"cwd": b"/"}, "import os; print(os.getcwd())", "/"),
        ({"env": {"A": "1", "PATH": ""}}, "import os; print(os.environ['A'])", "1"),
        ({"env": {b"A": b"1"}}, "import os; print(os.environ['A'])", "1"),
        (
            {"restore_signals": False},
            "import signal; print(signal.getsignal(signal.SIGPIPE).name)",
            "SIG_IGN",
        ),
        (
            {"user": os.getuid(), "group": os.getgid()},
            "import os; print(os.getuid(), os.getgid())",
            f"{os.getuid()} {os.getgid()}",
        ),
        (
            {"preexec_fn": lambda: os.environ.update(A="by preexec_fn")},
            "import sys; print('ran')",
            "ran",
        ),
        ({"preexec_fn": lambda: os.chdir("/")}, "import os; print(os.getcwd())", "/"),
        (
            {"pipesize": 1 << 17},
            "import fcntl; print(fcntl.fcntl(1, fcntl.F_GETPIPE_SZ))",
            str(1 << 17),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_every_argument_is_honoured(run, options, code, expected):
    assert run(says(code, **options)) == expected


@pytest.mark.parametrize("how", ["pass_fds", "close_fds", "neither"])
def test_descriptors_reach_the_child_as_asked(run, how):
    read, write = os.pipe()
    os.set_inheritable(write, how == "close_fds")
    options = {
        "pass_fds": {"pass_fds": (write,)},
        "close_fds": {"close_fds": False},
        "neither": {},
    }[how]
    code = f"""
import os
try:
    os.fstat({write})
    print("open")
except OSError:
    print("closed")
"""
    try:
        assert run(says(code, **options)) == ("closed" if how == "neither" else "open")
    finally:
        os.close(read)
        os.close(write)


def test_a_program_is_found_in_the_path(run, tmp_path, monkeypatch):
    program = tmp_path / "a-program"
    program.write_text("#!/bin/sh\necho $0\n")
    program.chmod(0o755)

    async def name(**options):
        process = await asyncio.create_subprocess_exec(
            "a-program", stdout=PIPE, **options
        )
        out, _ = await process.communicate()
        return out.decode().strip()

    async def main():
        with pytest.raises(FileNotFoundError):
            await name()
        path = f"{tmp_path}:{os.environ['PATH']}"
        given = await name(env={"PATH": path})
        monkeypatch.setenv("PATH", path)
        own = await name()
        monkeypatch.delenv("PATH")
        with pytest.raises(FileNotFoundError):
            await name()
        return given, own

    assert run(main()) == (str(program), str(program))


def test_an_executable_of_another_name(run):
    async def main():
        exec_ = await asyncio.create_subprocess_exec(
            "not sh", "-c", "echo $0", executable="/bin/sh", stdout=PIPE
        )
        shell = await asyncio.create_subprocess_shell(
            "echo $0", executable="/bin/sh", stdout=PIPE
        )
        path_like = await asyncio.create_subprocess_exec(
            pathlib.Path("/bin/echo"), pathlib.Path("a"), b"b", stdout=PIPE
        )
        return [(await p.communicate())[0] for p in (exec_, shell, path_like)]

    assert run(main()) == [b"not sh\n", b"/bin/sh\n", b"a b\n"]


popen_leaves_pipes = pytest.mark.skipif(
    sys.version_info < (3, 11, 7),
    reason="Popen itself leaves them, in early patch releases",
)


@pytest.mark.parametrize(
    ("program", "options"),
    [
        ("/no/such/program", {}),
        ("no-such-program", {}),
        ("true", {"cwd": "/no/such/folder"}),
        ("/", {}),
        ("/etc/passwd", {}),
        ("tr\0ue", {}),
        ("true", {"env": {"A=B": "1"}}),
        ("true", {"env": {"A": 1}}),
        ("true", {"cwd": 5.0}),
        pytest.param("true", {"stdout": "no file"}, marks=popen_leaves_pipes),
        ("true", {"executable": "/no/such/program"}),
        ("true", {"no_such_argument": 1}),
        ("true", {"umask": "no number"}),
        ("true", {"process_group": 1 << 30}),
        ("true", {"process_group": 1 << 30, "cwd": "/"}),
        pytest.param("true", {"user": -5}, marks=popen_leaves_pipes),
        ("true", {"preexec_fn": lambda: 1 / 0}),
    ],
    ids=lasting_repr,
)
@spawn_tells
def test_what_cannot_be_spawned(program, options):
    """The same exception as from subprocess.Popen; no child and no fd is left."""

    async def main():
        try:
            await asyncio.create_subprocess_exec(program, stdin=PIPE, **options)
        except Exception as exc:
            return type(exc), str(exc), getattr(exc, "filename", None), exc.args

    others = children()
    found = {}
    for kind in {"asyncio", *KINDS}:
        with asyncio.Runner(loop_factory=factory_of(kind)) as runner:
            found[kind] = runner.run(main())
    assert found["asyncio"] is not None
    assert len(set(found.values())) == 1
    assert children() <= others


@spawn_tells
def test_what_cannot_be_spawned_is_told_piece_by_piece(run, monkeypatch):
    read = os.read
    monkeypatch.setattr(os, "read", lambda fd, n: read(fd, 1))

    async def main():
        with pytest.raises(FileNotFoundError) as caught:
            await asyncio.create_subprocess_exec("true", cwd="/no/such/folder")
        return caught.value.filename

    assert run(main()) == "/no/such/folder"


def test_popen_replaced(run, monkeypatch):
    """Who replaces subprocess.Popen sees it used."""
    seen = []

    class Own(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            seen.append(args)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(subprocess, "Popen", Own)

    async def main():
        process = await asyncio.create_subprocess_exec("true")
        return await process.wait()

    assert run(main()) == 0
    assert seen == [(("true",),)]


def test_the_popen_object(loop_kind, run):
    async def main():
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", "read x; exit 3", stdin=PIPE
        )
        popen = process._transport.get_extra_info("subprocess")
        before = repr(popen)
        process.stdin.close()
        await process.wait()
        assert isinstance(popen, subprocess.Popen)
        assert popen.pid == process.pid
        assert (type(popen) is subprocess.Popen) == (loop_kind == "asyncio")
        return before, repr(popen)

    args = "args: ('sh', '-c', 'read x; exit 3')>"
    assert run(main()) == (
        f"<Popen: returncode: None {args}",
        f"<Popen: returncode: 3 {args}",
    )


def test_an_auditor_hears_of_each_child(loop_kind):
    source = """
import asyncio, sys
heard = []
sys.addaudithook(
    lambda event, args: event == "subprocess.Popen" and heard.append(args)
)
async def main():
    process = await asyncio.create_subprocess_exec("true", cwd="/")
    await process.wait()
    process = await asyncio.create_subprocess_shell("exit 0", env={"A": "b"})
    await process.wait()
    try:
        await asyncio.create_subprocess_exec("/no/such/program")
    except FileNotFoundError:
        pass
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main())
print(heard)
"""
    assert child_says(loop_kind, source) == (
        "[('true', ['true'], '/', None),"
        " ('/bin/sh', ['/bin/sh', '-c', 'exit 0'], None, {'A': 'b'}),"
        " ('/no/such/program', ['/no/such/program'], None, None)]\n"
    )


def test_auditors_hear_of_no_posix_spawn(loop_kind):
    """asyncio's Popen has it run programs named with a folder, from 3.13 on."""
    source = """
import asyncio, sys
heard = []
sys.addaudithook(lambda event, args: event == "os.posix_spawn" and heard.append(args))
async def main():
    process = await asyncio.create_subprocess_exec("/bin/true")
    await process.wait()
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    runner.run(main())
print(len(heard))
"""
    heard = 1 if loop_kind == "asyncio" and sys.version_info >= (3, 13) else 0
    assert child_says(loop_kind, source) == f"{heard}\n"


@spawn_tells
@pytest.mark.parametrize("program", ["true", "no-such-program"])
def test_an_environment_is_asked_once(run, program):
    class Environment(dict):
        asked = 0

        def items(self):
            self.asked += 1
            return super().items()

    async def main():
        environment = Environment(os.environ)
        with contextlib.suppress(FileNotFoundError):
            process = await asyncio.create_subprocess_exec(program, env=environment)
            await process.wait()
        return environment.asked

    assert run(main()) == 1


def test_a_child_without_standard_files_of_its_own(loop_kind):
    source = """
import asyncio, os
async def main():
    said = []
    for program in ("true", "/no/such/program"):
        try:
            process = await asyncio.create_subprocess_exec(program)
            said.append(await process.wait())
        except FileNotFoundError as exc:
            said.append(exc.filename)
    return said
with asyncio.Runner(loop_factory=new_event_loop) as runner:
    for fd in (0, 2):
        os.close(fd)
    print(runner.run(main()))
"""
    assert child_says(loop_kind, source) == "[0, '/no/such/program']\n"
