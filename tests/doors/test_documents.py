"""What the pages say exists, exists."""

import pathlib
import re

import pytest

import fastloop

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md"))]


def name_of(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


def anchors(page):
    """What a forge calls the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        yield re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_a_heading(page):
    for target, anchor in re.findall(r"\]\(([^)#]*)#([^)]+)\)", page.read_text()):
        if not target.startswith("https://"):
            assert anchor in anchors(page.parent / target if target else page), anchor


def test_every_difference_names_a_test_that_exists():
    text = (ROOT / "docs" / "differences-from-asyncio.md").read_text()
    told, _, table = text.partition("\n## The tests\n")
    told = told[told.index("\n## ") :]
    numbers = re.findall(r"^- \*\*([A-Z]\d+)\. ", told, re.MULTILINE)
    assert len(numbers) >= 10
    assert len(numbers) == len(re.findall("^- ", told, re.MULTILINE))
    letters = dict.fromkeys(number[0] for number in numbers)
    in_order = [(letter, [n for n in numbers if n[0] == letter]) for letter in letters]
    for letter, found in in_order:
        assert found == [f"{letter}{n}" for n in range(1, len(found) + 1)]
    rows = re.findall(r"^\| ([A-Z]\d+) \| (.+) \|$", table, re.MULTILINE)
    assert [number for number, _ in rows] == numbers
    assert len(rows) == table.count("\n| ") - 2
    for number, tests in rows:
        for part in tests.split("; "):
            file, *names = re.findall(r"`([^`]+)`", part)
            assert names, number
            source = (ROOT / "tests" / file).read_text()
            for name in names:
                assert f"def {name}(" in source, (number, name)


def test_what_the_first_lines_refer_to_is_there():
    text = (ROOT / "docs" / "differences-from-asyncio.md").read_text()
    first = text[: text.index("\n## ")]
    assert first.count("\n- ") == 5
    for number in re.findall(r"\b[A-Z]\d+\b", first):
        assert f"\n- **{number}. " in text


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_nobody_is_sent_to_another_project(page):
    assert not re.search(r"(pip|uv|pipx) \S*\s*install fastloop", page.read_text())


def test_the_changelog_begins_with_this_version():
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[([^]]+)\] - \d{4}-\d\d-\d\d$", text, re.MULTILINE)
    assert versions[0] == fastloop.__version__


def test_the_pages_have_a_word_on_every_public_name():
    pages = [ROOT / "README.md", ROOT / "docs" / "using.md"]
    text = "".join(page.read_text() for page in pages)
    for name in set(dir(fastloop)) - {"__version__"}:
        assert f"fastloop.{name}" in text
