"""The socket of the watch, and what blocks a loop as another process is told."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

import fastloop
from fastloop import _inquiry, _outside, _watch, blocked
from tests.watch.outside import PRELUDE, Program, command, sockets

BLOCKERS = {
    "sleep": ("time.sleep(60)", "off CPU"),
    "python": ("while True: pass", "Python"),
    "regex": ("re.match('(a|aa)+$', 'a' * 60 + 'b')", "C with the GIL"),
    "sleep_in_c": ("ctypes.PyDLL(None).sleep(60)", "off CPU with the GIL"),
}
BLIND = sys.version_info[:2] in [(3, 13), (3, 14)]  # cannot show what sleeps with it

IN_A_TASK = """
async def blocker():
    print("ready", flush=True)
    {0}
async def main():
    await asyncio.create_task(blocker(), name="mine")
fastloop.run(main())
"""
IN_A_TIMER = """
def blocker():
    print("ready", flush=True)
    {0}
async def main():
    asyncio.get_running_loop().call_later(0.001, blocker)
    await asyncio.sleep(60)
fastloop.run(main())
"""
IN_A_READER = """
def blocker():
    print("ready", flush=True)
    {0}
async def main():
    left, right = os.pipe()
    asyncio.get_running_loop().add_reader(left, blocker)
    os.write(right, b"x")
    await asyncio.sleep(60)
fastloop.run(main())
"""
IDLE = """
async def main():
    print("ready", flush=True)
    await asyncio.sleep(60)
fastloop.run(main())
"""


def run_main(capsys, words):
    """(code, stdout, stderr) of a command, in this process."""
    code = blocked.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("how", "place"),
    [
        *((how, IN_A_TASK) for how in BLOCKERS),
        ("regex", IN_A_TIMER),
        ("sleep", IN_A_READER),
    ],
)
def test_says_who_and_where(fast_kind, capsys, how, place):
    text, kind = BLOCKERS[how]
    with Program(place.format(text)) as program:
        code, out, err = run_main(capsys, [program.pid, "--wait", "30"])
        assert (code, err) == (0, "")
        first, *stack = out.splitlines()
        # between two steps of a Python loop the GIL may be hard to have
        assert f"({kind}" in first or how == "python"
        if kind in ("Python", "off CPU") and "GIL" not in first:
            assert first.startswith("mine (blocker)" if place is IN_A_TASK else "block")
        if how == "sleep_in_c" and BLIND:
            assert "in clock_nanosleep" in first and "cannot be read" in stack[0]
        else:
            assert 'File "<string>", line 5, in blocker' in out
        code, out, _ = run_main(capsys, [program.pid, "--json"])
        (loop,) = json.loads(out)["loops"]
        assert loop["busy_s"] >= 0.1 and loop["thread"] == program.pid


def test_when_nothing_blocks(fast_kind):
    with Program(IDLE) as program:
        code, out, err = command("blocked", program.pid)
        assert (code, err) == (1, "")
        assert out == f"no step of process {program.pid} is over 0.1 s\n"


def test_an_answer_imports_nothing(fast_kind, capsys):
    """Each file read gives the GIL up, which a loop that computes gives back late."""
    text = """
async def main():
    before = set(sys.modules)
    print("ready", flush=True)
    sys.stdin.readline()
    print(sorted(set(sys.modules) - before), flush=True)
