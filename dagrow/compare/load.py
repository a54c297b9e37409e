"""Comparison files: read and checked as a whole, every problem with its file and line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dagrow.compare.spec import CompareSpec
from dagrow.errors import GrowthError, Problem, SpecError
from dagrow.graph import Dag, checked_run, load_run
from dagrow.planner import check_growth
from dagrow.spec import Document, RunSpec, SourceFile, dump_run, read_document
from dagrow.spec.loaders import read_file, run_of, validated

_BASE = "base"


def load_comparison(path: str | Path) -> CompareSpec:
    """A comparison file with its base; every setting is tried out on it, and then every variant.

    Raises:
        SpecError: with the problems of the base, or else with those of the rest: what makes no run, or asks a method
            to grow a graph that has not what the method needs.
    """
    document = read_file(path)
    source = SourceFile(str(path), document.lines)
    base = _base(document, Path(path), source)
    spec = validated(CompareSpec, replace(document, data={**document.data, _BASE: base}), source)
    if problems := [p for label in spec.settings for p in _problems(spec.base, label, spec.settings[label])]:
        raise source.error(problems)
    if problems := _refused(spec):
        raise source.error(problems)
    return spec


def varied(run: RunSpec, changes: Sequence[str]) -> RunSpec:
    """The run with some changes, each ``key.path=value``.

    Raises:
        SpecError: if a change is none, or what comes out is not a run.
    """
    try:
        return checked_run(*run_of(read_document(dump_run(run)), "", changes))
    except SpecError as error:
        # Lines would be those of a text that nobody has seen.
        raise SpecError([replace(problem, line=None) for problem in error.problems]) from None


def _base(document: Document, path: Path, source: SourceFile) -> RunSpec:
    given = document.data.get(_BASE)
    if isinstance(given, str) and given:
        return load_run(path.parent / given)
    if not isinstance(given, dict):
        found = f"found {given!r:.60}" if _BASE in document.data else "it is missing"
        raise source.error([Problem((_BASE,), f"give the path of a run file, or the sections of a run; {found}")])
    try:
        return checked_run(*run_of(document.section(_BASE), path))
    except SpecError as error:
        raise SpecError([replace(p, path=(_BASE, *p.path)) for p in error.problems], str(path)) from None


def _refused(spec: CompareSpec) -> list[Problem]:
    """The variants that cannot grow as they should, by the entry of the file from which on they cannot.

    What needs the data (that they have classes, say) shows when a cell starts.
    """
    found: dict[tuple[str, ...], str] = {}
    for variant in spec.variants():
        entry: tuple[str, ...] = (_BASE,)
        reasons = [_reason(spec.base, variant.changes[:count]) for count in range(len(variant.changes) + 1)]
        for at, before, after in zip(variant.entries, reasons, reasons[1:], strict=False):
            # A change may mend what the base, or one before it, would have made impossible.
            entry = at if after != before else entry
        if reasons[-1]:
            found.setdefault(entry, reasons[-1])
    return [Problem(entry, reason) for entry, reason in found.items()]


def _reason(base: RunSpec, changes: Sequence[str]) -> str:
    """Why the base with these changes cannot grow; empty if it can."""
    try:
        run = varied(base, changes)
        check_growth(run.growth, Dag.of(run.graph))
    except SpecError as error:
        return "; ".join(problem.message.removeprefix("--set ") for problem in error.problems)
    except GrowthError as error:
        return str(error)
    return ""


def _problems(base: RunSpec, label: str, changes: Sequence[str]) -> list[Problem]:
    """The first of the changes that makes no run."""
    for index in range(len(changes)):
        try:
            varied(base, changes[: index + 1])
        except SpecError as error:
            message = "; ".join(problem.message.removeprefix("--set ") for problem in error.problems)
            return [Problem(("settings", label, str(index)), message)]
    return []
