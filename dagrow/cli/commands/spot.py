"""``dagrow spot``: where a network is too narrow, and what widening it would gain."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from dagrow.report.output import echo


def spot(
    source: Annotated[
        str, typer.Argument(metavar="DIR|RUN.yaml", help="A run directory, or a run file: its network is untrained.")
    ],
    neurons: Annotated[int, typer.Option(help="Features whose gain is measured, at each node.")] = 4,
    node: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Look at this node; may be repeated.")] = None,
    samples: Annotated[
        int | None, typer.Option(help="Training samples to look at. [default: as a growth step]")
    ] = None,
    method: Annotated[str, typer.Option(help="How new features are made.")] = "tiny",
    fallback_method: Annotated[
        str,
        typer.Option(
            "--fallback-method", "--completion", help="What makes them where tiny finds none; none is faster."
        ),
    ] = "nonlinear",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change an entry of a run file.")
    ] = None,
    out: Annotated[str | None, typer.Option(help="Picture to write, .svg or .png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Say where a network is too narrow: bottlenecks, and what more features would gain. Nothing grows."""
    from pathlib import Path

    from dagrow.errors import DagrowError
    from dagrow.report import picture_format
    from dagrow.spot import spot_run

    if out is not None:
        picture_format(Path(out))
    if settings and Path(source).is_dir():
        raise DagrowError("--set changes a run file: a run directory is looked at as it is")
    if samples is not None and samples < 1:
        raise DagrowError(f"--samples must be at least 1, not {samples}")
    found = spot_run(
        source,
        neurons=neurons,
        nodes=node,
        samples=samples or "auto",
        method=method,
        fallback_method=fallback_method,
        settings=settings or (),
    )
    echo(json.dumps(found.entry, indent=2, ensure_ascii=False) if as_json else found)
    if out is not None:
        found.save(out, title=Path(source).stem)
        if not as_json:
            echo(f"\n{out}")
