"""What a Python too old for fastloop is told: one sentence, whatever it reads first."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
READ_FIRST = ["setup.py", "tools/preflight.py", "fastloop/__init__.py"]
SENTENCE = "fastloop needs Python 3.11 or newer; this is Python {}."
# Syntax that Python 2.7 has not.
NEWER = (
    *(ast.JoinedStr, ast.NamedExpr, ast.AnnAssign, ast.Nonlocal, ast.MatMult),
    *(ast.YieldFrom, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await),
    *(ast.Match, ast.TryStar),
)


def is_newer(node):
    match node:
        case ast.arguments():
            return bool(node.kwonlyargs or node.posonlyargs)
        case ast.arg():
            return node.annotation is not None
        case ast.FunctionDef():
            return node.returns is not None
        case ast.Raise():
            return node.cause is not None
        case ast.List() | ast.Tuple() | ast.Set():
            return any(isinstance(item, ast.Starred) for item in node.elts)
        case ast.Dict():
            return None in node.keys
        case ast.Call():
            stars = [isinstance(item, ast.Starred) for item in node.args]
            doubles = [keyword.arg is None for keyword in node.keywords]
            return any(stars[:-1]) or sum(doubles) > 1
        case ast.ClassDef():
            return bool(node.keywords)
        case ast.Constant(value=value):
            return value is ...
    return isinstance(node, NEWER)


def newer_syntax(source):
    found = [ast.dump(n) for n in ast.walk(ast.parse(source)) if is_newer(n)]
    return found + [c for c in source if not c.isascii()]


@pytest.mark.parametrize("name", READ_FIRST)
def test_an_old_python_can_read_it(name):
    source = (ROOT / name).read_text()
    ast.parse(source, feature_version=(3, 7))
    assert newer_syntax(source) == []


@pytest.mark.parametrize(
    "source",
    [
        'f"{1}"',
        "[*a, 1]",
        "{**a}",
        "x: int = 1",
        "def f(*, a): pass",
        "def f() -> int: pass",
        "raise A from None",
        "f(*a, 1)",
        "if a := 1: pass",
    ],
)
def test_newer_syntax_is_found(source):
    assert newer_syntax(source)


WAYS = {
    "setup.py": ["setup.py", "--version"],
    "preflight": ["tools/preflight.py"],
    "import": ["-c", "import fastloop"],
    "run": ["-m", "fastloop", "script.py"],
    "top": ["-m", "fastloop.top", "1"],
}


def what_is_said(command, **options):
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=30, **options
    )
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr.splitlines()


@pytest.mark.parametrize("way", WAYS)
def test_one_sentence(tmp_path, way):
    # read by every Python that starts with it on its path
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.version_info = (3, 10, 13, 'final', 0)\n"
    )
    said = what_is_said(
        [sys.executable, *WAYS[way]],
        env={"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    sentence = SENTENCE.format("3.10")
    if way == "import":
        assert said[-1] == f"ImportError: {sentence}"
    else:
        assert said == [sentence]


@pytest.mark.parametrize("version", ["2.7", "3.10"])
@pytest.mark.parametrize("way", WAYS)
def test_one_sentence_of_a_real_one(way, version):
    python = [f"python{version}", "-B"]
    try:
        subprocess.run([*python, "-c", ""], check=True, stderr=subprocess.DEVNULL)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip(f"there is no Python {version}")
    said = what_is_said([*python, *WAYS[way]])
    assert said[-1].endswith(SENTENCE.format(version))
    assert len(said) == 1 or way == "import"
