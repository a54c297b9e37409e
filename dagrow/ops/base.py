"""What dagrow knows about an edge: the interface that each op file fills in.

An op is frozen data (its fields in the spec) and pure functions of shapes and tensors. Everything that
differs between a linear and a convolution stands in its op; after `features` the mathematics sees only
``[samples, positions, features]`` (DESIGN, "One layout").

Shapes leave out the batch: ``(features,)``, ``(tokens, features)``, ``(channels, length)``, ``(channels, height,
width)`` or ``(channels, depth, height, width)``. Which axis holds the channels is the op's to say, and checked against
what its parent puts out (`Op.written_layout`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from dagrow.layout import ChannelOrder, Shape, TensorLayout
from dagrow.ops.meta_layer import expression, meta_layer


class ShapeError(ValueError):
    """An op, norm or pool cannot take this shape; the message says why and what would fit."""


@dataclass(frozen=True)
class FanOutLayout:
    """How the positions of a parent are read by an edge when the fan-out of a new channel is free.

    Attributes:
        fan_out: weights per (new channel, child feature): kernel positions, 1 for linear.
        counts: ``[positions of the parent]``, how many (child position, kernel position) pairs read each.
    """

    fan_out: int
    counts: Tensor


class Op(BaseModel, ABC):
    """One edge op: its fields, and every fact about it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]
    parametrised: ClassVar[bool] = True
    channel_order: ClassVar[ChannelOrder | None] = None
    """Where the op reads and writes channels. None: `output_shape` shows it; an op without weights keeps them there."""
    reads_tokens: ClassVar[bool] = False
    """Whether the parent may be an input of tokens: whole numbers that only name something."""
    reads_values: ClassVar[bool] = True
    """Whether what is written depends on the values of the parent, and not on its positions alone."""
    weight_axes: ClassVar[tuple[int, int]] = (0, 1)
    """Axes of the output and of the input features in the layer's weight. Everywhere else they are the first two."""

    def to_layer_layout(self, weight: Tensor) -> Tensor:
        """A weight as the layer keeps it."""
        return weight.movedim((0, 1), self.weight_axes)

    def from_layer_layout(self, weight: Tensor) -> Tensor:
        """The inverse of `to_layer_layout`: the layer's weight with output features first, input features second."""
        return weight.movedim(self.weight_axes, (0, 1))

    def reading(self, source: TensorLayout) -> Op:
        """The same op, knowing what its parent puts out: for `features` that values alone do not tell."""
        return self

    @property
    def call_before(self) -> Callable[[Tensor], Tensor] | None:
        """A function that makes of the parent's values those that the layer reads; None where it reads them itself."""
        return None

    @property
    def export_call(self) -> str:
        """The Python expression of what the edge writes: ``{0}`` where the layer stands, ``{1}`` where the parent."""
        return "{0}({1})"

    @property
    def label(self) -> str:
        """The op in one or two words, for pictures."""
        return self.name

    @property
    def has_bias(self) -> bool:
        """Whether the edge adds a learned constant: what the field ``bias`` says, where there is one."""
        return getattr(self, "bias", False) is True

    @classmethod
    def infer(cls, source: Shape, target: Shape, kernel: int) -> Op | None:
        """The edge without a bias that leads from values of one shape to values of another.

        Args:
            source: shape of the parent's output.
            target: shape of what the child merges.
            kernel: height and width, for ops that have one.

        Returns:
            None if this op cannot.
        """
        return None

    @property
    def out_features(self) -> int | None:
        """Features this edge writes into a concat node, when the spec says so."""
        return None

    @property
    def output_groups(self) -> int:
        """Into how many equal groups the output features fall, each reading its own slice of `features`."""
        return 1

    @property
    def fixed_sizes(self) -> str | None:
        """Why the sizes at the two ends of this edge cannot change one at a time, or None."""
        return None

    @property
    def has_layout(self) -> bool:
        """Whether the op brings its input to the one layout, so that statistics can be taken of it."""
        return type(self).features is not Op.features

    @property
    def takes_fan_out(self) -> bool:
        """Whether the op says how it reads new features."""
        return type(self).fan_out_moment is not Op.fan_out_moment

    def output_shape(self, source: Shape, size: int | None) -> Shape:
        """Shape of what the edge writes; by default, what the layer makes of such values on the meta device.

        Args:
            source: shape of the parent's output.
            size: features to write, None when the op itself decides.

        Raises:
            ShapeError: if the op cannot read ``source``.
        """
        layout = TensorLayout.of(source)
        target = layout.with_channels(layout.channels if size is None else size)
        try:
            written = meta_layer(self, layout, target)(torch.empty(1, *source, device="meta"))
        except (RuntimeError, ValueError, IndexError) as error:
            raise ShapeError(f"'{self.name}' cannot read {list(source)}: {str(error).splitlines()[0]}") from error
        return tuple(written.shape[1:])

    def written_layout(self, source: TensorLayout, size: int | None) -> TensorLayout:
        """`output_shape` with the axis of its channels; what the graph asks.

        Raises:
            ShapeError: also if the op reads its channels along another axis than where ``source`` has them, or
                numbers where these are tokens.
        """
        if source.indexed and not self.reads_tokens:
            raise ShapeError(f"'{self.name}' reads numbers, not tokens of a 'vocabulary': 'embedding' reads those")
        shape = self.output_shape(source, size)
        if isinstance(shape, TensorLayout):
            return shape
        kept = source.order if len(shape) == len(source) else None
        if not self.parametrised:
            return TensorLayout.of(shape, kept)
        order = self.channel_order or self._seen_order(source, shape, size)
        if None not in (order, kept) and order != kept:
            raise ShapeError(
                f"'{self.name}' reads its input {order}, but {list(source)} are {source.name}, {kept}; "
                f"an input whose channels are on the other axis says so: 'layout: {order}'"
            )
        return TensorLayout.of(shape, order)

    def _seen_order(self, source: TensorLayout, shape: Shape, size: int | None) -> ChannelOrder | None:
        """Which axis of the shape that is written depends on the number of channels."""
        if len(shape) == 1:
            return None
        written = TensorLayout.of(shape).channels if size is None else size
        for other in (written + 1, 2 * written, 3 * written):
            try:
                found = self.output_shape(source, other)
            except ShapeError:
                continue
            axes = [axis for axis, (a, b) in enumerate(zip(shape, found, strict=True)) if a != b]
            if axes == [0]:
                return "channels_first"
            if axes == [len(shape) - 1]:
                return "channels_last"
        raise ShapeError(
            f"'{self.name}' shows no channels in what it makes of {source.name}, {list(source)}: "
            "the 'layout' of the input may be another, or the op's class lacks a 'channel_order'"
        )

    @abstractmethod
    def module(self, source: Shape, target: Shape) -> nn.Module:
        """The ordinary ``nn`` layer of this edge, freshly initialised."""

    def export_line(self, source: Shape, target: Shape) -> str:
        """The Python expression that makes this layer, with ``nn`` imported; by default, read off the layer.

        Raises:
            ExportError: if the layer is none of torch's; then the op says how it is made.
        """
        return expression(meta_layer(self, source, target), self.name)

    def parameter_count(self, source: Shape, target: Shape) -> int:
        """How many learned numbers the edge has; by default, those of the layer."""
        return sum(parameter.numel() for parameter in meta_layer(self, source, target).parameters())

    def multiply_adds(self, source: Shape, target: Shape) -> int:
        """Multiplications with additions for one sample; by default, each weight works once per position written."""
        weight = meta_layer(self, source, target).get_parameter("weight") if self.parametrised else None
        return 0 if weight is None else weight.numel() * TensorLayout.of(target).position_count

    def feature_count(self, source: Shape) -> int:
        """Columns that `features` makes of an input of this shape."""
        raise ShapeError(f"'{self.name}' has no weights")

    def features(self, x: Tensor) -> Tensor:
        """Brings the input to ``[samples, output positions, feature_count]`` so that the edge is ``features @ W^T``."""
        raise ShapeError(f"'{self.name}' has no weights")

    @property
    def has_gram(self) -> bool:
        """Whether `gram` knows a shorter way than through `features`."""
        return False

    def gram(self, x: Tensor) -> Tensor:
        """``sum of B^T B`` over samples and positions of ``B = features(x)``: ``[feature_count, feature_count]``."""
        B = self.features(x).flatten(0, 1)
        return B.T @ B

    def rows_to_weight(self, rows: Tensor, source: Shape) -> Tensor:
        """Turns ``[k, feature_count]`` rows into the weight of ``k`` output features, which come first."""
        raise ShapeError(f"'{self.name}' has no weights")

    def weight_to_rows(self, weight: Tensor) -> Tensor:
        """The inverse of `rows_to_weight`: the weight of ``k`` output features as ``[k, feature_count]``."""
        return weight.flatten(1)

    def functional(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Applies the edge with other weights, output features first: values in, values out."""
        raise ShapeError(f"'{self.name}' has no weights")

    def weight_gradient(self, x: Tensor, v: Tensor, weight: Tensor) -> Tensor:
        """Derivative of ``sum(v * functional(x, weight))`` by the weight, of the weight's shape.

        Args:
            x: values of the parent.
            v: of the shape that the edge writes.
            weight: gives the shape; a nonlinear op may need its value.
        """
        with torch.enable_grad():
            W = weight.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.functional(x.detach(), W, None), W, v)
        return gradient

    def input_gradient(self, x: Tensor, v: Tensor, weight: Tensor) -> Tensor:
        """Derivative of ``sum(v * functional(x, weight))`` by the values of the parent, of their shape.

        Args:
            x: gives the shape; a nonlinear op may need its values.
            v: of the shape that the edge writes.
            weight: output features first.
        """
        with torch.enable_grad():
            values = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.functional(values, weight, None), values, v)
        return gradient

    def fan_out_layout(self, source: Shape, pointwise: bool) -> FanOutLayout:
        """Which positions of the parent are read how often (thesis Lemma C.2.3); see `FanOutLayout`."""
        raise ShapeError(f"'{self.name}' has no weights")

    def fan_out_moment(self, image: Tensor, v: Tensor, source: Shape, pointwise: bool, weights: Tensor) -> Tensor:
        """Sums over samples and child positions of what new channels feed there, times ``v`` (thesis C.33).

        Args:
            image: ``[samples, parent positions, F]``, the features that new channels are made of.
            v: ``[samples, child positions, M]``.
            source: shape of the parent's output.
            pointwise: fan-out only at the centre of the kernel.
            weights: ``[W, samples]``; one sum is formed with each row as weights of the samples.

        Returns:
            ``[W, F, fan_out, M]``.
        """
        raise ShapeError(f"'{self.name}' has no weights")

    def fan_out_features(self, x: Tensor, count: int, pointwise: bool) -> Tensor:
        """The features by which the edge reads each of ``count`` channels: ``[samples, child positions, K, fan_out]``.

        Args:
            x: values of these channels.
            count: K, how many they are.
            pointwise: only those of the kernel's centre.
        """
        return torch.unflatten(self.features(x), 2, (count, -1))

    def fan_out_weight(self, omega: Tensor, pointwise: bool) -> Tensor:
        """Turns ``[K, fan_out, M]`` into the weight that reads ``K`` new channels."""
        raise ShapeError(f"'{self.name}' has no weights")
