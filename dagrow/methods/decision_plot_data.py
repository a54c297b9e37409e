"""What there is to be drawn of a decision in a plane, as plain data; `dagrow.report` draws it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor


@dataclass(frozen=True)
class Straight:
    """The straight line ``normal . p + offset = 0``.

    Attributes:
        role: how it is drawn.
        normal: ``[2]``.
        offset: a number.
        name: for the legend; empty for lines that are only there to be seen.
    """

    role: Literal["boundary", "crease", "present"]
    normal: Tensor
    offset: float
    name: str = ""


@dataclass(frozen=True)
class Scene:
    """A classifier of points in a plane, before something new comes.

    Attributes:
        points: ``[n, 2]``, samples.
        labels: ``[n]``, their right classes.
        classify: points ``[m, 2]`` to the classes that the network sees.
        region: points ``[m, 2]`` to whether they lie in the part of the plane that is looked at.
        region_name: for the legend.
        lines: straight lines.
        marks: points of their own ``[2]``, by name.
    """

    points: Tensor
    labels: Tensor
    classify: Callable[[Tensor], Tensor]
    region: Callable[[Tensor], Tensor]
    region_name: str
    lines: tuple[Straight, ...]
    marks: dict[str, Tensor]
