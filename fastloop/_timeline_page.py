"""The timeline as one page that needs nothing but a browser."""

import base64
import hashlib
import html
import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._timeline import Recording

_SCRIPTS = ("spans", "events", "model", "draw", "words", "page")
_FOLDER = Path(__file__).parent


def page(recording: "Recording") -> bytes:
    """Return the recording as an HTML page, in UTF-8."""
    style = _part("timeline.css")
    parts = [_part(f"timeline_{name}.js") for name in _SCRIPTS]
    script = "(() => {\n'use strict';\n" + "\n".join(parts) + "})();\n"
    header = {**recording.header, "events": len(recording.kind)}
    values = {
        "title": html.escape(str(header["title"])),
        "policy": f"default-src 'none'; script-src {_hash(script)};"
        f" style-src {_hash(style)}; base-uri 'none'; form-action 'none'",
        "style": style,
        "header": json.dumps(header).replace("<", "\\u003c"),
        "columns": _columns(recording),
        "script": script,
    }
    pieces = _part("timeline.html").split("@@")
    for at in range(1, len(pieces), 2):
        pieces[at] = values[pieces[at]]
    return "".join(pieces).encode("utf-8", "replace")


def _part(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _columns(recording: "Recording") -> str:
    """Return the events' columns, each aligned to its words, deflated, as base64."""
    packer = zlib.compressobj(6)
    pieces = [packer.compress(bytes(recording.kind))]
    pieces.append(packer.compress(bytes(-len(recording.kind) % 8)))
    for column in recording[2:]:
        pieces.append(packer.compress(memoryview(column)))
    pieces.append(packer.flush())
    return base64.b64encode(b"".join(pieces)).decode()