fastloop.run(main())
"""
    with Program(text) as program:
        code, out, _ = run_main(capsys, [program.pid, "--wait", "30"])
        assert code == 0 and "in main" in out
        program.say("")
        assert program.line() == "[]"


def test_two_processes_and_their_ends(fast_kind, capsys):
    """Each is asked for itself; neither leaves its socket behind."""
    text = IN_A_TASK.format("sys.stdin.read()")
    with Program(text) as one, Program(text.replace("blocker", "other")) as two:
        assert len(sockets(one.pid)) == len(sockets(two.pid)) == 1
        assert "in blocker" in run_main(capsys, [one.pid, "--wait", "30"])[1]
        assert "in other" in run_main(capsys, [two.pid, "--wait", "30"])[1]
        for program in one, two:
            program.process.stdin.close()
            program.process.wait()
            assert sockets(program.pid) == []


# ---- refusals ----


@pytest.fixture
def refused(capsys):
    """refused(pid, code): what is said."""

    def refused(pid, code):
        got, out, err = run_main(capsys, [pid])
        assert (got, out) == (code, "") and err.startswith("fastloop: ")
        assert "Traceback" not in err
        return err

    return refused


def test_no_such_process(fast_kind, refused):
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert f"there is no process {child.pid}" in refused(child.pid, 3)  # a zombie
    child.wait()
    assert f"there is no process {child.pid}" in refused(child.pid, 3)
    for number in 0, -1, 2**40:
        refused(number, 3)


def test_no_fastloop_in_it(fast_kind, refused):
    with subprocess.Popen(["sleep", "60"]) as child:
        assert "no fastloop in process" in refused(child.pid, 5)
        child.kill()


def test_no_watch(fast_kind, refused):
    with Program(IDLE, watch="0") as program:
        assert "no watch is on there: start it with" in refused(program.pid, 6)


def test_a_process_that_ends(fast_kind, refused, monkeypatch):
    """It has given its memory back, and is no zombie yet."""

    def open_empty(path, **kwargs):
        return open("/dev/null" if path.endswith("/maps") else path, **kwargs)

    monkeypatch.setattr(_inquiry, "open", open_empty, raising=False)
    with subprocess.Popen(["sleep", "60"]) as child:
        assert "it ends" in refused(child.pid, 3)
        child.kill()


@pytest.mark.parametrize("looks", [False, True])
def test_a_watch_that_ends_meanwhile(fast_kind, monkeypatch, tmp_path, looks):
    """It may be between the two sides of a fork: it is asked again."""

    def serve():
        with server.accept()[0] as sock:
            if looks:
                sock.recv(1)
        with server.accept()[0] as sock:
            sock.recv(1)
            sock.sendall(b'{"loops": []}')

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        server.listen(1)
        monkeypatch.setattr(_inquiry, "_find", lambda pid: server.getsockname())
        thread = threading.Thread(target=serve)
        thread.start()
        assert _inquiry.ask(os.getpid(), "b")["loops"] == []
        thread.join()


BUSY = """
async def main():
    print("ready", flush=True)
    while True:
        await asyncio.sleep(0.01)
        {0}
fastloop.run(main())
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="no sys.remote_exec()")
def test_where_no_watch_is_on(fast_kind, capsys):
    """The command has the process open a socket; it reports nothing by itself."""
    with Program(BUSY.format("time.sleep(0.3)"), watch="0", log=True) as program:
        code, out, err = run_main(capsys, [program.pid, "--wait", "30"])
        if "it cannot be made to open one" in err:
            assert code == 6
            pytest.skip("this kernel does not permit it")
        assert code == 0 and "line 7, in main" in out
        assert len(sockets(program.pid)) == 1
        program.process.kill()
        assert "blocked" not in program.process.stderr.read()


def test_a_socket_that_was_removed(fast_kind, capsys):
    """As a session's end does, with all of /run/user: it is said, or made again."""
    with Program(BUSY.format("pass"), watch="5") as program:
        (path,) = sockets(program.pid)
        os.unlink(path)
        code, out, err = run_main(capsys, [program.pid])
        if sys.version_info < (3, 14) or "it cannot be made to open one" in err:
            assert code == 6 and f"its socket {path} was removed" in err
        else:
            assert (code, err) == (1, "") and "is over 5 s" in out
            assert sockets(program.pid) == [path]


@pytest.mark.skipif(sys.version_info < (3, 14), reason="no sys.remote_exec()")
def test_a_main_thread_that_comes_to_it_late(fast_kind, capsys):
    """The next command finds the socket, and the program's output stays its own."""
    late = """
async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(5):
        await asyncio.sleep(0.05)
    print("slept", flush=True)
    await asyncio.sleep(60)
fastloop.run(main())
"""
    with Program(late, watch="0", log=True) as program:
        code, _, err = run_main(capsys, [program.pid])
        if "it cannot be made to open one" in err:
            pytest.skip("this kernel does not permit it")
        assert code == 6 and "its main thread is held up" in err
        program.say("")
        assert program.line() == "slept"
        assert run_main(capsys, [program.pid])[0] == 1
        program.process.kill()
        assert program.process.stderr.read() == ""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="no sys.remote_exec()")
