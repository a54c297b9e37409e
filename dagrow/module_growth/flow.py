"""From the layers that write a space to those that read it: what new channels become on the way, to first order."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from dagrow.capture import CapturedModule, Normalisation, Role, Space, Use, atoms
from dagrow.capture.inplace import plain_name
from dagrow.module_growth.linear_map import Block, LinearMap, block_of, find_maps, weight_name
from dagrow.module_growth.passage import NoLinearPath
from dagrow.module_growth.way import Way

MOST_FEATURES = 4096
"""Of all layers that write a stream under norms; beyond that the widest ones, as a vocabulary, add nothing to it."""


_WEIGHTS_OF_NORMS = {"batch_norm": (1, 7), "group_norm": (2, 4)}
"""Of a norm that starts as the identity: where its weights and its ``eps`` are among its arguments."""


@dataclass(frozen=True, eq=False)
class Reader:
    """A layer that reads a space.

    Attributes:
        map: the layer.
        block: how new channels lie along the axis that it reads.
        norm: over all channels, behind which it reads; None where there is none.
    """

    map: LinearMap
    block: Block
    norm: Normalisation | None = None


@dataclass(frozen=True)
class PassedNorm:
    """A batch norm that new channels pass; it starts as the identity for them. So does a group norm, on the mean.

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


