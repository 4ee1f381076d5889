"""Make the pictures of docs/timeline.md, or of other programs.

    python tools/timeline_pictures.py [--out FOLDER] [NAME ...]
    python tools/timeline_pictures.py --out FOLDER --programs PROGRAM.py ...

Runs each program with the timeline and takes a picture of its page in Chromium. Names
are those of the files that the page's blocks make; all of them if none is given.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from chromium import Chromium

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "timeline.md"
PICTURES = ROOT / "docs" / "pictures"
WIDTH = 860
TIMEOUT_S = 60
# What a reader of the page sees of it: all of it in the first picture, else the rows.
WHOLE = {"blocking"}


def programs() -> dict[str, str]:
    """Return the text of each program of the page, by its name without .py."""
    blocks = re.findall(
        r"^```python file=(\w+)\.py\n(.*?)^```$", PAGE.read_text(), re.M | re.S
    )
    return dict(blocks)


def record(program: Path, out: Path) -> None:
    """Run a program with the timeline; its page is written to out."""
    command = [sys.executable, "-m", "fastloop", "--timeline", str(out), program.name]
    subprocess.run(
        command,
        cwd=program.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=TIMEOUT_S,
        check=False,
    )


def take(browser: Chromium, page: Path, whole: bool) -> bytes:
    """Return a picture of a page as a PNG."""
    browser.open(page, width=WIDTH, height=900)
    first = "document.body" if whole else "document.getElementById('scroll')"
    left, top, right = browser.evaluate(
        f"(() => {{ const box = {first}.getBoundingClientRect();"
        " return [box.left, box.top, box.right]; })()"
    )
    bottom = browser.evaluate(
        "document.getElementById('scroll').getBoundingClientRect().bottom"
    )
    clip = {"x": left, "y": top, "width": right - left, "height": bottom - top + 1}
    return browser.picture(clip)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURES, metavar="FOLDER")
    parser.add_argument("--programs", action="store_true", help="names are of files")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    known = programs()
    with tempfile.TemporaryDirectory() as folder, Chromium() as browser:
        for name in options.names or known:
            if options.programs:
                program = Path(name).resolve()
            else:
                program = Path(folder, f"{name}.py")
                program.write_text(known[name])
            page = Path(folder, f"{program.stem}.html")
            record(program, page)
            png = take(browser, page, program.stem in WHOLE)
            (options.out / f"{program.stem}.png").write_bytes(png)
            print(f"{program.stem}.png: {len(png):,} bytes")


if __name__ == "__main__":
    main()
