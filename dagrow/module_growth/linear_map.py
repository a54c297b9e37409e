"""A linear layer in a captured graph, seen as a matrix: its features, its weight in blocks of channels.

Symbols: ``F`` weights that one output has (inputs times kernel), ``K`` new channels, ``P`` entries of the reading axis
per channel (positions of a flattened map), ``M`` weights that one new channel has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from dagrow.capture import Analysis, Dim, Role, Value, atoms
from dagrow.capture.inplace import plain_name

_ARGUMENTS: dict[str, tuple[int, int, int | None, int, int]] = {
    "linear": (0, 1, 2, 1, 0),
    "addmm": (1, 2, 0, 0, 1),
    "matmul": (0, 1, None, 0, 1),
    "mm": (0, 1, None, 0, 1),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), (0, 1, 2, 1, 0)),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), (0, 1, 2, 0, 1)),
    "embedding": (1, 0, None, 0, 1),
}
"""Per operation: which arguments are input, weight and bias, which axes of the weight are inputs and outputs."""


@dataclass(frozen=True, eq=False)
class LinearMap:
    """A linear layer; an embedding is one of unit vectors.

    Attributes:
        node: that computes it.
        x: node of its input.
        name: of its weight in the module.
        bias: of its bias; None without.
        in_axis: of the weight, its inputs.
        out_axis: of the weight, its outputs.
        channels: axis of the input, and of the output, that holds channels.
    """

    node: fx.Node
    x: fx.Node
    name: str
    bias: str | None
    in_axis: int
    out_axis: int
    channels: int

    def apply(self, x: Tensor, weight: Tensor) -> Tensor:
        """The layer with another weight and without bias."""
        name = plain_name(self.node)
        if name == "linear":
            return torch.nn.functional.linear(x, weight)
        if name == "embedding":
            return torch.nn.functional.embedding(x, weight)
        if name in ("addmm", "matmul", "mm"):
            return x @ weight
        function: Any = self.node.target
        return function(x, weight, None, *self.node.args[3:], **self.node.kwargs)  # type: ignore[no-any-return]

    def rows(self, weight: Tensor) -> Tensor:
        """A weight as ``[outputs, F]``."""
        return weight.movedim(self.out_axis, 0).flatten(1)

    def weight(self, rows: Tensor, like: Tensor) -> Tensor:
        """``[outputs, F]`` as a weight, of the shape of ``like`` but for the outputs."""
        rest = [size for axis, size in enumerate(like.shape) if axis != self.out_axis]
        return rows.reshape(len(rows), *rest).movedim(0, self.out_axis)

    def features(self, x: Tensor, like: Tensor) -> Tensor:
        """What the outputs are linear in, at every position of them, with ``F`` in place of the outputs."""
        if plain_name(self.node) == "conv2d" and (patches := self._patches(x, like)) is not None:
            return patches
        count = like.numel() // like.shape[self.out_axis]
        return self.apply(x, self.weight(torch.eye(count, dtype=like.dtype, device=x.device), like))

    def _patches(self, x: Tensor, like: Tensor) -> Tensor | None:
        """Those of a convolution of images, copied, not multiplied; None where its padding has no numbers."""
        args = dict(enumerate(self.node.args))
        stride, padding, dilation = args.get(3, 1), args.get(4, 0), args.get(5, 1)
        if isinstance(padding, str) or self.node.kwargs:
            return None
        size: Any = tuple(like.shape[2:])
        (steps, around, apart) = (_pair(each) for each in (stride, padding, dilation))
        found = torch.nn.functional.unfold(x, size, apart, around, steps)
        spread = [a * (k - 1) + 1 for a, k in zip(apart, size, strict=True)]
        shape = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip(x.shape[2:], around, spread, steps, strict=True)]
        return found.view(len(x), -1, *shape)

    def last(self, y: Tensor) -> Tensor:
        """Values ``[samples, ..., channels, ...]`` as ``[samples, positions, channels]``."""
        y = y.movedim(self.channels, -1)
        return y.reshape(len(y), -1, y.shape[-1])

    def from_last(self, y: Tensor, like: Tensor) -> Tensor:
        """The inverse of `last`, for values like others."""
        shape = list(like.movedim(self.channels, -1).shape)
        return y.reshape(*shape[:-1], y.shape[-1]).movedim(-1, self.channels)


def _pair(option: Any) -> tuple[int, int]:
    """An option of a convolution of images, along both axes."""
    numbers = [int(each) for each in (option if isinstance(option, (list, tuple)) else (option,))]
    return numbers[0], numbers[-1]


@dataclass(frozen=True)
class Block:
    """How new channels lie along the reading axis of a weight: ``[before, K, after]``.

    Attributes:
        before: entries that vary slower than the channels.
        after: entries that vary faster.
    """

    before: int
    after: int

    @property
    def places(self) -> int:
        """P."""
        return self.before * self.after

    def matrix(self, weight: Tensor, axis: int) -> Tensor:
        """A block of a weight with ``K P`` entries along its reading axis, as ``[K, M]``."""
        w = weight.movedim(axis, 0)
        w = w.reshape(self.before, -1, self.after, *w.shape[1:]).movedim(1, 0)
        return w.reshape(len(w), -1)

    def weight(self, matrix: Tensor, axis: int, like: Tensor) -> Tensor:
        """The inverse: ``[K, M]`` as a weight, of the shape of ``like`` but for the reading axis."""
        rest = [size for i, size in enumerate(like.shape) if i != axis]
        w = matrix.reshape(len(matrix), self.before, self.after, *rest).movedim(0, 1)
        return w.reshape(-1, *rest).movedim(0, axis)


def block_of(dim: Dim, atom: Dim) -> Block | None:
    """How the new channels of an atom lie in a dimension; None where it holds the atom more than once."""
    dim = dim.now
    if atoms(dim).count(atom) != 1:
        return None
    if dim.kind == "atom":
        return Block(1, 1)
    if dim.kind == "concat":
        return next(block_of(part, atom) for part in dim.parts if atom in atoms(part))
    number = next(i for i, part in enumerate(dim.parts) if atom in atoms(part))
    inner = block_of(dim.parts[number], atom)
    assert inner is not None
    before = math.prod(part.now.size for part in dim.parts[:number])
    after = math.prod(part.now.size for part in dim.parts[number + 1 :])
    return Block(before * inner.before, inner.after * after)


def find_maps(analysis: Analysis) -> dict[str, LinearMap]:
    """The linear layers whose weights are tensors of the module as they are, by name of node; those used once."""
    tensors = {node: value.source for node, value in analysis.values.items() if isinstance(value, Value)}
    found: dict[str, LinearMap] = {}
    names: dict[str, int] = {}
    for node in analysis.exported.graph.nodes:
        kind = _ARGUMENTS.get(plain_name(node)) if node.op == "call_function" else None
        if kind is None or not _is_plain(node):
            continue
        x, w, b, in_axis, out_axis = kind
        weight, bias = node.args[w], node.args[b] if b is not None and len(node.args) > b else None
        if not isinstance(weight, fx.Node) or weight.op != "placeholder" or tensors.get(weight) is None:
            continue
        name = weight_name(analysis, weight)
        names[name] = names.get(name, 0) + 1
        held = weight_name(analysis, bias) if isinstance(bias, fx.Node) and bias.op == "placeholder" else None
        channels = 1 if plain_name(node).startswith("conv") else -1
        found[node.name] = LinearMap(node, node.args[x], name, held, in_axis, out_axis, channels)
    return {node: map_ for node, map_ in found.items() if names[map_.name] == 1}


def weight_name(analysis: Analysis, node: fx.Node) -> str:
    """The name of the tensor of the module that a placeholder stands for."""
    name = analysis.exported.tensors[node.name]
    return analysis.aliases.get(name, name)


def _is_plain(node: fx.Node) -> bool:
    """Not a grouped convolution."""
    return not plain_name(node).startswith("conv") or len(node.args) < 7 or bool(node.args[6] == 1)


def uses_of(analysis: Analysis, node: fx.Node, atom: Dim) -> set[Role]:
    """What the tensors that an operation uses are to the channels of an atom."""
    return {use.role for use in analysis.found.uses if use.node == node.name and atom in atoms(use.dim)}
