"""The pools of a node: max, average and global average, and upsampling as their opposite."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from dagrow.layout import Shape, TensorLayout
from dagrow.ops.base import ShapeError
from dagrow.registry import Registry, one_of

T = TypeVar("T")

Extent = Annotated[int, Field(ge=1, le=4096)]
Margin = Annotated[int, Field(ge=0, le=4096)]


class Pool(BaseModel):
    """``{kind, kernel, stride, padding}``; the short form ``global_average`` has no other field."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Annotated[str, one_of("kind of pool")] = Field(
        description="what is taken of each window; `upsample` makes a window of each pixel"
    )
    kernel: Extent = Field(default=2, description="extent of the window along every axis")
    stride: Extent | None = Field(
        default=None,
        description="step between windows; the kernel if left out. For `max` and `average` only, like `padding`",
    )
    padding: Margin = Field(default=0, description="margin around the map, half the kernel at most")

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
    def _rules(self) -> _PoolType:
        return POOLS[self.kind]

    @property
    def has_window(self) -> bool:
        """Whether there is anything to say beside its kind."""
        return bool(self._rules.fields)

    @property
    def is_linear(self) -> bool:
        """Whether the pool is its own linear stand-in."""
        return self._rules.is_linear

    @property
    def step(self) -> int:
        """The stride in force."""
        return self.kernel if self.stride is None else self.stride

    def output_shape(self, shape: Shape) -> TensorLayout:
        """Shape after pooling.

        Raises:
            ShapeError: if there is nothing to pool, or the window is larger than the map.
        """
        return self._rules.output_shape(self, TensorLayout.of(shape))

    @property
    def plain(self) -> str:
        """The spec as a person writes it, for labels: ``max 2`` or ``global_average``."""
        return f"{self.kind} {self.kernel}" if self.has_window else self.kind

    def module(self, shape: Shape) -> nn.Module | None:
        """The ``nn`` layer for maps, or None where a mean over tokens does it."""
        return self._rules.module(self, TensorLayout.of(shape))

    def export_line(self, shape: Shape) -> str:
        """The Python expression of the layer."""
        return self._rules.export_line(self, TensorLayout.of(shape))

    def functional(self, x: Tensor, shape: Shape) -> Tensor:
        """Pools values of a shape, whatever the number of their channels, as the layer does."""
        return self._rules.functional(self, x, TensorLayout.of(shape))

    def averaged(self, x: Tensor, shape: Shape) -> Tensor:
        """The linear stand-in that growth theory uses: the mean of each window, for max pooling too."""
        return self._rules.averaged(self, x, TensorLayout.of(shape))


class _PoolType(ABC):
    """What one kind of pool does with the fields of a `Pool`; shapes know where their channels are."""

    fields: ClassVar[tuple[str, ...]] = ()
    refused: ClassVar[str] = "kernel, stride or padding"
    is_linear: ClassVar[bool] = True
    """Whether `averaged` is what `functional` does."""

    @abstractmethod
    def output_shape(self, pool: Pool, shape: TensorLayout) -> TensorLayout: ...

    @abstractmethod
    def module(self, pool: Pool, shape: TensorLayout) -> nn.Module | None: ...

    @abstractmethod
    def export_line(self, pool: Pool, shape: TensorLayout) -> str: ...

    @abstractmethod
    def functional(self, pool: Pool, x: Tensor, shape: TensorLayout) -> Tensor: ...

    def averaged(self, pool: Pool, x: Tensor, shape: TensorLayout) -> Tensor:
        return self.functional(pool, x, shape)


class _GlobalAverage(_PoolType):
    layers = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)

    def output_shape(self, pool: Pool, shape: TensorLayout) -> TensorLayout:
        if not shape.positions:
            raise ShapeError("nothing to pool: the node holds a vector, not maps or tokens")
        return shape.with_positions(())

    def module(self, pool: Pool, shape: TensorLayout) -> nn.Module | None:
        return self.layers[len(shape.positions) - 1](1) if shape.order == "channels_first" else None

    def export_line(self, pool: Pool, shape: TensorLayout) -> str:
        return f"nn.{self.layers[len(shape.positions) - 1].__name__}(1)"

    def functional(self, pool: Pool, x: Tensor, shape: TensorLayout) -> Tensor:
        return x.mean(dim=shape.position_axes)


@dataclass(frozen=True)
class _Windows(_PoolType):
    """A number for each window of the map."""

    fields = ("kernel", "stride", "padding")

    layers: tuple[type[nn.Module], ...]
    functions: tuple[Callable[..., Tensor], ...]

    def output_shape(self, pool: Pool, shape: TensorLayout) -> TensorLayout:
        positions = _map(pool, shape).positions
        extents = tuple((e + 2 * pool.padding - pool.kernel) // pool.step + 1 for e in positions)
        # torch averages no volume that is smaller than the window, whatever the margin around it.
        too_small = len(positions) == len(_AVERAGES) and min(positions) < pool.kernel
        if min(extents) < 1 or too_small:
            raise ShapeError(f"pool kernel {pool.kernel} is larger than the map {list(shape)}")
        return shape.with_positions(extents)

    def module(self, pool: Pool, shape: TensorLayout) -> nn.Module:
        return self._of(self.layers, shape)(pool.kernel, pool.step, pool.padding)

    def export_line(self, pool: Pool, shape: TensorLayout) -> str:
        options = "" if pool.step == pool.kernel else f", stride={pool.step}"
        options += f", padding={pool.padding}" if pool.padding else ""
        return f"nn.{self._of(self.layers, shape).__name__}({pool.kernel}{options})"

    def functional(self, pool: Pool, x: Tensor, shape: TensorLayout) -> Tensor:
        return self._of(self.functions, shape)(x, pool.kernel, pool.step, pool.padding)

    def averaged(self, pool: Pool, x: Tensor, shape: TensorLayout) -> Tensor:
        return self._of(_AVERAGES, shape)(x, pool.kernel, pool.step, pool.padding)

    @staticmethod
    def _of(kinds: tuple[T, ...], shape: TensorLayout) -> T:
        """The one for values with so many axes of positions."""
        return kinds[len(shape.positions) - 1]


class _Largest(_Windows):
    is_linear = False


class _Upsample(_PoolType):
    """Each pixel becomes a square of equal ones."""

    fields = ("kernel",)
    refused = "stride or padding"

    def output_shape(self, pool: Pool, shape: TensorLayout) -> TensorLayout:
        return shape.with_positions(tuple(extent * pool.kernel for extent in _map(pool, shape).positions))

    def module(self, pool: Pool, shape: TensorLayout) -> nn.Module:
        return nn.Upsample(scale_factor=pool.kernel)

    def export_line(self, pool: Pool, shape: TensorLayout) -> str:
        return f"nn.Upsample(scale_factor={pool.kernel})"

    def functional(self, pool: Pool, x: Tensor, shape: TensorLayout) -> Tensor:
        return functional.interpolate(x, scale_factor=float(pool.kernel))


def _map(pool: Pool, shape: TensorLayout) -> TensorLayout:
    if shape.order != "channels_first":
        raise ShapeError(f"pool '{pool.kind}' takes maps [channels, height, width], not {list(shape)}")
    return shape


_AVERAGES = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)

POOLS: Registry[_PoolType] = Registry(
    "kind of pool",
    {
        "max": _Largest(
            (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
            (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d),
        ),
        "average": _Windows((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), _AVERAGES),
        "global_average": _GlobalAverage(),
        "upsample": _Upsample(),
    },
)