def test_where_the_kernel_does_not_permit(fast_kind, capsys, monkeypatch):
    def refuse(pid, path):
        raise PermissionError("no")

    monkeypatch.setattr(sys, "remote_exec", refuse)
    with Program(IDLE, watch="0") as program:
        code, _, err = run_main(capsys, [program.pid])
    assert code == 6 and "start it with" in err
    assert "(it cannot be made to open one: no)" in err


def test_a_quiet_watch(fast_kind, logs):
    """It answers, gives way to another one and does not replace any."""
    _watch.watch_quietly()
    quiet = _watch._current
    _watch.watch_quietly()
    assert _watch._current is quiet and len(sockets(os.getpid())) == 1
    with fastloop.watch(5) as loud:
        _watch.watch_quietly()
        assert _watch._current is loud
    assert sockets(os.getpid()) == [] and logs.take() == []


def test_another_version(fast_kind, refused, monkeypatch):
    with Program(IDLE) as program:
        monkeypatch.setattr(_inquiry, "__version__", "9.9")
        said = refused(program.pid, 7)
    assert f"has fastloop {fastloop.__version__}, this is 9.9" in said


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="other users need root")


@needs_root
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_another_users_process(fast_kind):
    """Neither that user's command nor a connection of its own gets in."""
    with Program(IDLE) as program:
        (path,) = sockets(program.pid)
        child = os.fork()
        if child == 0:
            os.setgid(65534)
            os.setuid(65534)
            code = 1
            try:
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(path)
            except PermissionError:
                code = blocked.main([str(program.pid)])
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 4


@needs_root
def test_the_peers_uid_is_looked_at(fast_kind, monkeypatch):
    """Even where the folder does not keep it out."""
    folder = tempfile.mkdtemp()
    monkeypatch.setattr(_outside, "folders", lambda uid: [f"{folder}/mine"])
    with fastloop.watch(5):
        (name,) = os.listdir(f"{folder}/mine")
        for path in folder, f"{folder}/mine", f"{folder}/mine/{name}":
            os.chmod(path, 0o777)
        program = """
import os, socket, sys
os.setuid(65534)
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
try:
    sock.send(b"b")
    print(sock.recv(10))
except ConnectionError:
    print(b"")
"""
        said = subprocess.check_output(
            [sys.executable, "-I", "-c", program, f"{folder}/mine/{name}"], text=True
        )
        assert said == "b''\n"
    shutil.rmtree(folder)


def test_a_folder_that_others_made(fast_kind, monkeypatch, tmp_path, logs):
    """No socket is put where others could have put theirs; the watch is on."""
    (tmp_path / "open").mkdir(mode=0o777)
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.setattr(
        _outside, "folders", lambda uid: [f"{tmp_path}/open", f"{tmp_path}/link"]
    )
    with fastloop.watch(5):
        assert not os.listdir(tmp_path / "open")
    assert "is not private to user" in logs.take_text()


def test_the_next_best_folder(fast_kind, monkeypatch, tmp_path):
    monkeypatch.setattr(
        _outside, "folders", lambda uid: [f"{tmp_path}/no/no", f"{tmp_path}/yes"]
    )
    with fastloop.watch(5):
        (name,) = os.listdir(tmp_path / "yes")
        assert name == f"{os.getpid()}-{fastloop.__version__}"
        assert stat.S_IMODE(os.stat(tmp_path / "yes").st_mode) == 0o700
    assert not os.listdir(tmp_path / "yes")


