"""python -m fastloop --compare: a program with `python` and on fastloop."""

import os
import re
import signal

import pytest

from .programs import FASTLOOP, environment, run, start

COMPARE = [*FASTLOOP, "--compare"]
LOOP = """
import asyncio, sys

async def kind():
    return type(asyncio.get_running_loop()).__module__.split(".")[0]

"""
SCRIPT = f"""{LOOP}
print(*sys.argv[1:])
asyncio.run(kind())
"""
SAY_LOOP = f"{LOOP}print(asyncio.run(kind()))"


def compare(*program, options=(), env=None, **others):
    door = [*FASTLOOP, *options]
    if not any(word.startswith("--compare") for word in options):
        door.append("--compare")
    done = run(door, *program, env=env or environment(), **others)
    assert done.stderr == ""
    return done


@pytest.fixture
def script(tmp_path):
    """script(text): the path of a program of that text."""

    def script(text):
        path = tmp_path / "program.py"
        path.write_text(text)
        return str(path)

    return script


@pytest.mark.parametrize("way", ["script.py", "-m", "-c"])
def test_both_do_the_same(tmp_path, script, way):
    program = {
        "script.py": [script(SCRIPT)],
        "-m": ["-m", "program"],
        "-c": ["-c", SCRIPT],
    }[way]
    script(SCRIPT)
    done = compare(*program, "some", "--words", cwd=tmp_path)
    assert done.returncode == 0
    runs, table, ends = done.stdout.split("\n\n")
    assert re.sub(r" +\d+\.\d\d s", "", runs) == (
        "run 1, python, status 0\nrun 1, fastloop, status 0"
    )
    assert re.match(
        r"seconds +python +fastloop +ratio\n"
        r"CPU, user and system +\d+\.\d{3} +\d+\.\d{3} +\d+\.\d\d\n"
        r"wall clock +\d+\.\d{3} +\d+\.\d{3} +\d+\.\d\d\n",
        table + "\n",
    )
    assert "too brief" in table
    assert ends == "Both ended with status 0.\nBoth printed the same, 1 line.\n"


def test_each_is_on_its_loop():
    done = compare("-c", SAY_LOOP)
    assert done.returncode == 1
    assert done.stdout.endswith(
        "What they printed differs.\n  line 1: asyncio\n  line 1: fastloop\n"
    )


def test_the_environment_does_not_put_python_on_fastloop():
    """What a parent behind `--children` leaves there."""
    code = f"import subprocess, sys\nsys.exit(subprocess.run({COMPARE!r} + "
    code += f"['-c', {SAY_LOOP!r}]).returncode)"
    done = run([*FASTLOOP, "--children"], "-c", code)
    assert done.stdout.endswith("\n  line 1: asyncio\n  line 1: fastloop\n")


def test_several_runs_take_turns():
    done = compare("-c", SCRIPT, options=["--compare=3"])
    assert re.findall(r"^run (\d), (\w+)", done.stdout, re.M) == [
        (str(turn), label) for turn in (1, 2, 3) for label in ("python", "fastloop")
    ]
    assert "\nseconds, median of 3 " in done.stdout


def test_options_before_and_after_are_kept():
    code = f"{LOOP}print(sys.flags.dev_mode, asyncio.Lock.__module__, sys.warnoptions)"
    options = ["--accelerate", "-X", "dev", "--compare=1", "-W", "error"]
    done = compare("-c", code, options=options)
    python, ours = re.findall(r"^  line 1: (.*)$", done.stdout, re.M)
    assert python == "True asyncio.locks ['default', 'error']"
    assert ours == python.replace("asyncio.locks", "fastloop.aio")


def test_cpu_of_children_counts_and_a_long_run_is_not_too_brief():
    code = """
import os
if os.fork():
    os.wait()
else:
    while sum(os.times()[:2]) < 0.35:
        pass
"""
    done = compare("-c", code)
    (cpu,) = re.findall(r"^CPU.* (\d+\.\d{3}) +(\d+\.\d{3}) ", done.stdout, re.M)
    assert min(map(float, cpu)) >= 0.35
    assert "too brief" not in done.stdout


