"""Check that the project names no machine, registry or tool of its makers."""

import re
import sys
from pathlib import Path

from project_files import ROOT, project_files, report

# A letter in brackets keeps this file clean of the words themselves.
WORDS = {
    r"/(root|work|home)/\w": "a path of one machine",
    r"[.]pyenv\b": "a path of one machine",
    r"\b(deb[.]debian[.]org|snapshot[.]debian|pypi[.]org|[p]ythonhosted)\b": (
        "a registry"
    ),
    r"(?i)\b([c]laude|[a]nthropic|[c]hatgpt|[o]penai|[c]opilot"
    r"|[s]ubagents?|[l]lms?)\b": "a tool",
    r"\b([T]ODO|[F]IXME|[X]XX|[H]ACK)\b": "unfinished work",
    r"(?i)\b(issue|pr) ?#\d": "a tracker's number",
}


def check_words(root: Path) -> list[str]:
    """Return one line for each forbidden word below root."""
    patterns = [(re.compile(word), what) for word, what in WORDS.items()]
    found = []
    for path in project_files(root):
        name = path.relative_to(root)
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for pattern, what in patterns:
                if match := pattern.search(line):
                    found.append(f"{name}:{number}: {match.group()!r} names {what}")
    return found


if __name__ == "__main__":
    sys.exit(report(check_words(ROOT)))
