"""Convolutions over any number of axes: a kernel on series, maps or volumes, seen as a matrix on patches (thesis C.1).

Everything is written once, axis by axis; ``conv1d``, ``conv2d`` and ``conv3d`` are their fields and torch's layer.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import BeforeValidator, Field, PlainSerializer, model_validator
from torch import Tensor, nn
from torch.nn import grad

from dagrow.flop_counter import spend
from dagrow.layout import ChannelOrder, Shape, TensorLayout
from dagrow.ops.base import FanOutLayout, Op, ShapeError
from dagrow.ops.correlation import Axis, patch_gram, weight_gradient, windows
from dagrow.ops.meta_layer import single

Extents = tuple[int, ...]
"""One number per axis of the positions."""

_PLACES = {
    1: "series [channels, length]",
    2: "maps [channels, height, width]",
    3: "volumes [channels, depth, height, width]",
}
_INPUT_GRADIENTS = (grad.conv1d_input, grad.conv2d_input, grad.conv3d_input)


def each_axis(count: int) -> BeforeValidator:
    """``3`` stands for ``(3, 3)``, if there are two axes; anything else is left to pydantic."""

    def spread(value: Any) -> Any:
        return (value,) * count if isinstance(value, int) and not isinstance(value, bool) else value

    return BeforeValidator(spread)


def plain(value: Extents) -> str:
    """The same in a label: ``3`` or ``3x5``."""
    return str(value[0]) if len(set(value)) == 1 else "x".join(map(str, value))


short_form = PlainSerializer(single)
Extent = Annotated[int, Field(ge=1, le=4096)]
Margin = Annotated[int, Field(ge=0, le=4096)]


class Convolution(Op):
    """What all convolutions share; ``padding: same`` keeps every extent at stride 1."""

    channel_order: ClassVar[ChannelOrder | None] = "channels_first"
    layer: ClassVar[type[nn.Conv1d | nn.Conv2d | nn.Conv3d]]
    """What torch has for it."""

    op: str
    kernel: Extents
    stride: Extents
    padding: Extents | Literal["same"]
    dilation: Extents
    groups: int = Field(
        default=1,
        ge=1,
        description="channels fall into that many groups, each read by itself; the ends of such an edge do not grow; "
        "a divisor of both sizes",
    )
    bias: bool = Field(default=True, description="add a learned constant per channel")
    size: int | None = Field(
        default=None, ge=1, description="channels this edge writes; only for an edge into a concat node"
    )

    @model_validator(mode="after")
    def _same_needs_odd_kernels(self) -> Convolution:
        if self.padding == "same":
            if max(self.stride) > 1:
                raise ValueError("padding 'same' needs stride 1; give the padding as a number")
            spans = [d * (k - 1) for k, d in zip(self.kernel, self.dilation, strict=True)]
            if any(span % 2 for span in spans):
                raise ValueError("padding 'same' needs an odd kernel; give the padding as a number")
        return self

    @classmethod
    def infer(cls, source: Shape, target: Shape, kernel: int) -> Op | None:
        """The smallest stride that fits, with the padding that keeps the map, or else with none."""
        dims = len(cls.model_fields["kernel"].default)
        if not len(source) == len(target) == dims + 1:
            return None
        for padding in dict.fromkeys((kernel // 2, 0)):
            strides = [
                next((s for s in range(1, a + 1) if (a + 2 * padding - kernel) // s + 1 == b), 0)
                for a, b in zip(source[1:], target[1:], strict=True)
            ]
            if all(strides):
                fields = {"kernel": kernel, "stride": tuple(strides), "padding": padding, "bias": False}
                return cls.model_validate(fields)
        return None

    @property
    def label(self) -> str:
        words = [f"conv {'x'.join(map(str, self.kernel))}"]
        words += [f"/{plain(self.stride)}"] if max(self.stride) > 1 else []
        words += [f"dilated {plain(self.dilation)}"] if max(self.dilation) > 1 else []
        words += [f"{self.groups} groups"] if self.groups > 1 else []
        return " ".join(words)

    @property
    def out_features(self) -> int | None:
        return self.size

    @property
    def output_groups(self) -> int:
        return self.groups

    @property
    def fixed_sizes(self) -> str | None:
        return f"a {self.name} with {self.groups} groups ties its sizes together" if self.groups > 1 else None

    @property
    def margins(self) -> Extents:
        """Zeros added before and after each axis of the map."""
        if self.padding == "same":
            return tuple(d * (k - 1) // 2 for k, d in zip(self.kernel, self.dilation, strict=True))
        return self.padding

    @property
    def centre(self) -> int:
        """Index of the kernel's centre in row-major order; where a pointwise fan-out sits."""
        index = 0
        for extent in self.kernel:
            index = index * extent + extent // 2
        return index

    def extents(self, source: Shape) -> Extents:
        """Of the output map."""
        sizes = zip(source[1:], self.margins, self.dilation, self.kernel, self.stride, strict=True)
        return tuple((extent + 2 * p - d * (k - 1) - 1) // s + 1 for extent, p, d, k, s in sizes)

    def output_shape(self, source: Shape, size: int | None) -> Shape:
        dims = len(self.kernel)
        if len(source) != dims + 1:
            raise ShapeError(f"'{self.name}' reads {_PLACES[dims]}, not {list(source)}; use linear")
        out = source[0] if size is None else size
        for what, count in (("input", source[0]), ("output", out)):
            if count % self.groups:
                raise ShapeError(f"'groups: {self.groups}' does not divide the {count} {what} channels")
        extents = self.extents(source)
        if min(extents) < 1:
            raise ShapeError(f"kernel {list(self.kernel)} is larger than the padded map {list(source)}")
        return (out, *extents)

    def module(self, source: Shape, target: Shape) -> nn.Module:
        where: dict[str, Any] = {"stride": self.stride, "padding": self.margins, "dilation": self.dilation}
        return self.layer(source[0], target[0], self.kernel, **where, groups=self.groups, bias=self.bias)  # type: ignore[arg-type]

    # Plans ask for many shapes, so costs are computed and not read off a layer.

    def parameter_count(self, source: Shape, target: Shape) -> int:
        return target[0] * (self.feature_count(source) // self.groups + self.bias)

    def multiply_adds(self, source: Shape, target: Shape) -> int:
        return prod(target) * self.feature_count(source) // self.groups

    def feature_count(self, source: Shape) -> int:
        return source[0] * prod(self.kernel)

    def features(self, x: Tensor) -> Tensor:
        padded = _padded(x, [(margin, margin) for margin in self.margins])
        extents = self.extents(tuple(x.shape[1:]))
        return _patches(padded, self.kernel, self.dilation, self.stride, extents).transpose(1, 2)

    def rows_to_weight(self, rows: Tensor, source: Shape) -> Tensor:
        return rows.reshape(rows.shape[0], -1, *self.kernel)

    def functional(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        none = (0,) * len(self.kernel)
        groups = x.shape[1] // weight.shape[1]
        return torch.convolution(x, weight, bias, self.stride, self.margins, self.dilation, False, none, groups)

    def weight_gradient(self, x: Tensor, v: Tensor, weight: Tensor) -> Tensor:
        groups = x.shape[1] // weight.shape[1]
        return weight_gradient(x, weight.shape, v, self.stride, self.margins, self.dilation, groups)

    def input_gradient(self, x: Tensor, v: Tensor, weight: Tensor) -> Tensor:
        step = self.stride, self.margins, self.dilation, x.shape[1] // weight.shape[1]
        by_input = _INPUT_GRADIENTS[len(self.kernel) - 1]
        gradient: Tensor = by_input(x.shape, weight, v, *step)  # type: ignore[no-untyped-call]
        return gradient

    def fan_out_layout(self, source: Shape, pointwise: bool) -> FanOutLayout:
        counts = _read_counts(self, source, pointwise)
        return FanOutLayout(fan_out=1 if pointwise else prod(self.kernel), counts=counts)

    def fold_gradient(self, v: Tensor, source: Shape, pointwise: bool) -> Tensor:
        """Carries ``v`` of the child back to every position that feeds it: a transposed unfold.

        Position q is read at kernel offset d by the child position j with ``q = stride j - margin + dilation d``.
        With the stride's gaps filled by zeros, these are patches again, the kernel's offsets in reverse.

        Args:
            v: ``[samples, child positions, M]``.
            source: shape of the parent's map.
            pointwise: only what the kernel's centre reads.

        Returns:
            ``[samples, M * fan_out, parent positions]``, kernel offsets innermost.
        """
        maps = torch.unflatten(v.transpose(1, 2), 2, self.extents(source))
        if max(self.stride) > 1:
            spread = [(extent - 1) * s + 1 for extent, s in zip(maps.shape[2:], self.stride, strict=True)]
            gaps = maps.new_zeros(*maps.shape[:2], *spread)
            gaps[:, :, *[slice(None, None, s) for s in self.stride]] = maps
            maps = gaps
        kernel = (1,) * len(self.kernel) if pointwise else self.kernel
        margins = []
        for axis, (k, d, m) in enumerate(zip(kernel, self.dilation, self.margins, strict=True)):
            offset = self.kernel[axis] // 2 if pointwise else 0
            before = d * (k - 1 + offset) - m
            margins.append((before, source[1 + axis] + d * (k - 1) - before - maps.shape[2 + axis]))
        return _patches(_padded(maps, margins), kernel, self.dilation, (1,) * len(kernel), source[1:])

    @property
    def has_gram(self) -> bool:
        return max(self.stride) == 1 and min(self.kernel) > 1

    def gram(self, x: Tensor) -> Tensor:
        if not self.has_gram:
            return super().gram(x)
        sizes = zip(self.kernel, self.margins, self.dilation, x.shape[2:], strict=True)
        return patch_gram(x, [Axis(*size) for size in sizes])

    def fan_out_moment(self, image: Tensor, v: Tensor, source: Shape, pointwise: bool, weights: Tensor) -> Tensor:
        # It is the gradient of the weight by which this edge would read the features as channels.
        values, written = TensorLayout(source, 0), TensorLayout((0, *self.extents(source)), 0)
        features, goals = values.from_positions(image), written.from_positions(v)
        like = v.new_empty(()).expand(v.shape[2], image.shape[2], *self.kernel)
        sums = []
        for w in weights:
            used = w.nonzero().squeeze(1)
            whole = used.numel() == w.numel()
            x, own = (features, goals) if whole else (features[used], goals[used])
            signed = own if bool((w == 1).all()) else own * w[used].view(-1, *[1] * (own.dim() - 1))
            spend(signed.numel() * like[:1].numel())
            sums.append(self.weight_gradient(x, signed, like).flatten(2).permute(1, 2, 0))
        moment = torch.stack(sums)
        return moment[:, :, self.centre : self.centre + 1] if pointwise else moment

    def fan_out_features(self, x: Tensor, count: int, pointwise: bool) -> Tensor:
        found = super().fan_out_features(x, count, pointwise)
        return found[..., self.centre : self.centre + 1] if pointwise else found

    def fan_out_weight(self, omega: Tensor, pointwise: bool) -> Tensor:
        k, _, m = omega.shape
        if pointwise:
            kernel = omega.new_zeros(m, k, prod(self.kernel))
            kernel[:, :, self.centre] = omega.squeeze(1).T
        else:
            kernel = omega.permute(2, 0, 1)
        return kernel.reshape(m, k, *self.kernel)


def _padded(maps: Tensor, margins: list[tuple[int, int]]) -> Tensor:
    """With zeros (or less, where negative) before and after each axis of the positions."""
    return nn.functional.pad(maps, [margin for axis in reversed(margins) for margin in axis])


def _patches(padded: Tensor, kernel: Extents, dilation: Extents, stride: Extents, extents: Extents) -> Tensor:
    """``[n, c, *map]`` to ``[n, c * kernel, positions]``, channel major: a view on every patch and one copy."""
    view = windows(padded, kernel, dilation, stride, extents)
    # Sizes in full: of no samples, none follows from the others.
    return view.reshape(len(padded), padded.shape[1] * prod(kernel), prod(extents))


@lru_cache(maxsize=256)
def _read_counts(op: Convolution, source: Shape, pointwise: bool) -> Tensor:
    """How many (output position, kernel position) pairs read each input position; float32 ``[positions]``."""
    back = op.fold_gradient(torch.ones(1, prod(op.extents(source)), 1), source, pointwise)
    return back.sum(1).squeeze(0)
