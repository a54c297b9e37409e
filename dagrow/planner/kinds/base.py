"""What every kind of candidate is: places where it could happen, and drafts of what to try there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import ClassVar

from torch import Tensor

from dagrow.build import Network
from dagrow.graph import Cost, Dag, GrowableNode, NodeTemplate, NotGrowable, Structure, cost, site
from dagrow.methods import SAMPLES, Explanation, Method, MethodRequest
from dagrow.planner.simulated_change import Trial
from dagrow.planner.solve_cache import SolveCache
from dagrow.spec.graph import EdgeId
from dagrow.spec.proposal import ProposalOptions
from dagrow.statistics import SiteLayout, Statistics, UpdateTarget, solve_update


@dataclass(frozen=True)
class SolveOptions:
    """What is asked of every draft.

    Attributes:
        method: makes the neurons.
        request: how many, and what counts as significant.
        shrinkages: each is tried; the held-out loss chooses.
        options: what the proposal is asked for.
        room: parameters and multiply-adds that may still be added; infinite for no limit.
        samples: whether methods may search on samples where moments say nothing, or have to do with moments.
        solves: that are known.
        frozen: names of the parameters that must not move.
    """

    method: Method
    request: MethodRequest
    shrinkages: tuple[float, ...]
    options: ProposalOptions
    room: tuple[float, float] = (float("inf"), float("inf"))
    samples: bool = True
    solves: SolveCache = field(default_factory=SolveCache)
    frozen: frozenset[str] = frozenset()

    @property
    def may_search(self) -> bool:
        """Whether the method is given samples."""
        return self.samples or SAMPLES in self.method.needs


@dataclass(frozen=True)
class Solution:
    """One way to fill a draft: a trial, the shrinkage, scores and bottleneck it came from, and what it can tell."""

    trial: Trial
    shrinkage: float
    scores: tuple[float, ...]
    noise_level: float
    neurons: int
    cost: Cost
    why: Explanation | None = None
    bottleneck: float | None = None


@dataclass(frozen=True)
class Proposal:
    """An insertion to be measured.

    Attributes:
        kind: of insertion.
        place: node or edge.
        variants: ways to make it; empty when there is nothing to try.
        reason: why there is nothing to try.
        open: whether samples could tell more than the moments did.
        completed: whether the neurons are those of what completes the method.
    """

    kind: str
    place: str
    variants: tuple[Solution, ...]
    reason: str = ""
    open: bool = False
    completed: bool = False


_PLAIN = NodeTemplate()


@dataclass(frozen=True)
class Location:
    """Where a candidate could be.

    Attributes:
        label: for people, and to tell it from others.
        base: the graph as it is.
        sources: inputs and nodes whose outputs it reads anew; empty for what stays at one node.
        targets: nodes whose pre-activations change.
        structure: nodes and edges that come and go; None for a change of weights or sizes only.
        node: the node that grows, or whose weights change.
        edge: the edge that is replaced or taken away.
        template: what new nodes and edges are like.
    """

    label: str
    base: Dag
    node: str
    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    structure: Structure | None = None
    edge: EdgeId | None = None
    template: NodeTemplate = _PLAIN

    @property
    def activation(self) -> str | None:
        """Of the new neurons; None for a new edge alone."""
        declared = None if self.structure is None else self.structure.nodes.get(self.node)
        new = declared is not None and self.node not in self.base.spec.nodes
        return declared.activation if declared is not None and new else None

    @cached_property
    def dag(self) -> Dag:
        """The graph with the new nodes and edges in it."""
        return self.base if self.structure is None else Dag.of(self.structure.applied(self.base.spec))

    @cached_property
    def site(self) -> GrowableNode | NotGrowable:
        """How new features of the node would enter and leave it."""
        return site(self.dag, self.node)

    def concerns(self, nodes: Sequence[str]) -> bool:
        """Whether it is one of these by its label, or something new would lead into one of them."""
        led = () if self.structure is None else self.targets
        return self.label in nodes or any(target in nodes for target in led)

    def cost(self, size: int | None = None) -> Cost:
        """What it adds to the graph, with ``size`` features in a new node."""
        structure = self.structure
        if structure is None:
            return Cost(0, 0)
        if size is not None:
            structure = structure.with_size(self.node, size)
        return cost(Dag.of(structure.applied(self.base.spec))).minus(cost(self.base))


def best_update(place: Location, key: str, statistics: Statistics, ask: SolveOptions, shrinkage: float) -> Tensor:
    """The best update of the edges into the node of a place.

    Args:
        place: where.
        key: of the moments: the node itself, for the edges that are there, which all places at the node have in common;
            or the place's own label, with the edges that come.
        statistics: with these moments.
        ask: what is asked.
        shrinkage: of the metric.

    Returns:
        As `solve_update`.
    """
    common = key == place.node
    dag, moments = place.base if common else place.dag, statistics.nodes[key]
    solve = partial(solve_update, dag, place.node, moments, shrinkage, frozen=ask.frozen)
    return ask.solves.weights(f"update of {key} at {shrinkage}", solve, again=common)


class CandidateType(ABC):
    """One kind of insertion or removal. A new one is a file here and a line in the registry."""

    name: ClassVar[str]
    grows: ClassVar[bool] = True
    """Whether it is an insertion, which a run file may list in ``growth.candidates``."""
    rivals_growth: ClassVar[bool] = False
    """Whether a run file may list it though it inserts nothing: what it gains is compared with what growth gains."""
    makes_nodes: ClassVar[bool] = False
    """Whether it makes nodes, which are as ``growth.new_node`` says."""
    screened: ClassVar[bool] = False
    """Whether its places are pairs of nodes, so many that a cheap bound must choose among them first."""
    competes: ClassVar[bool] = False
    """Whether its places take part in that choice where there is one; alone, all of them are solved."""
    joins: ClassVar[bool] = False
    """Whether several good places may be joined in one: one new node for several parents or children."""
    used_up: ClassVar[str] = "no such place is left"
    """Why there may be no place at a node that exists."""

    @abstractmethod
    def places(self, dag: Dag, templates: Sequence[NodeTemplate]) -> list[Location | NotGrowable]:
        """Everywhere it could happen, and where it cannot and why."""

    def needed(self, place: Location, pointwise: bool) -> tuple[tuple[UpdateTarget, ...], tuple[SiteLayout, ...]]:
        """The statistics that it takes at one place: best updates, and sites of new neurons."""
        return (), ()

    @abstractmethod
    def draft(self, network: Network, place: Location, statistics: Statistics, ask: SolveOptions) -> Proposal:
        """What to try at one place."""
