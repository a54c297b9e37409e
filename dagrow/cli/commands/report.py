"""``dagrow report``: a run as one HTML page."""

from __future__ import annotations

from typing import Annotated

import typer

from dagrow.report.output import echo


def report(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="A run directory that 'dagrow grow' has made.")],
    out: Annotated[str | None, typer.Option(help="Page to write. [default: report.html in DIR]")] = None,
    spot: Annotated[
        bool, typer.Option("--spot", help="Compute the bottlenecks of the network as it is now, too; needs its data.")
    ] = False,
) -> None:
    """Write a run as one HTML page: growth, graphs, candidates, bottlenecks, data, configuration."""
    from dagrow.page import report as write_report

    echo(write_report(directory, out, spot=spot))
