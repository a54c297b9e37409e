"""The ways of a space's new channels: one, or two where queries, keys and values share a size."""

from __future__ import annotations

from dataclasses import dataclass

from dagrow.capture import Space
from dagrow.module_growth.flow import Flow
from dagrow.module_growth.score_flow import ScoreFlow


@dataclass(frozen=True)
class SharedFlow:
    """A size that queries, keys and values share: both ways at once.

    Attributes:
        values: the way of values.
        scores: that of queries and keys.
    """

    values: Flow
    scores: ScoreFlow

    @property
    def space(self) -> Space:
        """That grows."""
        return self.values.space


def ways_of(flow: Flow | ScoreFlow | SharedFlow) -> tuple[Flow | ScoreFlow, ...]:
    """The ways of a space's new channels.

    Args:
        flow: one way, or both of a size that is shared.
    """
    return (flow.values, flow.scores) if isinstance(flow, SharedFlow) else (flow,)
