"""The conv2d op: a kernel on maps, seen by the mathematics as a matrix on patches (thesis C.1)."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import BeforeValidator, Field, PlainSerializer, model_validator
from torch import Tensor, nn
from torch.nn.grad import conv2d_input, conv2d_weight

from dagrow.layout import ChannelOrder, Shape, TensorLayout
from dagrow.ops.base import Op, Reads, ShapeError
from dagrow.ops.correlation import Axis, patch_gram, windows
from dagrow.work import spend


def two(value: Any) -> Any:
    """``3`` stands for ``(3, 3)``; anything else is left to pydantic."""
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


def single(value: Any) -> Any:
    """The short form of a pair with equal halves, for files."""
    return value[0] if isinstance(value, tuple) and value[0] == value[1] else value


def _plain(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else "{}x{}".format(*pair)


short_pair = PlainSerializer(single)
Extent = Annotated[int, Field(ge=1, le=4096)]
Margin = Annotated[int, Field(ge=0, le=4096)]
Pair = Annotated[tuple[Extent, Extent], BeforeValidator(two), short_pair]
Padding = Annotated[tuple[Margin, Margin] | Literal["same"], BeforeValidator(two), short_pair]


class Conv2d(Op):
    """A two-dimensional convolution; ``padding: same`` keeps height and width at stride 1."""

    name: ClassVar[str] = "conv2d"
    channel_order: ClassVar[ChannelOrder | None] = "channels_first"

    op: Literal["conv2d"] = "conv2d"
    kernel: Pair = Field(default=(3, 3), description="height and width, or one number for both")
    stride: Pair = Field(default=(1, 1), description="step between output positions")
    padding: Padding = Field(default=(0, 0), description="zeros around the map: a number, a pair, or 'same'")
    dilation: Pair = Field(default=(1, 1), description="step between kernel positions")
    groups: int = Field(default=1, ge=1, description="independent groups of channels")
    bias: bool = Field(default=True, description="add a learned constant per output channel")
    size: int | None = Field(
        default=None, ge=1, description="channels this edge writes; only for an edge into a concat node"
    )

    @model_validator(mode="after")
    def _same_needs_odd_kernels(self) -> Conv2d:
        if self.padding == "same":
            if self.stride != (1, 1):
                raise ValueError("padding 'same' needs stride 1; give the padding as a number")
            spans = [d * (k - 1) for k, d in zip(self.kernel, self.dilation, strict=True)]
            if any(span % 2 for span in spans):
                raise ValueError("padding 'same' needs an odd kernel; give the padding as a number")
        return self

    @classmethod
    def between(cls, source: Shape, target: Shape, kernel: int) -> Op | None:
        """The smallest stride that fits, with the padding that keeps the map, or else with none."""
        if len(source) != 3 or len(target) != 3:
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
        words = ["conv {}x{}".format(*self.kernel)]
        words += [f"/{_plain(self.stride)}"] if self.stride != (1, 1) else []
        words += [f"dilated {_plain(self.dilation)}"] if self.dilation != (1, 1) else []
        words += [f"{self.groups} groups"] if self.groups > 1 else []
        return " ".join(words)

    @property
    def has_bias(self) -> bool:
        return self.bias

    @property
    def written(self) -> int | None:
        return self.size

    @property
    def output_groups(self) -> int:
        return self.groups

    @property
    def fixed_sizes(self) -> str | None:
        return f"a conv2d with {self.groups} groups ties its sizes together" if self.groups > 1 else None

    @property
    def margins(self) -> tuple[int, int]:
        """Zeros added above and left (and below and right) of the map."""
        if self.padding == "same":
            first, second = (d * (k - 1) // 2 for k, d in zip(self.kernel, self.dilation, strict=True))
            return first, second
        return self.padding

    @property
    def centre(self) -> int:
        """Index of the kernel's centre in row-major order; where a pointwise fan-out sits."""
        return (self.kernel[0] // 2) * self.kernel[1] + self.kernel[1] // 2

    def extents(self, source: Shape) -> tuple[int, int]:
        """Height and width of the output map."""
        height, width = (
            (extent + 2 * p - d * (k - 1) - 1) // s + 1
            for extent, p, d, k, s in zip(
                source[1:], self.margins, self.dilation, self.kernel, self.stride, strict=True
            )
        )
        return height, width

    def output_shape(self, source: Shape, size: int | None) -> Shape:
        if len(source) != 3:
            raise ShapeError(f"'conv2d' reads maps [channels, height, width], not {list(source)}; use linear")
        out = source[0] if size is None else size
        for what, count in (("input", source[0]), ("output", out)):
            if count % self.groups:
                raise ShapeError(f"'groups: {self.groups}' does not divide the {count} {what} channels")
        height, width = self.extents(source)
        if height < 1 or width < 1:
            raise ShapeError(f"kernel {list(self.kernel)} is larger than the padded map {list(source)}")
        return (out, height, width)

    def _arguments(self, source: Shape, target: Shape) -> dict[str, Any]:
        """Constructor arguments of ``nn.Conv2d`` that differ from its defaults, beside the sizes."""
        options = {
            "stride": (self.stride, (1, 1)),
            "padding": (self.margins, (0, 0)),
            "dilation": (self.dilation, (1, 1)),
            "groups": (self.groups, 1),
            "bias": (self.bias, True),
        }
        return {key: single(value) for key, (value, default) in options.items() if value != default}

    def module(self, source: Shape, target: Shape) -> nn.Module:
        return nn.Conv2d(source[0], target[0], self.kernel, **self._arguments(source, target))

    def export_line(self, source: Shape, target: Shape) -> str:
        options = "".join(f", {key}={value!r}" for key, value in self._arguments(source, target).items())
        return f"nn.Conv2d({source[0]}, {target[0]}, {single(self.kernel)!r}{options})"

    def parameter_count(self, source: Shape, target: Shape) -> int:
        return target[0] * (self.feature_count(source) // self.groups + self.bias)

    def multiply_adds(self, source: Shape, target: Shape) -> int:
        return target[0] * target[1] * target[2] * self.feature_count(source) // self.groups

    def feature_count(self, source: Shape) -> int:
        return source[0] * self.kernel[0] * self.kernel[1]

    def features(self, x: Tensor) -> Tensor:
        (top, left), extents = self.margins, self.extents(tuple(x.shape[1:]))
        padded = nn.functional.pad(x, (left, left, top, top))
        return _patches(padded, self.kernel, self.dilation, self.stride, extents).transpose(1, 2)

    def weight(self, rows: Tensor, source: Shape) -> Tensor:
        return rows.reshape(rows.shape[0], -1, *self.kernel)

    def run(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return nn.functional.conv2d(
            x, weight, bias, self.stride, self.margins, self.dilation, x.shape[1] // weight.shape[1]
        )

    def weight_gradient(self, x: Tensor, v: Tensor, weight: Tensor) -> Tensor:
        groups = x.shape[1] // weight.shape[1]
        step = self.stride, self.margins, self.dilation
        gradient: Tensor = conv2d_weight(x, weight.shape, v, *step, groups)  # type: ignore[no-untyped-call]
        return gradient

    def input_gradient(self, x: Tensor, v: Tensor, weight: Tensor) -> Tensor:
        step = self.stride, self.margins, self.dilation, x.shape[1] // weight.shape[1]
        gradient: Tensor = conv2d_input(x.shape, weight, v, *step)  # type: ignore[no-untyped-call]
        return gradient

    def reads(self, source: Shape, pointwise: bool) -> Reads:
        counts = _read_counts(self, source, pointwise)
        return Reads(fan_out=1 if pointwise else self.kernel[0] * self.kernel[1], counts=counts)

    def carry_back(self, v: Tensor, source: Shape, pointwise: bool) -> Tensor:
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
        if self.stride != (1, 1):
            (rows, columns), (down, right) = maps.shape[2:], self.stride
            gaps = maps.new_zeros(*maps.shape[:2], (rows - 1) * down + 1, (columns - 1) * right + 1)
            gaps[:, :, ::down, ::right] = maps
            maps = gaps
        kernel, offset = self.kernel, (0, 0)
        if pointwise:
            offset, kernel = (self.kernel[0] // 2, self.kernel[1] // 2), (1, 1)
        margins: list[int] = []
        for axis in (1, 0):
            d, m = self.dilation[axis], self.margins[axis]
            before = d * (kernel[axis] - 1 + offset[axis]) - m
            after = source[1 + axis] + d * (kernel[axis] - 1) - before - maps.shape[2 + axis]
            margins += [before, after]
        padded = nn.functional.pad(maps, margins)
        return _patches(padded, kernel, self.dilation, (1, 1), (source[1], source[2]))

    @property
    def has_gram(self) -> bool:
        return self.stride == (1, 1) and min(self.kernel) > 1

    def gram(self, x: Tensor) -> Tensor:
        if not self.has_gram:
            return super().gram(x)
        sizes = zip(self.kernel, self.margins, self.dilation, x.shape[2:], strict=True)
        return patch_gram(x, *(Axis(*size) for size in sizes))

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
            signed = own if bool((w == 1).all()) else own * w[used].view(-1, 1, 1, 1)
            spend(signed.numel() * like[:1].numel())
            sums.append(self.weight_gradient(x, signed, like).flatten(2).permute(1, 2, 0))
        moment = torch.stack(sums)
        return moment[:, :, self.centre : self.centre + 1] if pointwise else moment

    def fan_out_features(self, x: Tensor, count: int, pointwise: bool) -> Tensor:
        found = super().fan_out_features(x, count, pointwise)
        return found[..., self.centre : self.centre + 1] if pointwise else found

    def fan_out_weight(self, omega: Tensor, pointwise: bool) -> Tensor:
        k, _, m = omega.shape
        positions = self.kernel[0] * self.kernel[1]
        if pointwise:
            kernel = omega.new_zeros(m, k, positions)
            kernel[:, :, self.centre] = omega.squeeze(1).T
        else:
            kernel = omega.permute(2, 0, 1)
        return kernel.reshape(m, k, *self.kernel)


def _patches(
    padded: Tensor,
    kernel: tuple[int, int],
    dilation: tuple[int, int],
    stride: tuple[int, int],
    extents: tuple[int, int],
) -> Tensor:
    """``[n, c, H, W]`` to ``[n, c * kernel, positions]``, channel major: a view on every patch and one copy."""
    view = windows(padded, kernel, dilation, stride, extents)
    # Sizes in full: of no samples, none follows from the others.
    return view.reshape(len(padded), padded.shape[1] * kernel[0] * kernel[1], extents[0] * extents[1])


@lru_cache(maxsize=256)
def _read_counts(op: Conv2d, source: Shape, pointwise: bool) -> Tensor:
    """How many (output position, kernel position) pairs read each input position; float32 ``[H * W]``."""
    height, width = op.extents(source)
    back = op.carry_back(torch.ones(1, height * width, 1), source, pointwise)
    return back.sum(1).squeeze(0)
