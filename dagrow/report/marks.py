"""What a picture shows beside a graph itself: shares of nodes, and bars with intervals."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NodeMark:
    """A share that says how strongly a node is coloured.

    Attributes:
        share: from 0 to 1; what lies outside counts as the nearer of them.
        text: stands in the box of the node.
    """

    share: float
    text: str


@dataclass(frozen=True)
class Bar:
    """A number with an interval.

    Attributes:
        label: what it is of.
        value: as estimated; None where there is none.
        interval: low and high; None where it is not known.
        text: stands behind it.
    """

    label: str
    value: float | None
    interval: tuple[float, float] | None
    text: str = ""
