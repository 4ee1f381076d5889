"""Run a program as `python` itself would.

Python has made the module `__main__`, put its own idea of sys.path[0] in place and
called runpy, which called us.  Each function lays these anew, as `python` would have
for that program, and runs it in that same `__main__`, with nothing of ours in it.
What ends the program (SystemExit, KeyboardInterrupt, another exception, its last line)
goes on through us to the interpreter, so that exit status, signals, `atexit` and
threads stay the interpreter's own business.  Only the traceback that it is about to
print is freed of the frames that a plain `python` would not have.
"""

import atexit
import importlib.machinery
import inspect
import os
import sys
from collections.abc import Callable
from types import CodeType, CoroutineType, TracebackType
from typing import Any

from ._version import __version__

_missing = object()


def run_path(script: str) -> None:
    """Run a script, or the __main__.py in a folder or zip file.

    Raises SystemExit with status 2, having said why, if the script cannot be read.
    """
    path = os.path.join(os.getcwd(), script) if script else os.getcwd()
    if has_importer(path):
        # A folder or zip file comes first even under -P, where no path0 was set.
        sys.path[: 0 if sys.flags.safe_path else 1] = [path]
        run_with_runpy("__main__", alter_argv=False)
        return
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        sys.stderr.write(
            f"{sys.orig_argv[0]}: can't open file {path!r}:"
            f" [Errno {error.errno}] {error.strerror}\n"
        )
        sys.exit(2)
    set_path0(folder_of(script))
    loader: Any
    if path.endswith(".pyc"):
        loader = importlib.machinery.SourcelessFileLoader("__main__", path)
        run_code(lambda: loader.get_code("__main__"), path, loader)
    else:
        loader = importlib.machinery.SourceFileLoader("__main__", path)
        run_code(lambda: compile_file(source, path), path, loader)


def run_module(name: str) -> None:
    """Run a module found on sys.path, or a package's __main__.

    Raises SystemExit with status 1 and a message if there is none.
    """
    run_with_runpy(name, alter_argv=True)


def run_command(source: str) -> None:
    """Run a program given as a string."""
    set_path0("")
    if sys.version_info >= (3, 14):
        import textwrap

        source = textwrap.dedent(source)

    def compile_command() -> CodeType:
        code = compile_source(source + "\n", "<string>")
        keep_lines_for_tracebacks(code, source)
        return code

    run_code(compile_command, None, None)


def run_stdin(_: str) -> None:
    """Run a program read from standard input; a terminal gets the REPL."""
    if sys.stdin is not None and sys.stdin.isatty():
        run_repl("")
        return
    source = b"" if sys.stdin is None else sys.stdin.buffer.read()
    set_path0("")
    run_code(lambda: compile_file(source, "<stdin>"), "<stdin>", None)


def run_repl(_: str) -> None:
    """Run asyncio's REPL, whose loop comes from the policy."""
    sys.stderr.write(f"fastloop {__version__}, ")
    run_module("asyncio")


def has_importer(path: str) -> bool:
    """Return whether modules can be imported from path: a folder or a zip file."""
    for hook in sys.path_hooks:
        try:
            hook(path)
        except ImportError:
            continue
        return True
    return False


def folder_of(script: str) -> str:
    """Return the folder that the script is really in."""
    try:
        return os.path.dirname(os.path.realpath(script, strict=True))
    except OSError:  # a pipe, as in `python <(...)`
        return os.path.dirname(script)


def set_path0(entry: str) -> None:
    """Replace the sys.path[0] that Python set for -m."""
    if not sys.flags.safe_path:
        sys.path[0] = entry


def compile_source(source: str | bytes, filename: str) -> CodeType:
    return compile(source, filename, "exec", dont_inherit=True)


def compile_file(source: bytes, filename: str) -> CodeType:
    """Compile a file's bytes, minding its encoding as `python` does, comments too."""
    try:
        source.decode()
    except UnicodeDecodeError as error:
        import re

        first_lines = source.split(b"\n", 2)[:2]
        if not any(re.match(rb"[ \t\f]*#.*coding[:=]", line) for line in first_lines):
            line = source.count(b"\n", 0, error.start) + 1
            raise SyntaxError(
                f"Non-UTF-8 code starting with '\\x{source[error.start]:02x}' in file"
                f" {filename} on line {line}, but no encoding declared; see"
                " https://peps.python.org/pep-0263/ for details"
            ) from None
    return compile_source(source, filename)


