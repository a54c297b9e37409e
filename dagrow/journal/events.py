"""The events of a journal as a schema: what each line may say. Published by ``dagrow log --schema``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from dagrow.spec.patch import GraphPatch

SCHEMA = 2
"""Of the journal; 1 had no hashes and no changes, and told removals inside of growth events."""

Number = Annotated[float | None, Field(description="null where it was infinite or no number")]
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="of the graph, see graph_hash")]


class EventEntry(BaseModel):
    """Base of all parts of an event: nothing else may stand there."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ScoreEntry(EventEntry):
    """How good the network is on some samples."""

    loss: Number
    accuracy: float | None = Field(description="share of right samples; null for a regression")
    r2: Number = Field(default=None, description="of a regression: share of the targets' variance that is explained")
    mae: Number = Field(default=None, description="of a regression: mean absolute error")


class CandidateEntry(EventEntry):
    """An insertion or removal that was considered: all of it but its weights."""

    kind: str
    place: str
    neurons: int
    gain: Number = Field(description="drop of the loss over all samples; 0 if rejected")
    held_out_gain: Number = Field(description="the same on held-out samples; null without such")
    first_order_gain: Number
    slope: Number
    amplitude: Number
    scores: list[Number]
    noise_level: Number
    bottleneck: Number = Field(default=None, description="of new neurons: E||v_proj||^2 before them")
    shrinkage: Number
    parameters: int = Field(description="that it adds")
    multiply_adds: int | None = Field(description="that it adds; null for a module of one's own")
    rejected: str = Field(description="why it is not to be inserted; empty if it may be")
    why: dict[str, Any] | None = Field(default=None, description="what its method tells about it, see the method")


class FixedEntry(EventEntry):
    """A place where nothing can be done."""

    node: str
    reason: str


class PlanEntry(EventEntry):
    """One look at the network: all that could have been done."""

    loss: Number
    held_out_loss: Number
    samples: int
    where: str
    stages: dict[str, int] = Field(description="how many candidates came how far")
    candidates: list[CandidateEntry] = Field(description="best first")
    fixed: list[FixedEntry] = Field(description="places that cannot be, and why")


class Event(EventEntry):
    """One line."""

    epoch: int = Field(ge=0, description="passes over the training set so far")
    checksum: str | None = Field(
        default=None,
        description="last of all: 16 digits of SHA-256 over all lines before and the rest of this one, with its break",
    )


class GraphEvent(Event):
    """One line with the network as it is then; ``change`` makes its graph of the one of the line before.

    A module of one's own has ``spaces`` and a loss instead of a graph and scores.
    """

    graph: dict[str, Any] | None = Field(default=None, description="as the section of a graph file")
    graph_hash: Hash | None = None
    change: GraphPatch | None = None
    spaces: dict[str, int] | None = Field(
        default=None, description="sizes of the channel spaces of a module of one's own, those that can grow"
    )
    parameters: int
    multiply_adds: int | None = None
    train_loss: Number = Field(description="of a module of one's own: mean over the last pass")
    train: ScoreEntry | None = None
    test: ScoreEntry | None = None


class StartEvent(GraphEvent):
    """The network before anything happened."""

    event: Literal["start"]
    version: Literal[2] = Field(alias="schema")
    name: str
    seed: int
    samples: int | None = Field(default=None, description="of the training set")


class EpochEvent(Event):
    """A pass of gradient descent."""

    event: Literal["epoch"]
    running_loss: Number = Field(description="mean over the pass")
    seconds: float
    samples: int | None = Field(default=None, description="that were looked at")
    work: int | None = Field(default=None, description="multiply-adds of gradient descent")
    threads: int | None = Field(default=None, description="that it computed with, by the size of the layers")
    units: dict[str, int] | None = Field(default=None, description="per node at the end, where they come and go")
    added: dict[str, int] | None = Field(default=None, description="units that came, per node")
    removed: dict[str, int] | None = Field(default=None, description="units that went, per node")


class TakenBackEvent(EpochEvent):
    """A unit of training that lost what had been learned: network and optimizer are those before it."""

    event: Literal["taken_back"]  # type: ignore[assignment]
    reason: str


class RehearsalEntry(EventEntry):
    """A final training without the samples kept back, which shows what it would come to."""

    step: int = Field(description="growth step of the network that it began with")
    loss: Number = Field(description="on the samples kept back, at its end")
    over_fit: float = Field(ge=0, le=1, description="how much of the weight decay that network gets")


