"""The pools of a node: max, average and global average."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from dagrow.ops.base import Shape, ShapeError

Extent = Annotated[int, Field(ge=1, le=4096)]
Margin = Annotated[int, Field(ge=0, le=4096)]


class Pool(BaseModel):
    """``{kind, kernel, stride, padding}``; the short form ``global_average`` has no other field."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["max", "average", "global_average"]
    kernel: Extent = Field(default=2, description="height and width of the window")
    stride: Extent | None = Field(default=None, description="step between windows; the kernel if left out")
    padding: Margin = Field(default=0, description="margin around the map, at most half the kernel")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Pool:
        if self.kind == "global_average" and self.model_fields_set - {"kind"}:
            raise ValueError("'global_average' takes no kernel, stride or padding")
        if 2 * self.padding > self.kernel:
            raise ValueError(f"padding {self.padding} is more than half the kernel {self.kernel}")
        return self

    @property
    def step(self) -> int:
        """The stride in force."""
        return self.kernel if self.stride is None else self.stride

    def output_shape(self, shape: Shape) -> Shape:
        """Shape after pooling.

        Raises:
            ShapeError: if there is nothing to pool, or the window is larger than the map.
        """
        if self.kind == "global_average":
            if len(shape) == 1:
                raise ShapeError("nothing to pool: the node holds a vector, not maps or tokens")
            return (shape[0],) if len(shape) == 3 else (shape[-1],)
        if len(shape) != 3:
            raise ShapeError(f"pool '{self.kind}' takes maps [channels, height, width], not {list(shape)}")
        extents = tuple((e + 2 * self.padding - self.kernel) // self.step + 1 for e in shape[1:])
        if min(extents) < 1:
            raise ShapeError(f"pool kernel {self.kernel} is larger than the map {list(shape)}")
        return (shape[0], *extents)

    @property
    def plain(self) -> str:
        """The spec as a person writes it, for labels: ``max 2`` or ``global_average``."""
        return self.kind if self.kind == "global_average" else f"{self.kind} {self.kernel}"

    def module(self, shape: Shape) -> nn.Module | None:
        """The ``nn`` layer for maps, or None where a mean over tokens does it."""
        if self.kind == "global_average":
            return nn.AdaptiveAvgPool2d(1) if len(shape) == 3 else None
        kind = nn.MaxPool2d if self.kind == "max" else nn.AvgPool2d
        return kind(self.kernel, self.step, self.padding)

    def export_line(self, shape: Shape) -> str:
        """The Python expression of the layer."""
        if self.kind == "global_average":
            return "nn.AdaptiveAvgPool2d(1)"
        options = "" if self.step == self.kernel else f", stride={self.step}"
        options += f", padding={self.padding}" if self.padding else ""
        return f"nn.{'MaxPool2d' if self.kind == 'max' else 'AvgPool2d'}({self.kernel}{options})"

    def run(self, x: Tensor) -> Tensor:
        """Pools values, as the layer does."""
        if self.kind == "max":
            return functional.max_pool2d(x, self.kernel, self.step, self.padding)
        return self.averaged(x)

    def averaged(self, x: Tensor) -> Tensor:
        """The linear stand-in that growth theory uses: the mean of each window, for max pooling too."""
        if self.kind == "global_average":
            return x.mean(dim=(2, 3)) if x.dim() == 4 else x.mean(dim=1)
        return functional.avg_pool2d(x, self.kernel, self.step, self.padding)
