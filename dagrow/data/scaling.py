"""How stored numbers become those that the network reads: bytes to [0, 1], a data set's own unit, standardizing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from dagrow.data.chain import Chain, Transform, shape_after
from dagrow.data.step import PreprocessingStep
from dagrow.data.stored import Stored, StoredRows, each_part
from dagrow.layout import Shape, TensorLayout

_DTYPES = {"float32": torch.float32, "float64": torch.float64}
_BYTES = 255.0


@dataclass(frozen=True, eq=False)
class Scale(PreprocessingStep):
    """``(x - shift) / scale``, as float32.

    A scale of infinity turns a feature into 0, whatever its value: it is that of a constant feature.

    Attributes:
        shift: broadcasts against one sample; its dtype, float32 or float64, is the precision of the computation.
        scale: likewise.
    """

    kind: ClassVar[str] = "scale"

    shift: Tensor
    scale: Tensor

    @property
    def buffers(self) -> dict[str, Tensor]:
        """Shift and scale."""
        return {"shift": self.shift, "scale": self.scale}

    @staticmethod
    def compute(x: Tensor, buffers: Mapping[str, Tensor]) -> Tensor:
        """Converts a batch."""
        return ((x.to(buffers["shift"].dtype) - buffers["shift"]) / buffers["scale"]).float()

    def source(self, x: str, names: Mapping[str, str]) -> tuple[str, ...]:
        """The same as text."""
        if self.shift.dtype == torch.float64:
            return f"{x}.double() - {names['shift']}", f"{x} / {names['scale']}", f"{x}.float()"
        return f"{x}.float() - {names['shift']}", f"{x} / {names['scale']}"

    def invert(self, x: Tensor) -> Tensor:
        """Values of that shift and scale; a constant feature has its value."""
        return self.shift + x.to(self.shift.dtype) * self.scale.masked_fill(self.scale.isinf(), 0.0)

    @property
    def reads(self) -> torch.dtype:
        """That of the computation."""
        return self.shift.dtype

    def to(self, device: torch.device | str) -> Scale:
        """The same on another device."""
        return Scale(self.shift.to(device), self.scale.to(device))

    def entry(self) -> dict[str, Any]:
        """Shift and scale as numbers, null for a scale of infinity, which JSON does not have."""
        dtype = str(self.shift.dtype).removeprefix("torch.")
        return {"dtype": dtype, "shift": self.shift.tolist(), "scale": _replaced(self.scale.tolist(), math.inf, None)}

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any], shape: Shape) -> Scale:
        """From what `entry` gave."""
        dtype = _DTYPES[entry["dtype"]]
        shift = torch.tensor(entry["shift"], dtype=dtype)
        scale = torch.tensor(_replaced(entry["scale"], None, math.inf), dtype=dtype)
        for values in (shift, scale):
            values.expand(shape)  # or a RuntimeError
        if not bool(shift.isfinite().all()) or not bool((scale > 0).all()):
            raise ValueError("a shift must be finite, a scale above 0")
        return cls(shift, scale)


def scale_of(train: Stored, layout: TensorLayout, *, standardize: bool, divisor: float = 1.0) -> Scale | None:
    """The scale step that training inputs of this layout call for, None where the stored values will do, as tokens do.

    Standardizing makes each feature (channel) of the training inputs mean 0 and deviation 1. A divisor, that of
    bytes too, cancels out there. It computes in float64 where the source did: a column of time stamps
    has its variation in digits that float32 drops.

    Args:
        train: training inputs as stored.
        layout: of one sample.
        standardize: whether the run asks for it.
        divisor: of the values, where the source has a unit of its own.
    """
    if layout.indexed:
        return None
    if standardize:
        found = moments(train, layout)
        mean, deviation = layout.per_channel(found.mean), layout.per_channel(found.deviation)
        dtype = torch.float32 if train.dtype in (torch.uint8, torch.float32) else torch.float64
        return Scale(mean.to(dtype), deviation.to(dtype))
    divisor = _BYTES if train.dtype == torch.uint8 else divisor
    return None if divisor == 1.0 else Scale(torch.tensor(0.0), torch.tensor(divisor))


def standardized(wanted: Literal["auto"] | bool, train: Stored, layout: TensorLayout, divisor: float) -> bool:
    """Whether the features of an input are standardized.

    ``auto`` is for the columns of a table, whose units are any. Pixels and grey levels share one unit, and so do the
    positions of a map, a series or tokens: these keep it.

    Args:
        wanted: what the run file says.
        train: training inputs as stored.
        layout: of one sample.
        divisor: of the values; not 1 where the source has a unit of its own.
    """
    if wanted == "auto":
        return not layout.positions and train.dtype != torch.uint8 and divisor == 1.0
    return wanted


def settle(stored: Stored, steps: tuple[PreprocessingStep, ...]) -> tuple[Stored, Transform | None]:
    """Converts now what takes no more memory as float32; what takes less as it is stored, as bytes do, keeps its steps.

    Args:
        stored: samples; those of a store that can be read in any order stay there.
        steps: to take, in their order.

    Returns:
        The samples, and what is still to be done to each batch.
    """
    sample = tuple(stored.shape[1:])
    after = shape_after(steps, sample)
    left = Chain.of(steps)
    larger = torch.float32.itemsize * prod(after) > stored.dtype.itemsize * prod(sample)
    settles = not isinstance(stored, StoredRows) or stored.store.settles
    if not settles or (larger and not isinstance(stored, StoredRows)):
        return stored, left
    if not steps and isinstance(stored, Tensor):
        return stored.float(), None
    done = None if larger else left
    shape, dtype = (sample, stored.dtype) if larger else (after, torch.float32)
    settled = torch.empty((len(stored), *shape), dtype=dtype)
    for places, part in each_part(stored):
        settled[places] = part if done is None else done(part)
    return settled, left if larger else None


def _replaced(value: Any, old: float | None, new: float | None) -> Any:
    """Numbers in nested lists, with one of them replaced."""
    if isinstance(value, list):
        return [_replaced(part, old, new) for part in value]
    return new if value == old else value


class Moments(NamedTuple):
    """What the values of each feature are like, ``[features]`` in float64.

    Attributes:
        mean: over samples and positions.
        deviation: root mean square, from the mean; infinite for a constant feature.
        low: the smallest.
        high: the largest.
    """

    mean: Tensor
    deviation: Tensor
    low: Tensor
    high: Tensor


def moments(x: Stored, layout: TensorLayout) -> Moments:
    """Of samples as stored.

    Two passes, since the difference of two large sums would lose a small variance.
    """
    features = layout.channels
    count = prod((len(x), *x.shape[1:])) / features
    total, squares = torch.zeros(2, features, dtype=torch.float64)
    low, high = torch.tensor([[torch.inf], [-torch.inf]], dtype=torch.float64).expand(2, features)
    for _, part in each_part(x):
        rows = layout.to_positions(part).flatten(0, 1).double()
        total += rows.sum(0)
        low, high = torch.minimum(low, rows.amin(0)), torch.maximum(high, rows.amax(0))
    mean = total / count
    for _, part in each_part(x):
        squares += (layout.to_positions(part).flatten(0, 1).double() - mean).square_().sum(0)
    # Rounding of the mean may leave a constant feature a tiny variance, so that is not what is asked.
    return Moments(mean, (squares / count).sqrt().masked_fill(low == high, torch.inf), low, high)
