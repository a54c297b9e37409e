"""Checks of a whole run file beyond its graph; who adds fields that bind the graph registers what they ask of it."""

from __future__ import annotations

from collections.abc import Callable

from dagrow.errors import Problem
from dagrow.registry import Registry
from dagrow.spec import RunSpec

RunCheck = Callable[[RunSpec], list[Problem]]
"""What a run cannot do with, each with its place in the file; the graph is in order."""

RUN_CHECKS: Registry[RunCheck] = Registry("check of a run")


def run_problems(run: RunSpec) -> list[Problem]:
    """What all checks find; the graph must be in order."""
    return [problem for check in RUN_CHECKS.values() for problem in check(run)]
