"""Why a growth step did what it did, for people: a line, and a picture where there is one to draw."""

from __future__ import annotations

from dagrow.errors import DagrowError
from dagrow.methods import Why
from dagrow.report import Reporter, write_scene
from dagrow.training.directory import RunDirectory


def explain(why: Why, step: int, directory: RunDirectory | None, reporter: Reporter) -> None:
    """Says it, and draws it into the run directory; a picture that cannot be drawn is no reason to end a run.

    Args:
        why: what the method has to tell.
        step: the growth step.
        directory: of the run; None if nothing is written.
        reporter: told the line.
    """
    reporter.say(f"    {why}")
    if directory is None or why.scene is None:
        return
    try:
        write_scene(why.scene, directory.explained(step), title=f"step {step}: {why}")
    except DagrowError as error:
        reporter.say(f"    not drawn: {error}")
