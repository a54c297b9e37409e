"""Nodes and edges of a graph that is being written: each node stays open as long as it can take in what comes next."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dagrow.graph.checks import is_reserved
from dagrow.layout import ChannelOrder
from dagrow.ops import Op, find_op
from dagrow.spec import GraphSpec
from dagrow.spec.graph import MAX_NAME, EdgeId, InputSpec, NodeSpec
from dagrow.stages import STAGES

RANKS = {stage.name: rank for rank, stage in enumerate(STAGES)}
"""The order in which a node does things."""

_ROOM = 8
"""Letters of a name that are left for what tells it from others."""


class Part(NamedTuple):
    """An edge into a node.

    Attributes:
        source: a node or input.
        op: of the edge.
        tensors: by their names in the layer, the names of the module's tensors.
    """

    source: str
    op: Op
    tensors: dict[str, str]


@dataclass
class Draft:
    """A value of the captured graph, as a node of the graph that is written.

    Attributes:
        parts: its edges.
        order: where the value has its channels; None for vectors.
        hint: what the node may be called.
        size: channels that its edges write, where they have weights.
        merge: of the edges.
        stages: fields of the node that are set.
        tensors: of the norm, by their names in its layer, the names of the module's tensors.
        name: once it is written; then nothing is added.
        pixel: whether the captured value has positions of extent 1 that the node has not: behind a global average.
    """

    parts: list[Part]
    order: ChannelOrder | None
    hint: str
    size: int | None = None
    merge: str = "sum"
    stages: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, str] = field(default_factory=dict)
    name: str = ""
    pixel: bool = False

    def takes(self, stage: str) -> bool:
        """Whether a stage can be added behind those that it has."""
        return not self.name and all(RANKS[own] < RANKS[stage] for own in self.stages)

    @property
    def is_plain_sum(self) -> bool:
        """Whether its edges can go into another sum as they are."""
        return not self.name and not self.stages and self.merge == "sum"


class GraphWriter:
    """Collects inputs, nodes and edges.

    Attributes:
        tensors: by their names in the network, the names of the module's tensors.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, str] = {}
        self._inputs: dict[str, InputSpec] = {}
        self._nodes: dict[str, NodeSpec] = {}
        self._edges: dict[EdgeId, Op] = {}

    def input(self, hint: str, shape: Sequence[int], order: ChannelOrder | None) -> Draft:
        """An input.

        Args:
            hint: what it may be called.
            shape: of one sample.
            order: where it has its channels; None for vectors.
        """
        name = self._free(hint)
        spec = InputSpec(shape=tuple(shape))
        if spec.values.order != order:
            spec = InputSpec(shape=tuple(shape), layout=order)
        self._inputs[name] = spec
        return Draft([], spec.values.order, name, name=name)

    def named(self, draft: Draft) -> str:
        """The name of a value's node, which is written if it is not yet."""
        if not draft.name:
            draft.name = name = self._free(draft.hint)
            weights = any(part.op.parametrised for part in draft.parts)
            fields = {"size": draft.size if weights else None, "merge": draft.merge, **draft.stages}
            self._nodes[name] = NodeSpec.model_validate(fields)
            for part in draft.parts:
                self._edges[EdgeId(part.source, name)] = part.op
                for own, tensor in part.tensors.items():
                    self.tensors[f"{name}.from_{part.source}.{own}"] = tensor
            for own, tensor in draft.tensors.items():
                self.tensors[f"{name}.norm.{own}"] = tensor
        return draft.name

    def passed(self, draft: Draft) -> Part:
        """An edge that hands a value on as it is."""
        return Part(self.named(draft), find_op("identity")(), {})

    def behind(self, draft: Draft, hint: str) -> Draft:
        """A new node with the value of another."""
        return Draft([self.passed(draft)], draft.order, hint, pixel=draft.pixel)

    def joined(self, drafts: Sequence[Draft], alone: Sequence[bool], merge: str, hint: str, size: int) -> Draft:
        """A node that merges several values.

        Args:
            drafts: the values.
            alone: whether nobody else reads each.
            merge: ``sum`` or ``concat``.
            hint: what it may be called.
            size: channels of the result.
        """
        parts: list[Part] = []
        for draft, single in zip(drafts, alone, strict=True):
            own = draft.parts if merge == "sum" and single and draft.is_plain_sum else [self.passed(draft)]
            taken = {part.source for part in parts}
            if any(part.source in taken for part in own):
                # Of one node to another there is one edge.
                own = [self.passed(self.behind(draft, draft.hint) if draft.name else draft)]
            parts += own
        return Draft(parts, drafts[0].order, hint, size, merge, pixel=drafts[0].pixel)

    def graph(self, outputs: Sequence[Draft]) -> GraphSpec:
        """The graph.

        Args:
            outputs: values that are the answer; each gets a node of its own.
        """
        names: list[str] = []
        for draft in outputs:
            name = self.named(draft)
            if name in self._inputs or name in names:
                name = self.named(self.behind(draft, "output"))
            names.append(name)
        return GraphSpec(inputs=self._inputs, nodes=self._nodes, edges=self._edges, outputs=tuple(names))  # type: ignore[arg-type]

    def _free(self, hint: str) -> str:
        name = re.sub(r"[^A-Za-z0-9]+", "_", hint)[: MAX_NAME - _ROOM].strip("_")
        name = name if name[:1].isalpha() else f"layer_{name}".rstrip("_")
        name = f"{name}_" if is_reserved(name) else name
        number, found = 1, name
        while found in self._inputs or found in self._nodes:
            number += 1
            found = f"{name}_{number}"
        return found