def keep_lines_for_tracebacks(code: CodeType, source: str) -> None:
    """Let tracebacks show the lines of a -c program where `python` does: from 3.13."""
    import linecache

    register = getattr(linecache, "_register_code", None)
    if register is not None:
        by_code = hasattr(linecache, "_interactive_cache")
        register(code if by_code else "<string>", source, "<string>")


def reset_main_module() -> dict[str, Any]:
    """Return `__main__`'s namespace, as it is before `python` begins a program."""
    namespace = sys.modules["__main__"].__dict__
    fresh = {
        "__name__": "__main__",
        "__doc__": None,
        "__package__": None,
        "__loader__": importlib.machinery.BuiltinImporter,
        "__spec__": None,
    }
    for name in ("__annotations__", "__builtins__"):
        if name in namespace:
            fresh[name] = namespace[name]
    namespace.clear()
    namespace.update(fresh)
    tell_of_unawaited_coroutines(namespace)
    return namespace


def tell_of_unawaited_coroutines(namespace: dict[str, Any]) -> None:
    """Have coroutines that the program made and never awaited reported in full.

    Those left in its namespace would go when Python takes the modules apart, too late
    for the warning to say where they were made.
    """
    unawaited: list[object] = []

    def take_them() -> None:
        for name, value in list(namespace.items()):
            if (
                isinstance(value, CoroutineType)
                and inspect.getcoroutinestate(value) == inspect.CORO_CREATED
            ):
                unawaited.append(namespace.pop(name))

    # Last of all exit handlers, and in this order.  clear() lets them go with no
    # function of ours running, which the warning would name.
    atexit.register(unawaited.clear)
    atexit.register(take_them)


def run_code(get_code: Callable[[], CodeType], file: str | None, loader: Any) -> None:
    """Run in `__main__` the code that get_code returns or raises for."""
    namespace = reset_main_module()
    if loader is not None:
        namespace["__loader__"] = loader
    if file is not None:
        namespace["__file__"] = file
        if sys.version_info < (3, 15):
            namespace["__cached__"] = None
    try:
        exec(get_code(), namespace)
    except BaseException as error:
        hide_our_frames(error)
        raise


def run_with_runpy(name: str, *, alter_argv: bool) -> None:
    """Run a module in `__main__` by the very function that `python -m` calls."""
    import runpy

    reset_main_module()
    try:
        runpy._run_module_as_main(name, alter_argv)  # type: ignore[attr-defined]
    except BaseException as error:
        hide_our_frames(error)
        raise


def hide_our_frames(error: BaseException) -> None:
    """Have the interpreter print error as if the program had been run by `python`.

    On its way out the error still collects our frames and runpy's, so its traceback is
    put right at the last moment, in sys.excepthook, which is then put back.
    """
    if isinstance(error, SystemExit) and not sys.flags.inspect:
        return  # nobody will print it
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_globals is globals():
        traceback = traceback.tb_next
    programs_hook: Any = getattr(sys, "excepthook", _missing)

    def excepthook(
        kind: type[BaseException], value: BaseException, shown: TracebackType | None
    ) -> None:
        if value is error:
            value.__traceback__ = sys.last_traceback = shown = traceback
        if programs_hook is _missing:
            del sys.excepthook
            sys.stderr.write("sys.excepthook is missing\n")
            sys.__excepthook__(kind, value, shown)
            return
        sys.excepthook = programs_hook
        try:
            programs_hook(kind, value, shown)
        except SystemExit:
            raise
        except BaseException as failed:
            # told of here as by the interpreter, which would show our frame
            own = failed.__traceback__
            failed.__traceback__ = None if own is None else own.tb_next
            sys.stderr.write("Error in sys.excepthook:\n")
            sys.__excepthook__(type(failed), failed, failed.__traceback__)
            sys.stderr.write("\nOriginal exception was:\n")
            sys.__excepthook__(kind, value, shown)

    sys.excepthook = excepthook
