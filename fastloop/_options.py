"""The options of `python -m fastloop`: one table, and how it is read."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from . import _program
from ._watch import MIN_LIMIT_S

PROG = "python -m fastloop"
USAGE = f"""\
usage: {PROG} [option ...] script.py | -m module | -c code | -  [args ...]
       {PROG} [option ...]
"""


@dataclass(frozen=True)
class Settings:
    """What the options say; children by multiprocessing get it as it is."""

    debug: bool = False
    keep_uvloop: bool = False
    accelerate: bool = False
    watch: float | None = None
    timeline: str | None = None
    children: bool = False
    compare: int = 0


class Option(NamedTuple):
    """A row of the table.

    setting: the field of Settings that the option makes true, or, with value, that gets
    what follows the option: seconds or a file's name; --compare gets a count.
    report: for an option that runs no program, "module:function" of the package; the
    function returns the exit status or None.
    """

    names: tuple[str, ...]
    help: str
    setting: str = ""
    report: str = ""
    value: str = ""


OPTIONS = (
    Option(
        ("--debug",),
        "asyncio's debug mode, as with PYTHONASYNCIODEBUG=1, for the loops\n"
        "made by asyncio and fastloop.new_event_loop; the environment is\n"
        "not changed",
        setting="debug",
    ),
    Option(
        ("--keep-uvloop",),
        "leave alone the uvloop that the program imports; else its functions\n"
        "new_event_loop, run and install, and its policy, give our loops",
        setting="keep_uvloop",
    ),
    Option(
        ("--accelerate",),
        "asyncio's locks and queues in C, by fastloop.accelerate()",
        setting="accelerate",
    ),
    Option(
        ("--watch",),
        "report each step that blocks a loop for longer, while it does, by\n"
        "fastloop.watch(SECONDS)",
        setting="watch",
        value="SECONDS",
    ),
    Option(
        ("--timeline",),
        "record which task runs when, and write a page to look at, or\n"
        "Chrome's trace-event form to a FILE.json, at the end",
        setting="timeline",
        value="FILE",
    ),
    Option(
        ("--children",),
        "Python processes that the program starts, in whatever way, and\n"
        "theirs, are on fastloop too, with these options but --timeline;\n"
        "those started with -I, -E or -S are not",
        setting="children",
    ),
    Option(
        ("--compare",),
        "run the program with `python` and on fastloop, N times in turns by\n"
        "--compare=N; show CPU and time, and whether both did the same",
        setting="compare",
    ),
    Option(
        ("--doctor",),
        "say what is found here: Python, build, checks, kernel, neighbours",
        report="_doctor:report",
    ),
    Option(
        ("--install-kernel",),
        "install a Jupyter kernel that runs notebooks on fastloop",
        report="_kernel:install",
    ),
    Option(("--help", "-h"), "this text", report="_options:print_help"),
    Option(
        ("--version", "-V"),
        "fastloop's version, Python's, and which task types are in use",
        report="_doctor:print_version",
    ),
)
_BY_NAME = {name: option for option in OPTIONS for name in option.names}

# What Python's own options are, by letter; those below take an argument.
PYTHON_FLAGS = frozenset("bBdEiIOPqRsSuv")
PYTHON_OPTIONS = frozenset("WX")

HELP = f"""{USAGE}
Run a Python program as `python` does, with the event loops that it makes through
asyncio, or through uvloop's functions, made by fastloop.

  script.py   a file, or a folder or zip file with a __main__.py
  -m module   a module or package found on sys.path
  -c code     a program given as a string
  -           a program read from standard input
  (nothing)   asyncio's REPL, in which `await` works

@OPTIONS@

  -X dev, -u, -i, -W error, ...   options of `python` itself

