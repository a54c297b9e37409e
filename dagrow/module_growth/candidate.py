"""What growth of a space would gain, and a plan: all candidates, best first."""

from __future__ import annotations

from dataclasses import dataclass

from dagrow.module_growth.trial import Insertion
from dagrow.module_growth.updates import LayerUpdate
from dagrow.report import number, table

GAINING = "tiny"
"""The method whose channels enter for their gain."""


@dataclass(frozen=True)
class SpaceCandidate:
    """New channels of one space of a module.

    Attributes:
        space: its name.
        channels: how many new ones.
        gain: drop of the mean loss over all samples; 0 for a silent start.
        held_out_gain: the same on the samples that chose the amplitude.
        slope: ``-dL/dg`` at amplitude 0; None for a silent start.
        amplitude: with which they enter.
        bottleneck: ``E||v_proj||^2`` over the layers that read the space, of queries and keys that of their scores, as
            far as it is one of them; None where it could not be had.
        scores: singular values of the method.
        shrinkage: of the metric, as chosen.
        parameters: that they add.
        rejected: why they are not to be inserted; empty if they may be.
        note: why they enter silently, with outgoing weights of 0.
        copies: whether they are copies of channels that are there.
        weights: of the channels, at unit amplitude; None for a silent start.
        fingerprint: checksum of the weights that it was measured on.
    """

    space: str
    channels: int
    gain: float = 0.0
    held_out_gain: float = 0.0
    slope: float | None = None
    amplitude: float = 0.0
    bottleneck: float | None = None
    scores: tuple[float, ...] = ()
    shrinkage: float = 0.0
    parameters: int = 0
    rejected: str = ""
    note: str = ""
    copies: bool = False
    weights: Insertion | None = None
    fingerprint: str = ""


@dataclass(frozen=True)
class ModulePlan:
    """What one look at a module proposes.

    Attributes:
        candidates: best first, rejected ones last.
        loss: mean over all samples.
        held_out_loss: over the samples that choose.
        samples: how many there are.
        method: how new weights are made.
        fixed: spaces that cannot grow, and why.
        updates: best updates of layers as they are, where they were asked for; best first.
    """

    candidates: tuple[SpaceCandidate, ...]
    loss: float
    held_out_loss: float
    samples: int
    method: str = "tiny"
    fixed: tuple[tuple[str, str], ...] = ()
    updates: tuple[LayerUpdate, ...] = ()

    @property
    def best(self) -> SpaceCandidate | None:
        """The candidate to insert; None when nothing gains."""
        first = next(iter(self.candidates), None)
        return None if first is None or first.rejected else first

    def __str__(self) -> str:
        title = f"loss {self.loss:.6g}, held out {self.held_out_loss:.6g} on {self.samples} samples"
        header = (
            "space",
            "channels",
            "gain",
            "held out",
            "bottleneck",
            "slope",
            "amplitude",
            "shrinkage",
            "parameters",
            "",
        )
        body = [
            (
                c.space,
                str(c.channels),
                number(c.gain),
                number(c.held_out_gain),
                number(c.bottleneck),
                number(c.slope),
                number(c.amplitude, 3),
                number(c.shrinkage, 3),
                f"{c.parameters:+d}",
                c.rejected or ("best" if c is self.best else c.note),
            )
            for c in self.candidates
        ]
        lines = [title, table(header, body, left=1) if body else "no candidates"]
        lines += map(str, self.updates)
        return "\n".join([*lines, *(f"{name}: {reason}" for name, reason in self.fixed)])


def to_insert(plan: ModulePlan) -> tuple[SpaceCandidate | None, str]:
    """The candidate that a loop inserts, or None and why: one that could only start silently gains nothing by TINY."""
    best = plan.best
    if best is None:
        return None, "no space gains"
    if best.weights is None and plan.method == GAINING:
        return None, "no space gains but silently"
    return best, ""
