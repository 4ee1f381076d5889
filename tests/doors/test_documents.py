"""What the pages say exists, exists."""

import pathlib
import re

import pytest

import fastloop

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


def test_every_difference_names_a_test_that_exists():
    text = (ROOT / "docs" / "differences-from-asyncio.md").read_text()
    differences = text.split("\n- **")[1:]
    assert len(differences) >= 10
    for difference in differences:
        file = None
        for named, test in re.findall(r"\*([\w/]+\.py)?::(\w+)\*", difference):
            file = named or file
            assert f"def {test}(" in (ROOT / "tests" / file).read_text(), test
        assert file, difference


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nobody_is_sent_to_another_project(page):
    assert not re.search(r"(pip|uv|pipx) \S*\s*install fastloop", page.read_text())


def test_readme_has_a_word_on_every_public_name():
    text = (ROOT / "README.md").read_text()
    for name in set(dir(fastloop)) - {"__version__"}:
        assert f"fastloop.{name}" in text
