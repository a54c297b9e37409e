"""From the layers that write a space to those that read it: what new channels become on the way, to first order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from dagrow.capture import CapturedModule, Dim, Role, Space, Value, atoms
from dagrow.capture.inplace import plain_name
from dagrow.module_growth.flow_rules import NoLinearPath, Passage, find_passing
from dagrow.module_growth.linear_map import Block, LinearMap, block_of, find_maps, weight_name


@dataclass(frozen=True, eq=False)
class Reader:
    """A layer that reads a space.

    Attributes:
        map: the layer.
        block: how new channels lie along the axis that it reads.
    """

    map: LinearMap
    block: Block


@dataclass(frozen=True)
class BatchNorm:
    """A batch norm that new channels pass; it starts as the identity for them.

    Attributes:
        node: that computes it.
        x: node of its input.
        names: of its weight, bias, running mean and running variance; None for what it has not.
        eps: added to variances.
    """

    node: fx.Node
    x: fx.Node
    names: tuple[str | None, ...]
    eps: float


class Flow:
    """The way of a space's new channels through the captured graph.

    Args:
        captured: the module.
        space: that grows.

    Raises:
        NoLinearPath: with the reason, if some layer that writes or reads it is not a plain linear one.

    Attributes:
        writers: layers that write it.
        readers: layers that read it.
        norms: batch norms on the way.
        depthwise: names of the kernels of depthwise convolutions on the way.
        needed: nodes beside the way whose values the way needs.
    """

    def __init__(self, captured: CapturedModule, space: Space) -> None:
        self.captured, self.space, self.atom = captured, space, space.dims[0]
        self.analysis = captured.analysis
        if space.kind != "plain" or len(space.dims) > 1:
            raise NoLinearPath("a norm is over all its channels")
        maps = find_maps(self.analysis)
        self.writers, self.readers = self._ends(maps)
        self.nodes = [
            node
            for node in self.analysis.exported.graph.nodes
            if node.op == "call_function" and self.atom in self._atoms(node)
        ]
        ends = {id(reader.map.node) for reader in self.readers}
        self.steps = [n for n in self.nodes if id(n) not in ends and n.name not in {w.node.name for w in self.writers}]
        self.norms = tuple(self._batch_norm(node) for node in self.steps if plain_name(node) == "batch_norm")
        self.depthwise = tuple(
            weight_name(self.analysis, node.args[1])
            for node in self.steps
            if plain_name(node).startswith("conv") and isinstance(node.args[1], fx.Node)
        )
        inside = set(self.nodes)
        self.needed = {
            argument
            for node in self.steps
            for argument in node.all_input_nodes
            if argument not in inside and isinstance(argument.meta.get("val"), (Tensor, torch.SymInt))
        }

    def _ends(self, maps: Mapping[str, LinearMap]) -> tuple[tuple[LinearMap, ...], tuple[Reader, ...]]:
        if any(self.atom in atoms(dim) for dim in self.analysis.found.contracted):
            raise NoLinearPath("activations are multiplied over it")
        writers: dict[str, LinearMap] = {}
        readers: dict[str, Reader] = {}
        for use in self.analysis.found.uses:
            if self.atom not in atoms(use.dim) or use.role not in (Role.WRITE, Role.READ):
                continue
            found = maps.get(use.node)
            if found is None or found.name != use.name:
                raise NoLinearPath(f"{use.name} is of no plain linear layer, or of one that is used twice")
            if use.role is Role.WRITE:
                if use.dim.now is not self.atom:
                    raise NoLinearPath(f"{use.name} writes it in several parts")
                writers[use.node] = found
            else:
                block = block_of(use.dim, self.atom)
                if block is None:
                    raise NoLinearPath(f"{use.name} reads it twice")
                readers[use.node] = Reader(found, block)
        if not writers or not readers:
            raise NoLinearPath("no plain linear layer writes it" if not writers else "no plain linear layer reads it")
        return tuple(writers.values()), tuple(readers.values())

    def _batch_norm(self, node: fx.Node) -> BatchNorm:
        names = [weight_name(self.analysis, a) if isinstance(a, fx.Node) else None for a in node.args[1:5]]
        return BatchNorm(node, node.args[0], tuple(names), float(node.args[7]))  # type: ignore[arg-type]

    def dims(self, node: fx.Node) -> tuple[Dim, ...]:
        """The dimensions of a value; of several tensors, those of all."""
        value = self.analysis.values.get(node)
        if value is None:
            return ()
        return value.dims if isinstance(value, Value) else tuple(dim for part in value for dim in part.dims)

    def _atoms(self, node: fx.Node) -> list[Dim]:
        return [atom for dim in self.dims(node) for atom in atoms(dim)]

    @property
    def wanted(self) -> set[fx.Node]:
        """Nodes whose values are to be known: inputs of writers, inputs and outputs of readers, what is needed."""
        found = set(self.needed) | {writer.x for writer in self.writers}
        for reader in self.readers:
            found |= {reader.map.x, reader.map.node}
        return found

    def run(self, writer: LinearMap, start: Tensor, base: Mapping[fx.Node, Any]) -> dict[fx.Node, Tensor]:
        """What new channels become.

        Args:
            writer: a layer that writes the space.
            start: its output, with ``K`` new channels in place of those that there are.
            base: values of nodes beside the way.

        Returns:
            Per node that they reach, the new channels there.

        Raises:
            NoLinearPath: if they pass an operation that is not linear in them, nor an activation.
        """
        sizes = {self.atom: start.shape[writer.channels], **self._batch(len(start))}
        new: dict[fx.Node, Tensor] = {writer.node: start}
        for node in self.steps:
            if not any(argument in new for argument in node.all_input_nodes):
                continue
            passing = find_passing(node)
            passage = Passage(node, new, base, self.dims, self.atom, sizes)
            if passing is None:
                raise passage.refuse("is on the way")
            new[node] = passing(passage)
        return new

    def _batch(self, count: int) -> dict[Dim, int]:
        for node in self.analysis.exported.graph.nodes:
            if node.op == "placeholder" and node.name in self.analysis.exported.inputs and self.dims(node):
                return {self.dims(node)[0].now: count}
        return {}

    def feature_counts(self, tensors: Mapping[str, Tensor]) -> list[int]:
        """``F_i`` of each writer, without its constant."""
        return [tensors[w.name].numel() // tensors[w.name].shape[w.out_axis] for w in self.writers]


def image_rows(reader: Reader, image: Tensor) -> Tensor:
    """New channels as a reader gets them, ``[samples, positions, K]``: entries of one channel are positions."""
    rows = image.movedim(reader.map.channels, -1)
    rows = rows.reshape(*rows.shape[:-1], reader.block.before, -1, reader.block.after).movedim(-2, -1)
    return rows.reshape(len(rows), -1, rows.shape[-1])


def position_weights(reader: Reader, image: Tensor, weight: Tensor, features: int) -> Tensor:
    """``[positions]`` how much each position counts in S: times how often it is read (thesis Lemma C.2.3).

    Args:
        reader: the layer.
        image: new channels as it gets them, any number.
        weight: its weight as it is.
        features: F.
    """
    shape = list(image.movedim(reader.map.channels, -1).shape)
    one = image.new_ones(1, *shape[1:-1], reader.block.places).movedim(-1, reader.map.channels).requires_grad_()
    kernel = [1] * weight.dim()
    for axis in range(weight.dim()):
        if axis == reader.map.in_axis:
            kernel[axis] = reader.block.places
        elif axis != reader.map.out_axis:
            kernel[axis] = weight.shape[axis]
    with torch.enable_grad():
        read = reader.map.apply(one, weight.new_ones(kernel)).sum()
        (counts,) = torch.autograd.grad(read, one)
    per_output = 1
    for axis, size in enumerate(kernel):
        per_output *= size if axis != reader.map.out_axis else 1
    return image_rows(reader, counts)[0, :, 0] * min(per_output, features)
