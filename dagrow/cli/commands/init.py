"""``dagrow init``: a first run file from a data file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dagrow.report.output import echo


def init(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A table (.csv, .tsv, .parquet, ...), arrays (.npz with x_train and y_train) "
            "or a folder that holds a folder of images per class.",
        ),
    ],
    target: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the table to learn. [default: found by its name]")
    ] = None,
    out: Annotated[str, typer.Option(help="Run file to write; it must not be there yet.")] = "run.yaml",
) -> None:
    """Write a first run file for some data: it asks nothing and explains itself in comments."""
    from dagrow.starter import write_first_run

    echo(write_first_run(Path(data), Path(out), target))