def test_what_the_dead_left(fast_kind, monkeypatch, tmp_path):
    """It is removed by who comes next; what lives stays."""
    monkeypatch.setattr(_outside, "folders", lambda uid: [f"{tmp_path}/mine"])
    (tmp_path / "mine").mkdir(mode=0o700)
    child = subprocess.Popen(["true"])
    child.wait()
    stale = f"{tmp_path}/mine/{child.pid}-0.0"
    before_exec = f"{tmp_path}/mine/{os.getpid()}-{fastloop.__version__}"
    alive = f"{tmp_path}/mine/{2**30}-0.0"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(alive)
        sock.listen()
        for path in stale, before_exec:
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(path)
        with fastloop.watch(5):
            left = set(os.listdir(tmp_path / "mine"))
            assert left == {os.path.basename(path) for path in (alive, before_exec)}


# ---- what clients do ----


def connect(pid):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    sock.connect(sockets(pid)[0])
    return sock


def test_clients_that_hang_keep_nobody_waiting(fast_kind, capsys):
    with Program(IN_A_TASK.format("sys.stdin.read()")) as program:
        silent = [connect(program.pid) for _ in range(4)]
        code, out, _ = run_main(capsys, [program.pid, "--wait", "30"])
        assert code == 0 and "line 5, in blocker" in out
        for sock in silent:
            assert sock.recv(1) == b""  # dropped, in time
            sock.close()


def test_a_flood_of_clients(fast_kind, capsys):
    """Some hundred of every kind; then it answers as before."""
    with Program(IN_A_TASK.format("sys.stdin.read()")) as program:
        path = sockets(program.pid)[0]
        many = []
        for number in range(300):
            sock = socket.socket(socket.AF_UNIX)
            sock.setblocking(False)
            try:
                sock.connect(path)
                sock.send([b"b", b"\0" * 50_000, b"?", b"s"][number % 4])
            except OSError:
                pass  # no more room
            many.append(sock)
            if number % 3 == 0:
                many.pop(0).close()
        for sock in many:
            sock.close()
        assert run_main(capsys, [program.pid, "--wait", "30"])[0] == 0


@pytest.mark.parametrize("question", [b"\0", b"?", b"\xff"])
def test_what_is_no_question(fast_kind, question):
    with fastloop.watch(5), connect(os.getpid()) as sock:
        sock.send(question)
        assert sock.recv(1) == b""


@pytest.mark.parametrize("cut", [b'{"loops": [', b"limit_s=0.1\nloop thread=", b"\xff"])
def test_an_answer_that_is_cut_short(fast_kind, refused, monkeypatch, cut):
    """As one is when who asks was stopped for too long."""
    with fastloop.watch(5):
        monkeypatch.setattr(_inquiry, "_exchange", lambda *args: cut)
        assert "it was cut short" in refused(os.getpid(), 8)


def test_a_client_that_hangs_does_not_hold_up_the_end(fast_kind):
    """Nor a fork: the watch ends at once."""
    with fastloop.watch(5):
        sock = connect(os.getpid())
        sock.send(b"b")
        began = time.monotonic()
    assert time.monotonic() - began < 0.5
    sock.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_both_sides_of_a_fork(fast_kind):
    """The child has a socket of its own, the parent has its again."""
    program = """
async def work():
    time.sleep(60)
print("ready", flush=True)
fastloop.watch(0.1)
child = os.fork()
if child == 0:
    print(os.getpid(), flush=True)
    fastloop.run(work())
sys.stdin.read()
os.kill(child, 9)
"""
    with Program(program, watch="0") as parent:
        child = int(parent.line())
        _, (block,) = blocked.look(child, 30)
        assert block["stack"][-1][2] == "work"
        assert blocked.look(parent.pid)[1] == []
        assert {len(sockets(pid)) for pid in (child, parent.pid)} == {1}
        os.kill(child, signal.SIGKILL)


def test_nothing_is_inherited_by_exec(fast_kind):
    program = """
import subprocess
print("ready", flush=True)
code = "import os; print([os.readlink(f'/proc/self/fd/{n}') for n in range(3, 40)" \\
    " if os.path.exists(f'/proc/self/fd/{n}')])"
print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
    close_fds=False).stdout)
sys.stdin.read()
"""
    with Program(program) as parent:
        assert "socket" not in parent.line()


