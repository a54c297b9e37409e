"""HTML from elements: text is escaped wherever it comes from, and the page is well-formed XML, too."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

from dagrow.errors import printable, printable_lines


class Markup(str):
    """Text that is HTML already: what `element` returns, and nothing else."""

    __slots__ = ()


Child = Markup | str | None

_VOID = frozenset({"img", "meta", "br"})


def element(tag: str, *children: Child, **attributes: object) -> Markup:
    """One element.

    Args:
        tag: its name.
        children: text, which is escaped, or elements; None is left out.
        attributes: by name; ``_`` at the end goes, ``_`` inside is a dash. None is left out.
    """
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_escaped(str(value), quote=True)}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _VOID:
        return Markup(f"<{tag}{given}/>")
    inner = "".join(child if isinstance(child, Markup) else _escaped(child) for child in children if child is not None)
    return Markup(f"<{tag}{given}>{inner}</{tag}>")


def text_block(text: str) -> Markup:
    """Lines as they are, in a typewriter's letters."""
    return Markup(f"<pre>{html.escape(printable_lines(text), quote=False)}</pre>")


def joined(parts: Iterable[Markup]) -> Markup:
    """Elements one after the other."""
    return Markup("".join(parts))


def table(header: Sequence[str], rows: Iterable[Sequence[Child]], numbers_from: int = 1) -> Markup:
    """A table whose columns from ``numbers_from`` on are flush right."""

    def row(tag: str, cells: Sequence[Child]) -> Markup:
        classes = [None if index < numbers_from else "number" for index in range(len(cells))]
        return element("tr", *(element(tag, c, class_=k) for c, k in zip(cells, classes, strict=True)))

    body = [row("td", cells) for cells in rows]
    whole = element("table", element("thead", row("th", list(header))), element("tbody", joined(body)))
    return element("div", whole, class_="scroll")


def picture(svg: bytes, description: str) -> Markup:
    """An SVG inside the page: as an image, so that nothing in it is run or clashes with another."""
    encoded = base64.b64encode(svg).decode("ascii")
    return element("img", src=f"data:image/svg+xml;base64,{encoded}", alt=description)


def _escaped(text: str, quote: bool = False) -> str:
    return html.escape(printable(text), quote=quote)