DIFFERENT = {
    "numbers": (
        "import os; print('pid', os.getpid())",
        0,
        "What they printed differs in numbers only, as where times are printed.\n",
    ),
    "more": (
        f"{LOOP}if asyncio.run(kind()) != 'asyncio': print('more')",
        1,
        "What they printed differs.\n  line 1: (nothing)\n  line 1: more\n",
    ),
    "lines in another order": (
        f"{LOOP}a = ['one', 'two']\nif asyncio.run(kind()) != 'asyncio': a = a[::-1]\n"
        "print(*a, sep='\\n')",
        1,
        "What they printed differs in the order of lines.\n"
        "  line 1: one\n  line 1: two\n",
    ),
    "each time": (
        "import os; print(os.urandom(9).hex().translate(dict(zip(b'0123456789',"
        "'ghijklmnop'))))",
        1,
        "With python alone, too, it prints something else each time.\n",
    ),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_what_differs_is_said(what):
    code, status, said = DIFFERENT[what]
    done = compare("-c", code, options=["--compare=2"])
    assert done.returncode == status
    assert said in done.stdout


def test_another_end_is_said():
    code = f"{LOOP}if asyncio.run(kind()) != 'asyncio': sys.exit('not here')"
    done = compare("-c", code)
    assert done.returncode == 1
    assert done.stdout.endswith(
        "fastloop wrote: not here\n"
        "With python it ended with status 0, on fastloop with status 1.\n"
        "Both printed the same, 0 lines.\n"
    )


def test_the_same_bad_end_is_said():
    done = compare("-c", "import os; os.kill(os.getpid(), 9)")
    assert done.returncode == 0
    assert "\nBoth ended with signal 9.\n" in done.stdout


def test_a_program_that_was_not_on_fastloop_is_named():
    code = f"{LOOP}class Mine(asyncio.SelectorEventLoop): pass\n"
    code += "Mine().run_until_complete(kind())"
    done = compare("-c", code)
    note = "fastloop wrote: fastloop: ran on __main__.Mine, not on fastloop; to switch"
    assert note in done.stdout


READ = "import sys; print(sys.stdin.read().upper())"


def test_a_file_on_standard_input_is_read_by_both(tmp_path):
    (tmp_path / "words").write_text("first\nsecond\n")
    with open(tmp_path / "words") as words:
        os.lseek(words.fileno(), 6, os.SEEK_SET)
        code = f"{LOOP}{READ}; asyncio.run(kind()) != 'asyncio' and print('us')"
        done = compare("-c", code, stdin=words)
    assert done.stdout.endswith("  line 3: (nothing)\n  line 3: us\n")
    with open(tmp_path / "words") as words:
        done = compare("-c", READ, stdin=words)
    assert "Both printed the same, 3 lines." in done.stdout


def test_a_pipe_on_standard_input_is_not_read():
    done = compare("-c", READ, input="text")
    assert done.stdout.startswith(
        "standard input can be read but once: both find it empty (use < FILE)\n"
    )
    assert done.stdout.endswith("Both printed the same, 1 line.\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_program_that_does_not_end_is_stopped(tmp_path, number):
    code = f"""{LOOP}
import os, signal
async def main():
    os.mkfifo("child") if not os.path.exists("child") else None
    with open("child", "w") as fifo:
        fifo.write(str(os.getpid()))
    try:
        await asyncio.Event().wait()
    finally:
        print("clean", file=open("end", "w"))
asyncio.run(main())
"""
    os.mkfifo(tmp_path / "child")
    with start(COMPARE, "-c", code, cwd=tmp_path) as process:
        pid = int((tmp_path / "child").read_text())
        process.send_signal(number)
        output, error = process.communicate(timeout=20)
    assert (process.returncode, error) == (130, "")
    assert output == "stopped: only a program that ends by itself can be compared\n"
    assert (tmp_path / "end").read_text() == "clean\n"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_second_ctrl_c_kills(tmp_path):
    os.mkfifo(tmp_path / "child")
    code = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
while True:
    with open("child", "w") as fifo:
        fifo.write("ready")
    signal.sigwait([signal.SIGINT])
"""
    with start(COMPARE, "-c", code, cwd=tmp_path) as process:
        for _ in range(2):
            assert (tmp_path / "child").read_text() == "ready"
            process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 130 and output.startswith("stopped: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--compare"], "--compare wants a script, -m module or -c code"),
        (["--compare", "-"], "--compare wants a script, -m module or -c code"),
        (["--compare=0", "x.py"], "--compare takes a count of runs, not '0'"),
        (["--compare=x", "x.py"], "--compare takes a count of runs, not 'x'"),
    ],
)
def test_wrong_command_lines(words, message):
    done = run(FASTLOOP, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"error: {message}" in done.stderr


def test_it_is_loaded_only_when_asked_for():
    code = "import sys; print('fastloop._compare' in sys.modules)"
    assert run(FASTLOOP, "-c", code).stdout == "False\n"
