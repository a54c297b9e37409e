"""The pools of a node: max, average and global average, and upsampling as their opposite."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from dagrow.ops.base import Shape, ShapeError

Extent = Annotated[int, Field(ge=1, le=4096)]
Margin = Annotated[int, Field(ge=0, le=4096)]


class Pool(BaseModel):
    """``{kind, kernel, stride, padding}``; the short form ``global_average`` has no other field."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["max", "average", "global_average", "upsample"]
    kernel: Extent = Field(default=2, description="height and width of the window")
    stride: Extent | None = Field(default=None, description="step between windows; the kernel if left out")
    padding: Margin = Field(default=0, description="margin around the map, at most half the kernel")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Pool:
        if self.model_fields_set - {"kind", *self._rules.fields}:
            raise ValueError(f"'{self.kind}' takes no {self._rules.refused}")
        if 2 * self.padding > self.kernel:
            raise ValueError(f"padding {self.padding} is more than half the kernel {self.kernel}")
        return self

    @property
    def _rules(self) -> _Kind:
        return _KINDS[self.kind]

    @property
    def step(self) -> int:
        """The stride in force."""
        return self.kernel if self.stride is None else self.stride

    def output_shape(self, shape: Shape) -> Shape:
        """Shape after pooling.

        Raises:
            ShapeError: if there is nothing to pool, or the window is larger than the map.
        """
        return self._rules.output_shape(self, shape)

    @property
    def plain(self) -> str:
        """The spec as a person writes it, for labels: ``max 2`` or ``global_average``."""
        return f"{self.kind} {self.kernel}" if self._rules.fields else self.kind

    def module(self, shape: Shape) -> nn.Module | None:
        """The ``nn`` layer for maps, or None where a mean over tokens does it."""
        return self._rules.module(self, shape)

    def export_line(self, shape: Shape) -> str:
        """The Python expression of the layer."""
        return self._rules.export_line(self)

    def run(self, x: Tensor) -> Tensor:
        """Pools values, as the layer does."""
        return self._rules.run(self, x)

    def averaged(self, x: Tensor) -> Tensor:
        """The linear stand-in that growth theory uses: the mean of each window, for max pooling too."""
        return self._rules.averaged(self, x)


class _Kind(ABC):
    """What one kind of pool does with the fields of a `Pool`."""

    fields: ClassVar[tuple[str, ...]] = ()
    refused: ClassVar[str] = "kernel, stride or padding"

    @abstractmethod
    def output_shape(self, pool: Pool, shape: Shape) -> Shape: ...

    @abstractmethod
    def module(self, pool: Pool, shape: Shape) -> nn.Module | None: ...

    @abstractmethod
    def export_line(self, pool: Pool) -> str: ...

    @abstractmethod
    def run(self, pool: Pool, x: Tensor) -> Tensor: ...

    def averaged(self, pool: Pool, x: Tensor) -> Tensor:
        return self.run(pool, x)


class _GlobalAverage(_Kind):
    def output_shape(self, pool: Pool, shape: Shape) -> Shape:
        if len(shape) == 1:
            raise ShapeError("nothing to pool: the node holds a vector, not maps or tokens")
        return (shape[0],) if len(shape) == 3 else (shape[-1],)

    def module(self, pool: Pool, shape: Shape) -> nn.Module | None:
        return nn.AdaptiveAvgPool2d(1) if len(shape) == 3 else None

    def export_line(self, pool: Pool) -> str:
        return "nn.AdaptiveAvgPool2d(1)"

    def run(self, pool: Pool, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3)) if x.dim() == 4 else x.mean(dim=1)


@dataclass(frozen=True)
class _Windows(_Kind):
    """A number for each window of the map."""

    fields = ("kernel", "stride", "padding")

    layer: type[nn.Module]
    function: Callable[..., Tensor]

    def output_shape(self, pool: Pool, shape: Shape) -> Shape:
        extents = tuple((e + 2 * pool.padding - pool.kernel) // pool.step + 1 for e in _map(pool, shape)[1:])
        if min(extents) < 1:
            raise ShapeError(f"pool kernel {pool.kernel} is larger than the map {list(shape)}")
        return (shape[0], *extents)

    def module(self, pool: Pool, shape: Shape) -> nn.Module:
        return self.layer(pool.kernel, pool.step, pool.padding)

    def export_line(self, pool: Pool) -> str:
        options = "" if pool.step == pool.kernel else f", stride={pool.step}"
        options += f", padding={pool.padding}" if pool.padding else ""
        return f"nn.{self.layer.__name__}({pool.kernel}{options})"

    def run(self, pool: Pool, x: Tensor) -> Tensor:
        return self.function(x, pool.kernel, pool.step, pool.padding)

    def averaged(self, pool: Pool, x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, pool.kernel, pool.step, pool.padding)


class _Upsample(_Kind):
    """Each pixel becomes a square of equal ones."""

    fields = ("kernel",)
    refused = "stride or padding"

    def output_shape(self, pool: Pool, shape: Shape) -> Shape:
        channels, height, width = _map(pool, shape)
        return (channels, height * pool.kernel, width * pool.kernel)

    def module(self, pool: Pool, shape: Shape) -> nn.Module:
        return nn.Upsample(scale_factor=pool.kernel)

    def export_line(self, pool: Pool) -> str:
        return f"nn.Upsample(scale_factor={pool.kernel})"

    def run(self, pool: Pool, x: Tensor) -> Tensor:
        return functional.interpolate(x, scale_factor=float(pool.kernel))


def _map(pool: Pool, shape: Shape) -> Shape:
    if len(shape) != 3:
        raise ShapeError(f"pool '{pool.kind}' takes maps [channels, height, width], not {list(shape)}")
    return shape


_KINDS: dict[str, _Kind] = {
    "max": _Windows(nn.MaxPool2d, functional.max_pool2d),
    "average": _Windows(nn.AvgPool2d, functional.avg_pool2d),
    "global_average": _GlobalAverage(),
    "upsample": _Upsample(),
}
