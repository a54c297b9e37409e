"""The page of a run: a heading, a table of contents, and the sections."""

from __future__ import annotations

from pathlib import Path

from dagrow.errors import DagrowError, RunError
from dagrow.files import replace_file
from dagrow.page.html import Markup, element, joined
from dagrow.page.record import RunRecord
from dagrow.page.sections import SECTIONS
from dagrow.spot import spot_run

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""A browser loads nothing for this page, and runs nothing in it."""
_STYLE = Markup(
    """<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 1180px; margin: 0 auto; padding: 24px; }
h1 { font-size: 26px; margin: 0; } h2 { font-size: 20px; margin: 40px 0 8px; border-bottom: 1px solid #d9dee4; }
h3 { font-size: 16px; margin: 20px 0 4px; } nav a { margin-right: 16px; color: #3b5bdb; }
table { border-collapse: collapse; font-size: 13px; margin: 8px 0; } th { text-align: left; color: #5f6b7a; }
th, td { padding: 3px 12px 3px 0; border-bottom: 1px solid #edf0f3; vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; } .scroll { overflow-x: auto; }
.warning { color: #a61e4d; } .made { color: #2b8a3e; font-weight: bold; }
details { margin: 6px 0; } summary { cursor: pointer; }
pre { background: #f3f5f7; padding: 12px; overflow-x: auto; font-size: 12.5px; }
figure { margin: 16px 24px 16px 0; display: inline-block; vertical-align: top; max-width: 100%; }
figcaption { color: #5f6b7a; } img { max-width: 100%; height: auto; }
.charts { display: flex; flex-wrap: wrap; gap: 12px; } .chart { width: 560px; max-width: 100%; }
.chart text { font-size: 11px; fill: #5f6b7a; } .chart .title { font-size: 13px; font-weight: bold; fill: #1f2933; }
.chart .grid { stroke: #edf0f3; } .chart .mark { stroke: #2b8a3e; stroke-dasharray: 3 3; opacity: 0.5; }
@media print { details { display: block; } nav { display: none; } }
</style>"""
)


def report(directory: str | Path, out: str | Path | None = None, *, spot: bool = False) -> Path:
    """Writes a run as one HTML page that needs nothing else: no network, no scripts, no other files.

    Args:
        directory: of a run, which may be going on.
        out: the page to write; ``report.html`` inside the directory if left out.
        spot: compute the bottlenecks of the network as it is now, which takes its data and about a growth step's time.

    Returns:
        The file that was written.

    Raises:
        RunError: if the directory is not that of a run, files are damaged, or a link stands in the place of the page.
        DagrowError: if the page cannot be written, or with ``spot`` for what `spot_run` raises.
    """
    source = Path(directory)
    path = source / "report.html" if out is None else Path(out)
    if out is None and path.is_symlink():
        raise RunError(f"{path} is a link, and would not be written to unasked; give 'out'")
    run = RunRecord.read(source, None)
    if spot:
        run = RunRecord.read(source, spot_run(source))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, page(run).encode("utf-8"))
    except OSError as error:
        raise DagrowError(f"{path}: cannot be written: {error.strerror or error}") from error
    return path


def page(run: RunRecord) -> str:
    """The text of the page; the same run gives the same text."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{run.name}: a network that grew"),
        _STYLE,
    )
    contents = element("nav", *(element("a", section.title, href=f"#{section.key}") for section in SECTIONS))
    sections = [
        element("section", element("h2", section.title), section.content(run), id=section.key) for section in SECTIONS
    ]
    body = element("body", element("header", element("h1", run.name), contents), joined(sections))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"
