"""What is known of a value in a captured graph: its dimensions, and of which parameter it is a view."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dagrow.capture.dims import Dim


@dataclass(frozen=True)
class Source:
    """A tensor of the module that a value is a view of, or is made of elementwise.

    Attributes:
        name: of the tensor in the module.
        axes: per axis of the value, the axis of the tensor that it is, or None.
    """

    name: str
    axes: tuple[int | None, ...]


@dataclass(frozen=True)
class Value:
    """A tensor in a captured graph.

    Attributes:
        dims: one per axis.
        source: of which tensor of the module it is a view; None if of none.
    """

    dims: tuple[Dim, ...]
    source: Source | None = None


class Role(Enum):
    """What an axis of a tensor of the module is to a channel space."""

    WRITE = "writes"
    """Outputs of a linear map, entries of an embedding: new entries may have any values."""
    READ = "reads"
    """Inputs of a linear map: where new entries are 0, new channels do not count."""
    CHANNEL = "filters"
    """Weights of each channel by itself, as of a depthwise convolution."""
    SCALE = "scales"
    """Factors of each channel."""
    SHIFT = "shifts"
    """Summands of each channel: biases, embeddings of positions."""
    MEAN = "mean"
    """Running means."""
    VARIANCE = "variance"
    """Running variances."""


@dataclass(frozen=True)
class Use:
    """An axis of a tensor of the module, as one operation uses it.

    Attributes:
        node: name of the operation.
        name: of the tensor.
        axis: of the tensor.
        role: what it is to the channels there.
        dim: the dimension of that axis.
    """

    node: str
    name: str
    axis: int
    role: Role
    dim: Dim


@dataclass(frozen=True)
class Normalisation:
    """A norm that sees all channels of a space at once.

    Attributes:
        kind: ``layer_norm`` or ``rms_norm``.
        node: name of the operation.
        before: the dimension that is normalised.
        after: the dimension of the result; as many channels, but others.
        weight: name of its weights, or None.
        owner: path of the module that calls it.
        eps: as it is given; None for torch's own.
    """

    kind: str
    node: str
    before: Dim
    after: Dim
    weight: str | None
    owner: str
    eps: float | None
