"""What was found: the bottleneck of each node and the gain of widening, as a table, a picture and plain data."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dagrow.graph import Cost, NotGrowable
from dagrow.report import number, table
from dagrow.report.marks import Bar, NodeMark
from dagrow.report.pictures import marked_picture_bytes, write_marked_picture
from dagrow.spec import GraphSpec
from dagrow.statistics import NodeBottleneck

ERRORS = 2.0
"""Standard errors on either side of an estimate: about 95 of 100 such intervals hold the true value."""

SCHEMA = 1
"""Of `Spot.entry`."""


@dataclass(frozen=True)
class Widening:
    """What a few more features of one node would gain.

    Attributes:
        node: that would be widened.
        readers: the nodes that would read the new features: whose bottleneck they would relieve.
        features: how many; 0 where there are none to add.
        gain: drop of the mean loss, on held-out samples if there are some; None where none was measured.
        standard_error: of the gain; None where it is not known.
        relief: share of the readers' bottleneck that the new features take off, on the samples that they were computed
            from; None where the method does not say.
        cost: parameters and multiply-adds that they add.
        reason: why growth would not insert them; empty if it would.
    """

    node: str
    readers: tuple[str, ...]
    features: int
    gain: float | None
    standard_error: float | None
    relief: float | None
    cost: Cost
    reason: str = ""

    @property
    def interval(self) -> tuple[float, float] | None:
        """The gain with `ERRORS` standard errors on either side."""
        return _interval(self.gain, self.standard_error)


@dataclass(frozen=True)
class Spot:
    """Where a network is too narrow. Print it for tables, `save` it as a picture; `entry` is plain data.

    Attributes:
        graph: of the network.
        loss: mean over all samples.
        samples: how many samples were looked at.
        held_out: how many of them were kept from the statistics, for the estimates.
        features: that were asked for at each node.
        bottlenecks: per node with weights, in the order of the graph.
        widenings: per node that can be widened, the greatest gain first.
        fixed: nodes that cannot be widened, and why.
        note: what to know about the network, such as that it is untrained.
    """

    graph: GraphSpec
    loss: float
    samples: int
    held_out: int
    features: int
    bottlenecks: tuple[NodeBottleneck, ...]
    widenings: tuple[Widening, ...]
    fixed: tuple[NotGrowable, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        lines = [self.title, *([f"note: {self.note}"] if self.note else []), ""]
        lines += ["what the weights of each node cannot supply of its desired update", self._bottleneck_table(), ""]
        lines += [f"what {self.features} more features would gain", self._widening_table()]
        lines += [f"{place.node} keeps its size: {place.reason}" for place in self.fixed]
        return "\n".join(lines)

    @property
    def title(self) -> str:
        """Loss and samples in a line."""
        held = f", {self.held_out} of them held out for the estimates" if self.held_out else ", none of them held out"
        return f"loss {self.loss:.6g} on {self.samples} samples{held}"

    @property
    def entry(self) -> dict[str, Any]:
        """As plain data for JSON; intervals are estimates with two standard errors on either side."""
        return {
            "schema": SCHEMA,
            "note": self.note,
            "loss": _finite(self.loss),
            "samples": self.samples,
            "held_out": self.held_out,
            "features": self.features,
            "bottlenecks": [
                {**asdict(each), "interval": _interval(each.share, each.standard_error)} for each in self.bottlenecks
            ],
            "widenings": [
                {
                    "node": each.node,
                    "readers": list(each.readers),
                    "features": each.features,
                    "gain": each.gain,
                    "standard_error": each.standard_error,
                    "interval": each.interval,
                    "relief": each.relief,
                    "parameters": each.cost.parameters,
                    "multiply_adds": each.cost.multiply_adds,
                    "reason": each.reason,
                }
                for each in self.widenings
            ],
            "fixed": [{"node": place.node, "reason": place.reason} for place in self.fixed],
        }

    def save(self, path: str | Path, title: str = "bottlenecks") -> Path:
        """Draws the graph with the bottleneck of each node, and beside it what more features would gain.

        Args:
            path: the picture to write, ``.svg`` or ``.png``.
            title: stands above it.

        Raises:
            DagrowError: if the suffix is neither, the extra ``plots`` is missing or the file cannot be written.
        """
        write_marked_picture(self.graph, Path(path), *self._shown, title=title, note=self._heading)
        return Path(path)

    def svg(self, title: str = "bottlenecks") -> bytes:
        """The same picture as the content of an SVG file.

        Raises:
            DagrowError: if the extra ``plots`` is missing.
        """
        return marked_picture_bytes(self.graph, "svg", *self._shown, title=title, note=self._heading)

    @property
    def _heading(self) -> str:
        return self.title + (f"; {self.note}" if self.note else "")

    @property
    def _shown(self) -> tuple[dict[str, NodeMark], tuple[Bar, ...], str]:
        return self.marks, self.bars, f"gain of {self.features} more features"

    @property
    def marks(self) -> dict[str, NodeMark]:
        """For a picture: the share of each node."""
        return {
            each.node: NodeMark(each.share, f"{_percent(each.share, each.standard_error)} not supplied")
            for each in self.bottlenecks
            if each.share is not None
        }

    @property
    def bars(self) -> tuple[Bar, ...]:
        """For a picture: the gain of each widening, with its interval."""
        return tuple(
            Bar(f"{each.node} +{each.features}", each.gain, each.interval, _cost(each.cost))
            for each in self.widenings
            if each.gain is not None
        )

    def _bottleneck_table(self) -> str:
        body = [
            [
                each.node,
                number(each.desired_power, 3),
                _percent(each.share, each.standard_error),
                "-" if each.fitted_share is None else f"{100 * each.fitted_share:.1f} %",
            ]
            for each in self.bottlenecks
        ]
        if not body:
            return "no node has weights"
        return table(("node", "desired update", "not supplied", "where it was fitted"), body)

    def _widening_table(self) -> str:
        header = ("node", "read by", "features", "gain", "±", "relief", "parameters", "multiply-adds", "")
        body = [
            [
                each.node,
                ", ".join(each.readers),
                f"+{each.features}" if each.features else "-",
                number(each.gain, 3),
                number(None if each.standard_error is None else ERRORS * each.standard_error, 2),
                "-" if each.relief is None else f"{100 * each.relief:.1f} %",
                f"{each.cost.parameters:+d}" if each.features else "-",
                f"{each.cost.multiply_adds:+d}" if each.features else "-",
                each.reason,
            ]
            for each in self.widenings
        ]
        return table(header, body, left=2) if body else "no node can be widened"


def _percent(share: float | None, error: float | None) -> str:
    if share is None:
        return "-"
    return f"{100 * share:.1f} %" if error is None else f"{100 * share:.1f} ± {100 * ERRORS * error:.1f} %"


def _interval(value: float | None, error: float | None) -> tuple[float, float] | None:
    return None if value is None or error is None else (value - ERRORS * error, value + ERRORS * error)


def _cost(cost: Cost) -> str:
    return f"{cost.parameters:+,} parameters, {cost.multiply_adds:+,} multiply-adds"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