What follows the program is the program's. Processes that it starts by multiprocessing
are on fastloop too, others with --children; loops of classes of its own are left as
they are. If loops ran and none was fastloop's, a line on standard error says so at the
end.
"""


def print_help() -> None:
    shown = {option: _names_of(option) for option in OPTIONS}
    width = 2 + max(map(len, shown.values()))
    rows = []
    for option in OPTIONS:
        first, *more = option.help.splitlines()
        rows.append(f"  {shown[option]:{width}}{first}")
        rows += [f"  {'':{width}}{line}" for line in more]
    sys.stdout.write(HELP.replace("@OPTIONS@", "\n".join(rows)))


def _names_of(option: Option) -> str:
    return f"{', '.join(option.names)} {option.value}".rstrip()


@dataclass
class CommandLine:
    """A command line that was read.

    python: options for the interpreter. ours: our own, as they were typed. words:
    what follows these. run(argument): runs the program, whose sys.argv is argv.
    """

    run: Callable[[str], None] = _program.run_repl
    argument: str = ""
    argv: list[str] = field(default_factory=lambda: [""])
    settings: Settings = field(default_factory=Settings)
    report: str = ""
    python: list[str] = field(default_factory=list)
    ours: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


def parse(words: list[str]) -> CommandLine:
    """Read a command line; SystemExit with status 2 if it is wrong."""
    line = CommandLine()
    settings: dict[str, Any] = {}
    rest = list(words)
    while rest and not line.report:
        line.words = list(rest)
        word = rest.pop(0)
        word, equals, value = word.partition("=")
        option = _BY_NAME.get(word)
        counted = option is not None and option.setting == "compare"
        if equals and not counted and (option is None or not option.value):
            option, word = None, f"{word}={value}"
        if option is not None:
            line.ours.append(word)
            line.report = option.report
            if option.setting:
                given = value if equals else None
                settings[option.setting] = _setting(line, option, given, rest)
        elif word == "--":
            _take_path(line, rest)
            break
        elif word == "-":
            line.run, line.argv = _program.run_stdin, [word, *rest]
            break
        elif word.startswith("--"):
            fail(f"unknown option {word}")
        elif not word.startswith("-"):
            _take_path(line, [word, *rest])
            break
        elif _take_letters(line, word, rest):
            break
        line.words = []
    line.settings = Settings(**settings)
    return line


def _setting(
    line: CommandLine, option: Option, given: str | None, rest: list[str]
) -> Any:
    """Return what an option says, given after an = or as the next word."""
    if option.setting == "compare":
        return _count(option, "1" if given is None else given)
    if not option.value:
        return True
    if given is None:
        given = rest.pop(0) if rest else ""
    line.ours.append(given)
    return (_seconds if option.value == "SECONDS" else _file)(option, given)


def words_of(settings: Settings) -> list[str]:
    """Return the options for the children of --children, which is the first."""
    words = ["--children"]
    for option in OPTIONS:
        value = getattr(settings, option.setting) if option.setting else None
        if value and option.setting not in ("children", "timeline", "compare"):
            words.append(option.names[0] + (f"={value}" if option.value else ""))
    return words


def _seconds(option: Option, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not MIN_LIMIT_S <= seconds < float("inf"):
        fail(f"{option.names[0]} takes seconds, {MIN_LIMIT_S} or more, not {text!r}")
    return seconds


def _count(option: Option, text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,3}", text):
        fail(f"{option.names[0]} takes a count of runs, not {text!r}")
    return int(text)


def _file(option: Option, text: str) -> str:
    if not text:
        fail(f"{option.names[0]} takes the name of a file")
    return text


def _take_path(line: CommandLine, words: list[str]) -> None:
    line.words = words
    if words:
        line.run, line.argument, line.argv = _program.run_path, words[0], words


def _take_letters(line: CommandLine, word: str, rest: list[str]) -> bool:
    """Read a word of options with one letter each; True if it names the program."""
    for place, letter in enumerate(word[1:], 1):
        if letter in PYTHON_FLAGS:
            line.python.append(f"-{letter}")
            continue
        if letter not in PYTHON_OPTIONS and letter not in "cm":
            fail(f"unknown option -{letter}")
        value = word[place + 1 :]
        if not value:
            if not rest:
                fail(f"argument expected for the -{letter} option")
            value = rest.pop(0)
        if letter in PYTHON_OPTIONS:
            line.python += [f"-{letter}", value]
            return False
        line.run = _program.run_command if letter == "c" else _program.run_module
        line.argument, line.argv = value, [f"-{letter}", *rest]
        line.words = [f"-{letter}", value, *rest]
        return True
    return False


def leading_options(words: list[str]) -> int:
    """Return how many words at the start are options of Python other than -c and -m."""
    count = 0
    while count < len(words):
        word = words[count]
        if len(word) < 2 or word[0] != "-":
            return count
        taken = 1
        if word.startswith("--"):
            taken = 2 if word == "--check-hash-based-pycs" else 1
        for place, letter in enumerate(word[1:] if word[1] != "-" else "", 1):
            if letter in "cm":
                return count
            if letter in PYTHON_OPTIONS:
                taken = 1 if word[place + 1 :] else 2
                break
        count += taken
    return count


def fail(message: str) -> NoReturn:
    sys.stderr.write(f"{USAGE}{PROG}: error: {message}\n")
    sys.exit(2)
