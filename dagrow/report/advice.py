"""What experience says about the settings of a run; the evidence is in docs/generalisation.md.

A new piece of advice is a line of `ADVICE`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dagrow.spec import RunSpec


class Advice(NamedTuple):
    """One sentence, and when it is of use.

    Attributes:
        fits: whether a run is in the situation, with settings that fit it badly or might fit it better.
        says: what to try, and why.
    """

    fits: Callable[[RunSpec], bool]
    says: str


def advice(run: RunSpec) -> list[str]:
    """What may be worth a change; empty where nothing grows.

    Args:
        run: as it would be run.
    """
    if run.growth.budget.steps == 0:
        return []
    return [each.says for each in ADVICE if each.fits(run)]
