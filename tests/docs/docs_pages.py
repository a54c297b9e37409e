"""Pages of the documentation, cut up: code blocks with the marks above them, tables by heading, links."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]

_BLOCK = re.compile(r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
_HEADING = re.compile(r"^#+ (.*)$", re.M)
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the HTML comment right above it, the line of its fence."""

    language: str
    text: str
    mark: str
    line: int


def page(name: str) -> Path:
    """The page of the documentation with a name, in whichever folder it is."""
    (found,) = DOCS.rglob(f"{name}.md")
    return found


def blocks(page: Path, language: str) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    assert text.count("```") % 2 == 0, f"{page.name}: a fence is not closed"
    found = [
        Block(m["language"], m["text"], m["mark"] or "", text[: m.start()].count("\n") + 1 + bool(m["mark"]))
        for m in _BLOCK.finditer(text)
    ]
    return [block for block in found if block.language == language]


def tables(page: Path) -> dict[str, list[dict[str, str]]]:
    """The rows of the first table below each heading; each row by the names in the table's head."""
    prose = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    _, *parts = _HEADING.split(prose)
    found = {}
    for heading, body in zip(parts[::2], parts[1::2], strict=True):
        lines = re.findall(r"(?:^\|.*\|$\n?)+", body, re.M)
        if lines:
            head, rule, *rows = (_cells(line) for line in lines[0].splitlines())
            assert set("".join(rule)) <= set("-:"), f"{heading}: no table"
            assert all(len(row) == len(head) for row in rows), f"{heading}: rows of unequal length"
            found[heading] = [dict(zip(head, row, strict=True)) for row in rows]
    return found


def links(page: Path) -> list[str]:
    """Targets of the links of a page that are no web addresses, code left out."""
    prose = re.sub(r"`[^`\n]*`", "", _BLOCK.sub("", page.read_text(encoding="utf-8")))
    return [link for link in _LINK.findall(prose) if "://" not in link]


def code(text: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", text)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
