"""A plan: every candidate that was considered, best first, printable as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dagrow.graph import NotGrowable
from dagrow.planner.candidate import Candidate
from dagrow.renaming import warn_renamed
from dagrow.report import number, table


class Stages(NamedTuple):
    """How many candidates came how far.

    Attributes:
        considered: legal ones.
        solved: those whose weights were computed; the others had a low bound.
        drafted: those of them with something to insert.
        searched: those whose amplitude was searched to the end; the others were behind after a first look.
    """

    considered: int
    solved: int
    drafted: int
    searched: int


_NO_STAGES = Stages(0, 0, 0, 0)


@dataclass(frozen=True)
class Plan:
    """What one look at the network proposes.

    Attributes:
        candidates: all that were considered, best first, rejected ones last.
        loss: mean loss over all samples, before any insertion.
        held_out_loss: the same on the held-out samples; None without such samples.
        samples: how many samples the data hold.
        where: the strategy that sorted them.
        not_growable: places that cannot grow, and why.
        stages: how many candidates came how far.
    """

    candidates: tuple[Candidate, ...]
    loss: float
    held_out_loss: float | None
    samples: int
    where: str
    not_growable: tuple[NotGrowable, ...] = ()
    stages: Stages = _NO_STAGES

    @property
    def fixed(self) -> tuple[NotGrowable, ...]:
        """The name of `not_growable` until 0.2."""
        warn_renamed("Plan.fixed", "Plan.not_growable")
        return self.not_growable

    @property
    def best(self) -> Candidate | None:
        """The candidate to insert; None when nothing gains."""
        first = next(iter(self.candidates), None)
        return None if first is None or first.rejected else first

    def __str__(self) -> str:
        held = "" if self.held_out_loss is None else f", held out {self.held_out_loss:.6g}"
        title = f"loss {self.loss:.6g}{held} on {self.samples} samples; best by {self.where}"
        header = (
            "place", "kind", "neurons", "gain", "held out", "first order", "amplitude", "shrinkage", "parameters",
            "multiply-adds", "",
        )  # fmt: skip
        body = [
            (
                c.place,
                c.kind,
                str(c.neurons),
                number(c.gain),
                number(c.held_out_gain),
                number(c.first_order_gain),
                number(c.amplitude, 3),
                number(c.shrinkage, 3),
                f"{c.cost.parameters:+d}",
                f"{c.cost.multiply_adds:+d}",
                c.rejected or ("best" if c is self.best else ""),
            )
            for c in self.candidates
        ]
        lines = [title, table(header, body, left=2)] if body else [title, "no candidates"]
        if self.stages.considered > len(self.candidates):
            counts = ", ".join(f"{count} {stage}" for stage, count in self.stages._asdict().items())
            lines.append(f"candidates: {counts}")
        lines += [f"{place.node}: {place.reason}" for place in self.not_growable]
        return "\n".join(lines)