def test_a_process_that_execs_is_another(fast_kind, capsys):
    program = """
print("ready", flush=True)
sys.stdin.readline()
os.execvp("sleep", ["sleep", "60"])
"""
    with Program(program) as other:
        assert run_main(capsys, [other.pid])[0] == 1
        other.say("go")
        end = time.monotonic() + 20
        while run_main(capsys, [other.pid])[0] not in (5, 6) and time.monotonic() < end:
            pass
        path = sockets(other.pid)
        assert run_main(capsys, [other.pid])[0] in (5, 6)
    for each in path:
        os.unlink(each)


def test_in_a_subinterpreter(fast_kind):
    """There is no watch in one; the process's own stays as it is."""
    if sys.version_info < (3, 12):
        pytest.skip("this Python's subinterpreters share too much")
    module = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    program = f"""
import {module} as interpreters
other = interpreters.create()
interpreters.run_string(other, '''
import fastloop
try:
    fastloop.watch(5)
except RuntimeError as error:
    print(error, flush=True)
''')
interpreters.destroy(other)
print("ready", flush=True)
sys.stdin.read()
"""
    done = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + program],
        stdin=-1,
        stdout=-1,
        text=True,
        env={**os.environ, "FASTLOOP_WATCH": "5"},
    )
    with done:
        assert done.stdout.readline() == "a subinterpreter cannot be watched\n"
        assert done.stdout.readline() == "ready\n"
        assert len(sockets(done.pid)) == 1
        done.stdin.close()


def test_who_comes_second_in_a_process(fast_kind, monkeypatch, tmp_path, logs):
    """The process has one socket: another interpreter's watch does without."""
    monkeypatch.setattr(_outside, "folders", lambda uid: [f"{tmp_path}/mine"])
    (tmp_path / "mine").mkdir(mode=0o700)
    path = f"{tmp_path}/mine/{os.getpid()}-{fastloop.__version__}"
    with socket.socket(socket.AF_UNIX) as first:
        first.bind(path)
        first.listen()
        fastloop.watch(5).stop()
        assert os.path.exists(path)
    assert "other processes cannot ask this one" in logs.take_text()


def test_names_that_would_drive_a_terminal(fast_kind, capsys):
    program = IN_A_TASK.replace('"mine"', "'\\x1b[2J\\n'").format("time.sleep(60)")
    with Program(program) as other:
        _, out, _ = run_main(capsys, [other.pid, "--wait", "30"])
    assert "?[2J? (blocker) has blocked" in out and "\x1b" not in out


def test_more_loops_than_one_looks_at(fast_kind):
    """The one that is blocked is found among them all, with the GIL and without."""
    program = """
async def rests():
    ready.release()
    await asyncio.Event().wait()
def in_a_thread():
    fastloop.run(rests())
ready = threading.Semaphore(0)
for _ in range(120):
    threading.Thread(target=in_a_thread, daemon=True).start()
    ready.acquire()
async def blocker():
    print("ready", flush=True)
    sys.stdin.readline()
    re.match('(a|aa)+$', 'a' * 60 + 'b')
fastloop.run(blocker())
"""
    with Program(program) as other:
        _, (block,) = blocked.look(other.pid, 30)
        assert block["stack"][-1][2] == "blocker" and block["kind"] == "off CPU"
        other.say("go")
        end = time.monotonic() + 30
        while "GIL" not in block["kind"] and time.monotonic() < end:
            _, (block,) = blocked.look(other.pid, 30)
        assert block["kind"] == "C with the GIL"
        assert "blocker" in [name for _, _, name in block["stack"]]


def test_no_thread_runs_while_the_loop_rests(fast_kind):
    """Nor makes a system call, then: of the watch's and of the loop's, for 2 s."""

    def times_run(pid):
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        texts = [Path(one, "schedstat").read_text() for one in tasks]
        return len(texts), sum(int(text.split()[2]) for text in texts)

    with Program(IDLE) as program:
        end = time.monotonic() + 30
        before, now = None, times_run(program.pid)
        while now != before or now[0] < 4:
            assert time.monotonic() < end, (before, now)
            time.sleep(2)
            before, now = now, times_run(program.pid)
        assert now[0] == 4
