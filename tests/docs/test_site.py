"""The documentation as a site: four kinds of pages, short paragraphs, formulas that close, code that runs."""

import importlib
import re

import pytest
from docs_pages import DOCS, PAGES, ROOT, page

import dagrow

KINDS = ("tutorials", "how-to", "reference", "explanation")
OWN = [file for file in PAGES if file.name != "CHANGELOG.md"]


def paragraphs(text):
    """Blocks of prose, and entries of lists; tables, code and comments left out."""
    text = re.sub(r"^```.*?^```$|^\$\$.*?\$\$$|<!--.*?-->", "", text, flags=re.M | re.S)
    parts = re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )|^#.*$", text, flags=re.M)
    return [part.strip() for part in parts if part.strip() and not part.lstrip().startswith("|")]


def test_every_page_has_a_kind():
    assert {folder.name for folder in DOCS.iterdir() if folder.is_dir()} == {*KINDS, "images", "hooks"}
    for kind in KINDS:
        assert list((DOCS / kind).glob("*.md"))


@pytest.mark.parametrize("file", OWN, ids=lambda file: file.stem)
def test_paragraphs_are_shorter_than_a_hundred_words(file):
    long = [part[:60] for part in paragraphs(file.read_text(encoding="utf-8")) if len(part.split()) >= 100]
    assert not long


@pytest.mark.parametrize("file", OWN, ids=lambda file: file.stem)
def test_a_page_has_one_title_and_formulas_that_close(file):
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", file.read_text(encoding="utf-8"), flags=re.M | re.S)
    assert text.startswith("# ")
    assert len(re.findall(r"^# ", text, re.M)) == 1
    assert all(part.count("$") % 2 == 0 for part in text.split("\n\n"))


def test_the_files_that_the_mathematics_names_are_there():
    text = page("mathematics").read_text(encoding="utf-8")
    files = set(re.findall(r"`((?:[a-z_0-9]+/)*[a-z_0-9]+\.py)`", text))
    assert len(files) > 30
    assert not {file for file in files if not (ROOT / "dagrow" / file).is_file()}


def test_what_the_reference_of_python_names_is_what_dagrow_exports():
    text = page("api").read_text(encoding="utf-8")
    shown = {name.rsplit(".", 1)[1] for name in re.findall(r"^::: (dagrow\.\S+)$", text, re.M)} - {"errors"}
    shown |= set(re.search(r"members: \[(.*)\]", text)[1].split(", "))
    assert shown == set(dagrow.__all__)
    for name in re.findall(r"^::: (dagrow\.\S+)$", text, re.M):
        module, _, entry = name.rpartition(".")
        assert entry == "errors" or hasattr(importlib.import_module(module), entry), name


def test_what_the_extra_installs_is_what_the_site_needs():
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "site_dir: build/site" in site
    assert "/build/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "fonts.googleapis" not in site
    assert "font: false" in site
    assert "https://" not in site
