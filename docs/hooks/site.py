"""What mkdocs does with the pages beside turning them into HTML; nothing here needs a network.

The order of the site is that of `KINDS`, and every page in a folder is in it. Formulas become MathML, which browsers
draw without a script. Tables of the run file are made anew. Links to files of the repository that are no pages, such as
``../../specs/digits.yaml``, show the file.
"""

from __future__ import annotations

import logging
import posixpath
import re
from html import unescape
from pathlib import Path
from typing import Any

import run_file
from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

LOG = logging.getLogger("mkdocs.hooks.site")
ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

KINDS = {"Tutorials": "tutorials", "How to ...": "how-to", "Reference": "reference", "Explanation": "explanation"}
FIRST = {
    "tutorials": ("first-network", "your-own-loop"),
    "how-to": ("own-data", "training", "other-loops", "extending", "resume", "exports", "compare", "journal"),
    "reference": ("run-file", "command-line", "api"),
    "explanation": ("mathematics", "methods", "generalisation", "versus", "benchmarks", "decisions"),
}
"""Pages that stand first in their folder; the others follow by name."""

SHOWN = ("specs/*.yaml", "specs/*.py", "examples/*", "benchmarks/*.py", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE")
"""Files of the repository that pages link to."""

_OUTSIDE = re.compile(r"(\[[^\]\n]*\])\(((?:\.\./)+)([^)\s#]+)(#[^)\s]*)?\)")
_FORMULA = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.S)


def on_config(config: Any) -> Any:
    """Puts every page into the navigation; anchors are those that code hosts give to headings."""
    config.mdx_configs["toc"]["slugify"] = lambda heading, separator: _anchor(heading)
    rest = [page.name for page in sorted(DOCS.glob("*.md")) if page.stem != "index"]
    config.nav = [
        "index.md",
        *({title: [page.relative_to(DOCS).as_posix() for page in _pages(kind)]} for title, kind in KINDS.items()),
        {"Project": rest},
    ]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Adds the files of the repository that pages link to."""
    for pattern in SHOWN:
        for path in sorted(ROOT.glob(pattern)):
            if path.is_file() and path.suffix != ".md":
                content = path.read_text(encoding="utf-8")
                name = f"files/{path.relative_to(ROOT).as_posix()}.txt"
                files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Fills the tables of the run file, and leads links out of docs/ to what they mean."""
    source = page.file.src_uri
    if source == "reference/run-file.md":
        markdown = run_file.filled(markdown)

    def lead(found: re.Match[str]) -> str:
        text, up, rest, _ = found.groups()
        target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(source), up + rest))
        if target.startswith("docs/"):
            return found[0]
        if files.get_file_from_path(f"files/{target}.txt") is None:
            return text[1:-1]
        return f"{text}({posixpath.relpath(f'files/{target}.txt', posixpath.dirname(source) or '.')})"

    return _OUTSIDE.sub(lead, markdown)


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Turns formulas into MathML."""

    def formula(found: re.Match[str]) -> str:
        text = unescape(found[2]).strip()[2:-2].strip()
        made: str = convert(text, display="block" if found[1] == "div" else "inline")
        if "\\" in made:
            LOG.warning("%s: a command of this formula is unknown: %s", page.file.src_uri, text)
        return made

    return _FORMULA.sub(formula, html)


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-")


def _pages(kind: str) -> list[Path]:
    first = FIRST[kind]
    places = {name: place for place, name in enumerate(first)}
    return sorted((DOCS / kind).glob("*.md"), key=lambda page: (places.get(page.stem, len(first)), page.stem))