class Flow(Way):
    """The way of a space's new channels from the layers that write them to those that read them.

    Args:
        captured: the module.
        space: that grows.

    Raises:
        NoLinearPath: with the reason, if some layer that writes or reads it is not a plain linear one.

    Where norms are over all channels, a layer that is not plain, or that also does something else (a tied embedding),
    is no obstacle: it is left out, and writes and reads what carries nothing.

    Attributes:
        writers: layers that write it, and whose new weights are free.
        readers: layers that read it, likewise.
        queries: of new heads, layers that write nothing but their queries, which are 0.
        quiet: norms over all channels whose new factors stay 0, for what reads behind them is not free.
        norms: batch norms and group norms on the way.
        grouped: whether a channel is a group of a group norm, with several entries.
        depthwise: names of the kernels of depthwise convolutions on the way.
        needed: nodes beside the way whose values the way needs.
    """

    def __init__(self, captured: CapturedModule, space: Space) -> None:
        super().__init__(captured, space)
        if space.kind == "plain" and len(space.dims) > 1:
            raise NoLinearPath("its channels are those of several layers that share weights")
        shared = space.label == "head_size"
        if not shared and any(self.holds((dim,)) for dim in self.analysis.found.contracted):
            raise NoLinearPath("activations are multiplied over it")
        maps = find_maps(self.analysis)
        self.queries: tuple[LinearMap, ...] = ()
        self.grouped = any(plain_name(node) == "group_norm" for node in self.nodes) and space.label == "groups"
        self.writers, self.readers = self._ends(maps)
        ends = {id(reader.map.node) for reader in self.readers}
        self.steps = [n for n in self.nodes if id(n) not in ends and n.name not in {w.node.name for w in self.writers}]
        self.norms = tuple(self._norm(node) for node in self.steps if plain_name(node) in _WEIGHTS_OF_NORMS)
        self.depthwise = tuple(
            weight_name(self.analysis, node.args[1])
            for node in self.steps
            if plain_name(node).startswith("conv") and isinstance(node.args[1], fx.Node)
        )
        self.needed = self.beside(self.steps)
        if shared:
            # New values are weighed by the queries and keys that are there.
            meeting = (n for n in self.steps if plain_name(n) == "scaled_dot_product_attention")
            self.needed |= {each for node in meeting for each in node.args[:2] if isinstance(each, fx.Node)}

    def _ends(self, maps: Mapping[str, LinearMap]) -> tuple[tuple[LinearMap, ...], tuple[Reader, ...]]:
        writers: dict[str, LinearMap] = {}
        readers: dict[str, Reader] = {}
        quiet: set[Normalisation] = set()
        for use in self.analysis.found.uses:
            if not self.holds((use.dim,)) or use.role not in (Role.WRITE, Role.READ):
                continue
            try:
                if use.role is Role.WRITE:
                    writers[use.node] = self.written(maps, use)
                else:
                    readers[use.node] = self._reader(self.plain(maps, use), use)
            except NoLinearPath:
                if self.space.kind == "plain":
                    raise
                quiet |= set(self._behind(use.node)) if use.role is Role.READ else set()
        for node, reader in tuple(readers.items()):
            if reader.norm in quiet or (reader.norm is None and self.space.kind == "layer_norm"):
                # Before a layer norm new channels carry the mean of the others: there they must not be read.
                del readers[node]
        while self.space.kind != "plain" and sum(map(self._features, writers.values())) > MOST_FEATURES:
            del writers[max(writers, key=lambda node: self._features(writers[node]))]
        self.quiet = tuple(norm for norm in self.space.normalisations if norm in quiet)
        if not writers or not readers:
            raise NoLinearPath("no plain linear layer writes it" if not writers else "no plain linear layer reads it")
        if self.space.label == "heads":
            self._keep_writers_of_values(writers)
        if any(self.rows[writer].count > 1 for writer in writers.values()):
            self._check_parts(len(writers), readers.values())
        return tuple(writers.values()), tuple(readers.values())

    def _keep_writers_of_values(self, writers: dict[str, LinearMap]) -> None:
        """New heads: layers that write their values alone are free; those that write queries are noted."""
        found = [node for node in self.nodes if plain_name(node) == "scaled_dot_product_attention"]
        if len(found) != 1:
            raise NoLinearPath("heads do not meet in one attention of torch")
        queries, _, values = (self._above(argument) for argument in found[0].args[:3])
        for node, writer in tuple(writers.items()):
            if writer.node not in values:
                del writers[node]
                self.queries += (writer,) if writer.node in queries else ()
        if not writers:
            raise NoLinearPath("new queries share the values that are there")

    def _above(self, node: fx.Node) -> set[fx.Node]:
        """The nodes of the way that a node is made of, itself included."""
        inside, found, queue = set(self.nodes), {node}, [node]
        while queue:
            more = {each for each in queue.pop().all_input_nodes if each in inside} - found
            found |= more
            queue += more
        return found

    def _check_parts(self, writers: int, readers: Collection[Reader]) -> None:
        """Several entries of a channel are a problem each: that is solved where one layer writes and one reads them.

        Those of a group norm are all alike: it is solved once, for any layers that see them in the same order.
        """
        if self.grouped:
            if len({reader.block for reader in readers} | {Block(1, rows.count) for rows in self.rows.values()}) > 1:
                raise NoLinearPath("what it is read by sees positions apart")
        elif writers > 1 or len(readers) > 1:
            name = next(writer.name for writer, rows in self.rows.items() if rows.count > 1)
            raise NoLinearPath(f"{name} writes it in several parts")

    @property
    def copies(self) -> int:
        """Entries of a new channel that are a problem each: P, as one per head; 1 where all see the same."""
        return 1 if self.space.label == "heads" or self.grouped else self.rows[self.writers[0]].count

    def _features(self, writer: LinearMap) -> int:
        shape = [dim.now.size for dim in self.analysis.tensors[writer.name]]
        return math.prod(shape) // shape[writer.out_axis]

    def _reader(self, found: LinearMap, use: Use) -> Reader:
        inside = [atom for atom in atoms(use.dim) if atom in self.growing]
        block = block_of(use.dim, inside[0]) if len(inside) == 1 else None
        norms = self._behind(use.node)
        if block is None or len(norms) > 1:
            raise NoLinearPath(f"{use.name} reads it twice")
        return Reader(found, block, next(iter(norms), None))

    def _behind(self, name: str) -> list[Normalisation]:
        """The norms over all channels that an operation reads behind."""
        node = next(n for n in self.analysis.exported.graph.nodes if n.name == name)
        read = [dim for each in node.all_input_nodes if each.op != "placeholder" for dim in self.dims(each)]
        inside = {atom for dim in read for atom in atoms(dim)}
        return [norm for norm in self.space.normalisations if norm.after.now in inside]

    def _norm(self, node: fx.Node) -> PassedNorm:
        first, eps = _WEIGHTS_OF_NORMS[plain_name(node)]
        names = [weight_name(self.analysis, a) if isinstance(a, fx.Node) else None for a in node.args[first:eps]][:4]
        default = dict(enumerate(node.args)).get(eps, 1e-5)
        return PassedNorm(node, node.args[0], (*names, *[None] * (4 - len(names))), float(default))  # type: ignore[arg-type]

    @property
    def wanted(self) -> set[fx.Node]:
        """Nodes whose values are to be known: inputs of writers, inputs and outputs of readers, what is needed."""
        found = set(self.needed) | {writer.x for writer in self.writers}
        for reader in self.readers:
            found |= {reader.map.x, reader.map.node}
        return found

    def run(self, writer: LinearMap, start: Tensor, base: Mapping[fx.Node, Any]) -> dict[fx.Node, Tensor]:
        """What new channels become, see `passed`.

        Args:
            writer: a layer that writes the space.
            start: its output, with ``K`` new channels in place of those that there are.
            base: values of nodes beside the way.
        """
        return self.passed(writer, start, base, self.steps)

    def feature_counts(self, tensors: Mapping[str, Tensor]) -> list[int]:
        """``F_i`` of each writer, without its constant.

        Args:
            tensors: of the module.
        """
        return [tensors[w.name].numel() // tensors[w.name].shape[w.out_axis] for w in self.writers]

    def entries_read(self, base: Mapping[fx.Node, Any], like: Tensor) -> Tensor:
        """``[places]`` which entry of a channel the layer that reads it gets at each place.

        Args:
            base: values of nodes beside the way.
            like: output of the last layer that writes, with any number of channels.

        Raises:
            NoLinearPath: if new heads are read in another way than one entry at one place.
        """
        reached = self.run(self.writers[-1], self.marked(self.writers[-1], like), base)
        reader = next(each for each in self.readers if each.map.x in reached)
        read = image_rows(reader, reached[reader.map.x])[0, : reader.block.places].abs().argmax(1)
        if self.space.label == "heads" and len(set(read.tolist())) < len(read):
            raise NoLinearPath("several query heads share what it is")
        return read

    def queries_of(self, base: Mapping[fx.Node, Any], like: Tensor) -> Tensor:
        """``[P]`` booleans: which entries of a new head come to the queries of its attention.

        Args:
            base: values of nodes beside the way.
            like: output of the layer that writes, with any number of channels.
        """
        writer = self.writers[-1]
        meeting = next((n for n in self.steps if plain_name(n) == "scaled_dot_product_attention"), None)
        reached = {} if meeting is None else self.run(writer, self.marked(writer, like), base)
        queries = None if meeting is None else reached.get(meeting.args[0])
        if queries is None:
            return torch.zeros(self.rows[writer].count, dtype=torch.bool, device=like.device)
        # Of head p, entry p is 1: a head that comes to the queries is of an entry that does.
        found: Tensor = queries.abs().amax((0, 2, 3)) > 0
        return found


def image_rows(reader: Reader, image: Tensor) -> Tensor:
    """New channels as a reader gets them, ``[samples, positions, K]``: entries of one channel are positions."""
    rows = image.movedim(reader.map.channels, -1)
    rows = rows.reshape(*rows.shape[:-1], reader.block.before, -1, reader.block.after).movedim(-2, -1)
    return rows.reshape(len(rows), -1, rows.shape[-1])


def image_at(reader: Reader, image: Tensor, places: Tensor) -> Tensor:
    """New channels as a reader gets them, 0 but at some places of its axis.

    Args:
        reader: the layer.
        image: new channels.
        places: ``[places]`` booleans.
    """
    last = image.movedim(reader.map.channels, -1)
    kept = places.to(image).view(reader.block.before, 1, reader.block.after)
    apart = last.reshape(*last.shape[:-1], reader.block.before, -1, reader.block.after) * kept
    return apart.reshape(last.shape).movedim(-1, reader.map.channels)


def position_weights(reader: Reader, image: Tensor, weight: Tensor, features: int, places: int) -> Tensor:
    """``[positions]`` how much each position counts in S: times how often it is read (thesis Lemma C.2.3).

    Args:
        reader: the layer.
        image: new channels as it gets them, any number.
        weight: its weight as it is.
        features: F.
        places: of the axis that it reads, of those of one channel, where the image is not 0.
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
    per_output = places
    for axis, size in enumerate(kernel):
        per_output *= size if axis not in (reader.map.out_axis, reader.map.in_axis) else 1
    return image_rows(reader, counts)[0, :, 0] * min(per_output, features)
