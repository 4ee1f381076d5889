"""What a package index shows of this project: the README, as it can be shown there.

A link or a picture of the README leads to another file of the repository, and the
repository has no public address to lead to: of a link the words stay, of a picture what
it says to those who cannot see it.
"""

import re
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def long_description() -> str:
    """The README's text, with none but absolute links."""
    text = README.read_text(encoding="utf-8")
    text = re.sub(r"<!--.*?-->\n", "", text)
    text = re.sub(r"!\[([^]]*)\]\((?!https://)[^)]*\)", r"*Picture: \1.*", text)
    # The words after a fence's language are for our tests.
    text = re.sub(r"^```(\w+) .*$", r"```\1", text, flags=re.MULTILINE)
    return re.sub(r"\[([^]]*)\]\((?!https://|#)[^)]*\)", r"\1", text)
