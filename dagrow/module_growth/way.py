"""The way of a space's new channels through a captured graph: which operations they pass, and as what they arrive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from dagrow.capture import CapturedModule, Dim, Normalisation, Space, Use, Value, atoms
from dagrow.module_growth.flow_rules import find_passing
from dagrow.module_growth.linear_map import LinearMap
from dagrow.module_growth.passage import NoLinearPath, Passage
from dagrow.module_growth.rows import Rows, rows_of


class Way:
    """New channels on their way, to first order.

    Args:
        captured: the module.
        space: that grows.

    Attributes:
        captured: the module.
        space: that grows.
        analysis: of the module.
        growing: atoms of the space.
        nodes: operations whose results hold the space.
        rows: per layer that writes the space, how new channels lie along the axis that does.
    """

    def __init__(self, captured: CapturedModule, space: Space) -> None:
        self.captured, self.space = captured, space
        self.analysis = captured.analysis
        self.growing = frozenset(space.dims)
        self.rows: dict[LinearMap, Rows] = {}
        graph = self.analysis.exported.graph
        self.nodes = [node for node in graph.nodes if node.op == "call_function" and self.holds(self.dims(node))]

    def plain(self, maps: Mapping[str, LinearMap], use: Use) -> LinearMap:
        """The layer of a use.

        Args:
            maps: plain linear layers, by name of node.
            use: of a tensor.

        Raises:
            NoLinearPath: if it is of no such layer.
        """
        found = maps.get(use.node)
        if found is None or found.name != use.name:
            raise NoLinearPath(f"{use.name} is of no plain linear layer, or of one that is used twice")
        return found

    def written(self, maps: Mapping[str, LinearMap], use: Use) -> LinearMap:
        """The layer of a use that writes; its `rows` are noted.

        Args:
            maps: as for `plain`.
            use: likewise.

        Raises:
            NoLinearPath: likewise, and if its channels lie in no simple order.
        """
        found, rows = self.plain(maps, use), rows_of(use.dim, self.growing)
        if rows is None:
            raise NoLinearPath(f"{use.name} writes it in several parts")
        self.rows[found] = rows
        return found

    def beside(self, steps: Sequence[fx.Node]) -> set[fx.Node]:
        """Nodes beside the way whose values its steps need; the first input, for the number of samples.

        Args:
            steps: of the way.
        """
        inside = set(self.nodes)
        found = {
            argument
            for node in steps
            for argument in node.all_input_nodes
            if argument not in inside and isinstance(argument.meta.get("val"), (Tensor, torch.SymInt))
        }
        found |= {node.args[0] for node in steps if self.norm(node) is not None}  # type: ignore[misc]
        return found | set(self._inputs()[:1])

    def norm(self, node: fx.Node) -> Normalisation | None:
        """The norm over all channels that a node computes, if any."""
        return next((norm for norm in self.space.normalisations if norm.node == node.name), None)

    def outputs(self, node: fx.Node) -> tuple[tuple[Dim, ...], ...]:
        """The dimensions of each result of a node."""
        value = self.analysis.values.get(node)
        if value is None:
            return ()
        return (value.dims,) if isinstance(value, Value) else tuple(part.dims for part in value)

    def dims(self, node: fx.Node) -> tuple[Dim, ...]:
        """The dimensions of a value; of several tensors, those of all."""
        return tuple(dim for dims in self.outputs(node) for dim in dims)

    def holds(self, dims: Sequence[Dim]) -> bool:
        """Whether some of these dimensions hold channels of the space."""
        return any(atom in self.growing for dim in dims for atom in atoms(dim))

    def start(self, writer: LinearMap, channels: Tensor) -> Tensor:
        """The output of a layer whose entries are all the same for a channel.

        Args:
            writer: a layer that writes the space.
            channels: in the form of its output, with ``K`` channels in place of those that it has.
        """
        return self.rows[writer].same(channels.movedim(writer.channels, -1)).movedim(-1, writer.channels)

    def marked(self, writer: LinearMap, like: Tensor) -> Tensor:
        """An output of ``P`` channels by which entries are told apart: of channel p, entry p is 1 and the others 0.

        Args:
            writer: a layer that writes the space.
            like: its output, with any number of channels.
        """
        rows = self.rows[writer]
        marks = rows.arranged(torch.eye(rows.count, dtype=like.dtype, device=like.device))
        last = like.movedim(writer.channels, -1)
        return marks.expand(*last.shape[:-1], -1).movedim(-1, writer.channels)

    def passed(
        self, writer: LinearMap, start: Tensor, base: Mapping[fx.Node, Any], steps: Sequence[fx.Node]
    ) -> dict[fx.Node, Any]:
        """What new channels become.

        Args:
            writer: a layer that writes the space.
            start: its output, with ``K`` new channels in place of those that there are.
            base: values of nodes beside the way.
            steps: of the way, in the order of the graph.

        Returns:
            Per node that they reach, the new channels there.

        Raises:
            NoLinearPath: if they pass an operation that is not linear in them, nor an activation.
        """
        count = start.shape[writer.channels] // self.rows[writer].count
        sizes = {**dict.fromkeys(self.growing, count), **self._batch(base)}
        new: dict[fx.Node, Any] = {writer.node: start}
        for node in steps:
            if not any(argument in new for argument in node.all_input_nodes):
                continue
            passing = find_passing(node)
            passage = Passage(node, new, base, self.outputs, self.growing, sizes)
            if passing is None:
                raise passage.refuse("is on the way")
            if (passed := passing(passage)) is not None:
                new[node] = passed
        return new

    def _inputs(self) -> list[fx.Node]:
        exported = self.analysis.exported
        return [n for n in exported.graph.nodes if n.op == "placeholder" and n.name in exported.inputs and self.dims(n)]

    def _batch(self, base: Mapping[fx.Node, Any]) -> dict[Dim, int]:
        return {self.dims(node)[0].now: len(base[node]) for node in self._inputs()[:1]}
