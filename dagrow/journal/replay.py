"""Graphs in a journal: what an event says of one, and the graph of any step made again from the changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from dagrow.errors import DagrowError, RunError, SpecError
from dagrow.graph import Dag
from dagrow.spec import GraphPatch, GraphSpec, graph_hash, plain_graph

Events = Iterable[Mapping[str, Any]]


def graph_entries(after: GraphSpec, before: GraphSpec | None = None) -> dict[str, Any]:
    """What an event says of the graph as it is then.

    Args:
        after: the graph.
        before: that of the event before; what made the one of the other is said as well.
    """
    change = {} if before is None else {"change": GraphPatch.between(before, after).plain}
    return {"graph": plain_graph(after), "graph_hash": graph_hash(after), **change}


def read_graph_entry(event: Mapping[str, Any]) -> GraphSpec:
    """The graph that an event tells.

    Raises:
        RunError: if what stands there is not a graph.
    """
    try:
        return GraphSpec.model_validate(event["graph"])
    except ValidationError as error:
        first = error.errors()[0]
        place = " / ".join(map(str, first["loc"]))
        raise RunError(f"the journal's '{event['event']}' holds no graph: {place}: {first['msg']}") from error


@dataclass(frozen=True)
class Replay:
    """The graph of a step, made again from the changes that a journal tells.

    Attributes:
        step: which; 0 is the start.
        graph: made of the first graph by all changes up to there.
        hash: of that graph.
        recorded: the hash that the journal tells.
        differs: the first step where the two are not the same; None if there is none.
    """

    step: int
    graph: GraphSpec
    hash: str
    recorded: str
    differs: int | None = None

    @property
    def identical(self) -> bool:
        """Whether the graphs of this step and of all before are those that were there."""
        return self.differs is None

    def __str__(self) -> str:
        verdict = "identical to the recorded graph"
        if self.differs is not None:
            verdict = f"NOT the recorded graph: they differ from step {self.differs} on"
        return f"step {self.step}: {verdict}\nrebuilt   {self.hash}\nrecorded  {self.recorded}"


def replays(events: Events) -> list[Replay]:
    """The graph after each step, made again one change after the other; the first is the start.

    Raises:
        RunError: if the journal does not tell the changes, or they do not fit one another.
    """
    found: list[Replay] = []
    for event in events:
        if event["event"] in ("epoch", "checkpoint", "warning", "stopped"):
            continue
        if "graph_hash" not in event:
            if event["event"] in ("start", "growth"):
                raise RunError(_OLD)
            continue
        if not found:
            graph, step = read_graph_entry(event), 0
        else:
            last = found[-1]
            graph, step = _changed(last.graph, event), event.get("step", last.step)
        if not isinstance(step, int) or (found and step < found[-1].step):
            raise RunError(f"the journal's step {str(step)[:20]} comes after step {found[-1].step}")
        own, recorded = graph_hash(graph), str(event["graph_hash"])
        differs = found[-1].differs if found else None
        if differs is None and own != recorded:
            differs = step
        # A removal belongs to the step of the insertion before it.
        if found and found[-1].step == step:
            found.pop()
        found.append(Replay(step, graph, own, recorded, differs))
    if not found:
        raise RunError("the journal tells of no graph: the run ended before it began")
    return found


def replay_to(events: Events, step: int | None) -> Replay:
    """The graph of one step, the last if left out.

    Raises:
        RunError: if there is no such step, or the journal does not tell the changes.
    """
    found = replays(events)
    if step is None:
        return found[-1]
    for replay in found:
        if replay.step == step:
            return replay
    raise RunError(f"there is no step {step}; the journal has steps 0 to {found[-1].step}, 0 is the start")


def last_graph(events: Sequence[Mapping[str, Any]]) -> GraphSpec | None:
    """The graph of the last event that tells one."""
    return next((read_graph_entry(event) for event in reversed(events) if "graph" in event), None)


_OLD = "this journal was written by an early version: it does not tell the changes of the graph"


def _changed(before: GraphSpec, event: Mapping[str, Any]) -> GraphSpec:
    try:
        graph = GraphPatch.model_validate(event.get("change", {})).applied(before)
        Dag.of(graph)
    except (ValidationError, SpecError) as error:
        first = str(error).splitlines()[0] if isinstance(error, DagrowError) else error.errors()[0]["msg"]
        step = f" of step {event['step']}" if "step" in event else ""
        raise RunError(f"the journal's '{event['event']}'{step} cannot be replayed: {first}") from error
    return graph
