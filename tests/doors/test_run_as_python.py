"""What a program finds around it: as `python` lays it, in whichever form it is run."""

import sys
import zipfile

import pytest

from .programs import FASTLOOP, PYTHON, run, run_both

# Prints all that a program can see of the way it was run.
LOOK = """\
import sys as _sys
_main = _sys.modules['__main__']
print({k: v for k, v in globals().items() if not k.startswith('_') or k[1] == '_'
       and k != '__builtins__'})
print(type(__builtins__), list(globals())[:5], vars(_main) is globals())
print(_sys.argv, _sys.path, _sys.flags)
"""

FLAGS_FOR_PATHS = {"none": (), "safe path": ("-P",), "isolated": ("-I",)}
FLAGS = FLAGS_FOR_PATHS | {
    "no environment": ("-E",),
    "optimised": ("-OO",),
    "developer": ("-X", "dev"),
    "warnings are errors": ("-W", "error"),
}


@pytest.fixture
def place(tmp_path):
    """A folder with one program in every form that Python can run."""
    (tmp_path / "look.py").write_text(LOOK)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "link.py").symlink_to("../look.py")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "__main__.py").write_text(LOOK)
    (tmp_path / "package" / "part.py").write_text(LOOK)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "__main__.py").write_text(LOOK)
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr("__main__.py", LOOK)
    return tmp_path


PROGRAMS = {
    "script": ["look.py"],
    "script by a long way": ["./deep/../look.py"],
    "link": ["deep/link.py"],
    "folder": ["folder"],
    "archive": ["app.zip"],
    "module": ["-m", "look"],
    "package": ["-mpackage"],
    "module of a package": ["-m", "package.part"],
    "command": ["-c", LOOK],
    "command without a space": ["-c" + LOOK],
    "standard input": ["-"],
}


@pytest.mark.parametrize(
    "form, flags",
    [(form, flags) for form in PROGRAMS for flags in FLAGS_FOR_PATHS]
    + [("script", flags) for flags in FLAGS if flags not in FLAGS_FOR_PATHS],
)
def test_program_finds_what_python_lays(place, form, flags):
    program, flags = PROGRAMS[form], FLAGS[flags]
    done = run_both(*program, "one", "-two", "--", flags=flags, cwd=place, input=LOOK)
    if program[0].startswith("-m") and flags in (("-P",), ("-I",)):
        assert done.returncode == 1  # the module is not on sys.path
    else:
        assert done.returncode == 0
        assert "['one', '-two', '--']" not in done.stdout
        assert "'one', '-two', '--']" in done.stdout


def test_absolute_script(place):
    done = run_both(str(place / "look.py"), cwd="/")
    assert f"'__file__': '{place}/look.py'" in done.stdout


def test_dashes_end_the_options(place):
    assert run_both("--", "look.py", "x", cwd=place).returncode == 0


def test_compiled_file(place):
    script = "import py_compile as p; p.compile('look.py', cfile='look.pyc')"
    assert run(FASTLOOP, "-c", script, cwd=place).returncode == 0
    assert run_both("look.pyc", cwd=place).returncode == 0


def test_script_from_a_pipe(place):
    shell = f'exec {sys.executable} $1 <(echo "import sys; print(sys.path[0])")'
    plain, ours = (
        run(["bash", "-c", shell, "bash", way]) for way in ("-B", "-m fastloop")
    )
    assert plain.stdout == ours.stdout == "/dev/fd\n"


def test_standard_input_is_a_file_or_closed(place):
    with open(place / "look.py") as script:
        assert run(FASTLOOP, "-", stdin=script, cwd=place).returncode == 0
    shell = f"exec {sys.executable} $1 - <&-"
    for way in ("-B", "-m fastloop"):
        done = run(["bash", "-c", shell, "bash", way])
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_program_imports_its_neighbours(place):
    (place / "folder" / "neighbour.py").write_text("name = __name__\n")
    (place / "folder" / "main.py").write_text("import neighbour; print(neighbour)")
    done = run_both("folder/main.py", cwd=place)
    assert f"{place}/folder/neighbour.py" in done.stdout


def test_program_is_main(tmp_path):
    script = """
import dataclasses, pickle, __main__

@dataclasses.dataclass
class Point:
    x: int

copy = pickle.loads(pickle.dumps(Point(3)))
print(copy, type(copy) is __main__.Point, __main__.__name__, sorted(vars(__main__)))
"""
    (tmp_path / "script.py").write_text(script)
    done = run_both("script.py", cwd=tmp_path)
    assert done.stdout.startswith("Point(x=3) True __main__")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_child_processes_find_the_program(tmp_path, method):
    script = f"""
import multiprocessing

def double(x):
    return __name__, 2 * x

if __name__ == "__main__":
    with multiprocessing.get_context({method!r}).Pool(1) as pool:
        print(pool.map(double, [1, 2]))
"""
    (tmp_path / "script.py").write_text(script)
    # pytest's warnings are errors here: 3.12 warns of fork with threads, as it may.
    done = run_both("script.py", cwd=tmp_path)
    assert "2), (" in done.stdout
    name = "__main__" if method == "fork" else "__mp_main__"
    assert done.stdout == f"[({name!r}, 2), ({name!r}, 4)]\n"


def test_annotations_at_module_level(tmp_path):
    source = "x: int = 1\nimport __main__\nprint(__main__.__annotations__)\n"
    (tmp_path / "script.py").write_text(source)
    done = run_both("script.py", cwd=tmp_path)
    assert done.stdout == "{'x': <class 'int'>}\n"


def test_what_lies_below_the_program():
    """What the program can see of the door: a listed difference."""
    script = """
import sys, traceback
print([frame.name for frame in traceback.extract_stack()][-1])
print(sys._getframe().f_back is None, 'asyncio' in sys.modules, sys.orig_argv[1:-1])
"""
    assert run(PYTHON, "-c", script).stdout == "<module>\nTrue False ['-c']\n"
    expected = "<module>\nFalse True ['-m', 'fastloop', '-c']\n"
    assert run(FASTLOOP, "-c", script).stdout == expected


def test_future_imports_are_the_programs_own():
    done = run_both("-c", "def f(x: undefined_name): pass")
    assert (done.returncode == 0) == (sys.version_info >= (3, 14))


def test_indented_command():
    done = run_both("-c", "\n    x = 1\n    print(x)\n")
    assert (done.returncode == 0) == (sys.version_info >= (3, 14))
