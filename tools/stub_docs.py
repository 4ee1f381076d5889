"""Put the docstrings of the C core into fastloop/_core.pyi, where editors read them.

python tools/stub_docs.py          write them, from the module as it is built;
                                   `ruff format` then sets the blank lines
python tools/stub_docs.py --check  only tell where the two differ; status 1 if so
"""

import argparse
import ast
import inspect
import sys
import textwrap
from pathlib import Path

STUB = Path(__file__).resolve().parent.parent / "fastloop" / "_core.pyi"
LINE = 88
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def definitions(body, prefix=""):
    """(qualified name, node) of each class and function, those under `if` too."""
    for node in body:
        if isinstance(node, ast.If):
            yield from definitions([*node.body, *node.orelse], prefix)
        elif isinstance(node, Definition):
            yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from definitions(node.body, f"{prefix}{node.name}.")


def docstring_in_c(module, name):
    """What the built module says, or "" for what it has not or Python says itself."""
    found = module
    for part in name.split("."):
        found = vars(found).get(part)
        if found is None:
            return ""
    if name.rpartition(".")[2].startswith("__"):
        return ""
    return inspect.cleandoc(found.__doc__ or "")


def quoted(text, indent):
    """A docstring of this text, as lines."""
    text = text.replace("\\", "\\\\")
    alone = "\n" not in text
    if len(indent) + len(text.split("\n")[0]) + (6 if alone else 3) > LINE:
        text, alone = f"\n{text}", False
    end = '"""' if alone else '\n"""'
    return textwrap.indent(f'"""{text}{end}', indent).splitlines()


def rewritten(source, module):
    """The stub's text with the docstrings of the module."""
    lines = source.splitlines()
    # From the end on, so that the places of what is before stay.
    found = list(definitions(ast.parse(source).body))
    for name, node in sorted(found, key=lambda pair: -pair[1].lineno):
        text = docstring_in_c(module, name)
        first = node.body[0]
        has_one = ast.get_docstring(node) is not None
        if not text and not has_one:
            continue
        indent = " " * (node.col_offset + 4)
        new = quoted(text, indent) if text else []
        is_class = isinstance(node, ast.ClassDef)
        only_dots = isinstance(first, ast.Expr) and (
            isinstance(first.value, ast.Constant) and first.value.value is ...
        )
        start, end = first.lineno - 1, first.end_lineno
        if only_dots or has_one:
            head = lines[start][: first.col_offset].rstrip()
            if not new:
                new = [f"{indent}..."] if len(node.body) == 1 else []
            lines[start:end] = [*([head] if head else []), *new]
        elif is_class:
            lines[start:start] = new
    return "\n".join(lines) + "\n"


def differences(source, module):
    """The names whose docstring in the stub is not that of the module."""
    return sorted(
        {
            name
            for name, node in definitions(ast.parse(source).body)
            if (ast.get_docstring(node) or "") != docstring_in_c(module, name)
        }
    )


def undocumented(source, module):
    """The public names of the stub that have no docstring in C."""
    return sorted(
        name
        for name, _ in definitions(ast.parse(source).body)
        if not any(part.startswith("_") for part in name.split("."))
        and not docstring_in_c(module, name)
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    sys.path.insert(0, str(STUB.parent.parent))
    from fastloop import _core

    source = STUB.read_text()
    if not check:
        STUB.write_text(rewritten(source, _core))
        return 0
    wrong = differences(source, _core)
    for name in wrong:
        print(f"{STUB.name}: {name} says something else than in C")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
