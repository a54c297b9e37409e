"""docs/how-to/report.md: its table names the sections that a page has, in order."""

from docs_pages import ROOT, tables

from dagrow.page.sections import SECTIONS


def test_the_sections_are_those_of_the_page():
    rows = tables(ROOT / "docs" / "how-to" / "report.md")["A run as one page"]
    assert [row["section"] for row in rows] == [section.title for section in SECTIONS]