class FinishEvent(GraphEvent):
    """Growth is over: the final training begins, from the network that was best, on all training samples."""

    event: Literal["finish"]
    units: int = Field(ge=0, description="of training that follow")
    seconds: float | None = Field(default=None, description="of the rehearsals")
    work: int | None = Field(default=None, description="multiply-adds of the rehearsals")
    rehearsals: list[RehearsalEntry] = Field(default=[], description="of each network that was considered")


class ValidationEvent(Event):
    """The score on the samples kept back, after a pass or a growth step."""

    event: Literal["validation"]
    step: int = Field(ge=0, description="growth steps so far")
    score: ScoreEntry
    best: bool = Field(description="whether it is the best so far")


class MetricsEvent(Event):
    """The metrics that were given in Python, after a pass, a growth step or at the end."""

    event: Literal["metrics"]
    step: int = Field(ge=0, description="growth steps so far")
    samples: Literal["validation", "test"] = Field(description="on which they were measured")
    values: dict[str, Number] = Field(description="by their names")


class RewindEvent(Event):
    """Training went back to an earlier state, or on to its next phase; see ``training.anneal``."""

    event: Literal["rewind"]
    what: str


class StepEvent(GraphEvent):
    """A line of one growth step."""

    step: int = Field(ge=1, le=10**9)


class TryoutEntry(EventEntry):
    """A candidate after some training, beside the network as it was after the same."""

    kind: str
    place: str
    steps: int = Field(description="gradient steps that both took")
    gain: Number = Field(description="training loss without it, less that with it")


class GrowthEvent(StepEvent):
    """A growth step: all that was considered, and what was inserted."""

    event: Literal["growth"]
    plan: PlanEntry | None = Field(description="null if there were no numbers to make candidates of")
    tryout: list[TryoutEntry] | None = Field(default=None, description="candidates that were trained for a while")
    inserted: CandidateEntry | None
    insert: str | None = Field(
        default=None, description="how: at its amplitude, where its gain is there at once, or silently"
    )
    reason: str | None = Field(default=None, description="why nothing was inserted")
    updates: list[CandidateEntry] | None = Field(default=None, description="best updates made after it")
    before: ScoreEntry | None = Field(default=None, description="on the test samples, right before the step")
    seconds: float | None = None
    work: int | None = Field(default=None, description="multiply-adds of the step")


class RemovalEvent(StepEvent):
    """What was taken away after an insertion; null if nothing could be."""

    event: Literal["removal"]
    plan: PlanEntry
    removed: CandidateEntry | None
    seconds: float | None = None
    work: int | None = Field(default=None, description="multiply-adds of looking for it")


class LaterEntry(EventEntry):
    """Scores some gradient steps after an insertion."""

    train: ScoreEntry
    test: ScoreEntry


class CalibrationEvent(Event):
    """What an insertion was worth some gradient steps later, beside a twin that did not grow."""

    event: Literal["calibration"]
    step: int = Field(ge=1, le=10**9)
    steps: int = Field(description="gradient steps that both took")
    gain: Number = Field(description="training loss of the twin, less that of the grown network")
    test_gain: Number = Field(description="the same on test samples")
    grown: LaterEntry | None = Field(description="null if its loss became no number")
    twin: LaterEntry | None = Field(description="null if its loss became no number")
    seconds: float


class WarningEvent(Event):
    """Something went wrong that the run went on after."""

    event: Literal["warning"]
    step: int | None = None
    message: str


class CheckpointEvent(Event):
    """The state after a growth step, or at the start, is kept for good: ``dagrow revert`` can go back there."""

    event: Literal["checkpoint"]
    step: int = Field(ge=0)
    graph_hash: Hash


class StoppedEvent(Event):
    """The run could not go on."""

    event: Literal["stopped"]
    step: int
    reason: str


class EndEvent(GraphEvent):
    """The network at the end of the run."""

    event: Literal["end"]


AnyEvent = Annotated[
    StartEvent
    | EpochEvent
    | TakenBackEvent
    | FinishEvent
    | ValidationEvent
    | MetricsEvent
    | RewindEvent
    | GrowthEvent
    | RemovalEvent
    | CalibrationEvent
    | CheckpointEvent
    | WarningEvent
    | StoppedEvent
    | EndEvent,
    Field(discriminator="event"),
]
LINE: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)
"""Checks a line: ``LINE.validate_python(json.loads(line))``."""


def journal_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of one line of a journal."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"dagrow journal line, schema {SCHEMA}"}
    return {**head, **LINE.json_schema()}
