"""The growth of a network as a picture needs it: what was there, and what each step made of it."""

from __future__ import annotations

from dataclasses import dataclass

from dagrow.spec.graph import GraphSpec


@dataclass(frozen=True)
class GrowthStep:
    """One step of growth.

    Attributes:
        number: as the journal counts.
        graph: after the step.
        note: what happened, in words, for a step that leaves the graph as it is.
        gain: drop of the loss by the insertion, as measured; None if nothing was inserted.
        held_out_gain: the same on samples that the statistics did not see; None where there were none.
        loss: training loss after the step.
    """

    number: int
    graph: GraphSpec
    note: str = ""
    gain: float | None = None
    held_out_gain: float | None = None
    loss: float | None = None


@dataclass(frozen=True)
class History:
    """A graph, and how it came to be; without steps, just a graph.

    Attributes:
        start: the graph at first.
        steps: in order.
        first_loss: training loss before the first step.
        last_loss: training loss at the end of the run; None if it has not ended.
    """

    start: GraphSpec
    steps: tuple[GrowthStep, ...] = ()
    first_loss: float | None = None
    last_loss: float | None = None

    @property
    def end(self) -> GraphSpec:
        """The graph after the last step."""
        return self.steps[-1].graph if self.steps else self.start

    @property
    def graphs(self) -> tuple[GraphSpec, ...]:
        """The graph at first and after each step."""
        return (self.start, *(step.graph for step in self.steps))

    @property
    def effects(self) -> tuple[bool, ...]:
        """Of each step, whether it changed anything: the graph, or the weights with a gain."""
        return tuple(
            step.gain is not None or before != step.graph
            for before, step in zip(self.graphs[:-1], self.steps, strict=True)
        )
