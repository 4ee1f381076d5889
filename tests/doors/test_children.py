"""python -m fastloop --children: Pythons that the program starts."""

import os

import pytest

from tests.support import ROOT

from .programs import FASTLOOP, PYTHON, environment, run

# What a child says of itself.
CHILD = """\
import asyncio
async def main():
    kind = type(asyncio.get_running_loop())
    print(kind.__module__, kind.__name__, flush=True)
asyncio.run(main())
"""
SCRIPT = """\
import subprocess, sys
def start(*words, **options):
    subprocess.run([sys.executable, *words], check=True, **options)
"""
OURS = "fastloop Loop\n"
PATH = str(ROOT)  # where fastloop may be installed, it does no harm
THEIRS = "asyncio.unix_events _UnixSelectorEventLoop\n"


@pytest.fixture
def run_children(tmp_path):
    """What the program prints, run in a folder with a child.py."""
    (tmp_path / "child.py").write_text(CHILD)

    def run_children(program, *options, door=FASTLOOP, child=None, **changes):
        if child is not None:
            (tmp_path / "child.py").write_text(child)
        script = tmp_path / "script.py"
        script.write_text(SCRIPT + program)
        env = environment(**{"PYTHONPATH": PATH, **changes})
        done = run(door, *options, "script.py", cwd=tmp_path, env=env)
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        return done.stdout

    return run_children


@pytest.mark.parametrize("child", ["'child.py'", "'-m', 'child'", "'-c', CODE"])
def test_a_child_by_subprocess(run_children, child):
    program = f"CODE = {CHILD!r}\nstart({child})"
    assert run_children(program, "--children") == OURS
    assert run_children(program) == THEIRS


@pytest.mark.parametrize("flag", ["-I", "-E", "-S", "-IX dev"])
def test_a_child_that_leaves_out_the_environment(run_children, flag):
    program = f"start(*{flag.split(' ')!r}, 'child.py')"
    assert run_children(program, "--children") == THEIRS


def test_grandchildren(run_children):
    middle = f"{SCRIPT}start('-c', {CHILD!r})\n{CHILD}start('-c', {CHILD!r})"
    assert run_children("start('child.py')", "--children", child=middle) == 3 * OURS


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_of_a_pool(run_children, method):
    program = f"""
import asyncio, multiprocessing
from concurrent.futures import ProcessPoolExecutor

async def kind():
    return type(asyncio.get_running_loop()).__module__

def work():
    start("child.py")
    return asyncio.run(kind())

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        print(pool.submit(work).result())
"""
    assert run_children(program, "--children") == f"{OURS}fastloop\n"
    assert run_children(program) == f"{THEIRS}fastloop\n"
    assert run_children(program, door=PYTHON).endswith("asyncio.unix_events\n")


def test_options_follow(run_children):
    child = """
import asyncio, fastloop.aio
loop = asyncio.new_event_loop()
print(loop.get_debug(), asyncio.Lock is fastloop.aio.Lock)
loop.close()
"""
    program = "start('child.py')"
    said = run_children(program, "--children", "--debug", child=child)
    assert said == "True False\n"
    said = run_children(program, "--accelerate", "--children")
    assert said == "False True\n"


def test_the_watch_follows(tmp_path):
    child = CHILD.replace("    kind", "    import time; time.sleep(0.3)\n    kind", 1)
    (tmp_path / "child.py").write_text(child)
    (tmp_path / "script.py").write_text(f"{SCRIPT}start('child.py')")
    options = ["--children", "--watch", "0.1"]
    env = environment(PYTHONPATH=PATH)
    done = run(FASTLOOP, *options, "script.py", cwd=tmp_path, env=env)
    assert done.stdout == OURS
    assert "child.py" in done.stderr and "in main" in done.stderr


def test_nothing_but_the_loop_is_other_than_without(run_children, tmp_path):
    child = """
import sys
print(sys.path, sys.argv, sys.flags)
print([name for name in sys.modules if "fastloop" in name or name == "asyncio"])
print("sitecustomize" in sys.modules, sys.modules["__main__"].__dict__.keys())
"""
    elsewhere = tmp_path / "elsewhere"
    for path in PATH, f"{elsewhere}{os.pathsep}{PATH}", f"{PATH}{os.pathsep}":
        program = "start('child.py')"
        plain = run_children(program, door=PYTHON, child=child, PYTHONPATH=path)
        ours = run_children(program, "--children", child=child, PYTHONPATH=path)
        assert ours == plain


def test_pythonpath_keeps_what_it_had(run_children, tmp_path):
    child = "import os; print(os.environ['PYTHONPATH'])"
    had = f"{tmp_path}/one{os.pathsep}{PATH}"
    for _ in range(2):
        said = run_children(
            "start('-m', 'fastloop', '--children', 'child.py')",
            "--children",
            child=child,
            PYTHONPATH=had,
        )
        first, _, rest = said.rstrip("\n").partition(os.pathsep)
        assert (os.path.basename(first), rest) == ("_children", had)


def test_a_sitecustomize_of_the_users(run_children, tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("print('mine', flush=True)\nname = 'mine'")
    child = f"{CHILD}import sitecustomize; print(sitecustomize.name)"
    path = f"{folder}{os.pathsep}{PATH}"
    program = "start('child.py')"
    said = run_children(program, "--children", child=child, PYTHONPATH=path)
    assert said == f"mine\nmine\n{OURS}mine\n"


def test_a_sitecustomize_that_fails(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import no_such_module")
    (tmp_path / "child.py").write_text(CHILD)
    (tmp_path / "script.py").write_text(f"{SCRIPT}start('child.py')")
    path = f"{folder}{os.pathsep}{PATH}"
    env = environment(PYTHONPATH=path)
    plain = run(PYTHON, "script.py", cwd=tmp_path, env=env)
    ours = run(FASTLOOP, "--children", "script.py", cwd=tmp_path, env=env)
    assert (plain.stdout, ours.stdout) == (THEIRS, OURS)
    assert ours.stderr.count("no_such_module") == plain.stderr.count("no_such_module")


def test_a_child_that_imports_fastloop_first(run_children):
    child = f"import fastloop\n{CHILD}"
    assert run_children("start('child.py')", "--children", child=child) == OURS


def test_a_child_that_does_not_know_where_fastloop_is(run_children):
    program = """
import os
path = os.environ["PYTHONPATH"].split(os.pathsep)[0]
start("child.py", env={**os.environ, "PYTHONPATH": path})
"""
    child = f"import sys\nbefore = list(sys.path)\n{CHILD}print(sys.path == before)"
    assert run_children(program, "--children", child=child) == f"{OURS}True\n"


def test_a_child_that_is_led_there_by_itself(run_children):
    program = "start('-m', 'fastloop', 'child.py')"
    assert run_children(program, "--children") == OURS


@pytest.mark.parametrize("why", ["raise ImportError('not built')", "", "_door = 0"])
def test_a_child_without_fastloop(run_children, tmp_path, why):
    program = f"open('fastloop.py', 'w').write({why!r})\nstart('child.py')"
    assert run_children(program, "--children") == THEIRS


def test_a_child_may_be_left_out(run_children):
    program = """
import os
start("child.py", env={**os.environ, "FASTLOOP_CHILDREN": ""})
del os.environ["FASTLOOP_CHILDREN"]
start("child.py")
"""
    assert run_children(program, "--children") == 2 * THEIRS
