"""Edge ops and the parts of a node: one file each, all that dagrow knows about it."""

from dagrow.ops.activation import ACTIVATIONS, Activation
from dagrow.ops.base import (
    Op,
    Reads,
    Shape,
    ShapeError,
    channel_axis,
    channels,
    from_positions,
    position_count,
    to_positions,
    weighted_dots,
    with_channels,
)
from dagrow.ops.norm import NORMS
from dagrow.ops.norm_base import Norm
from dagrow.ops.pool import Pool
from dagrow.ops.registry import find_op, op_between, op_names, register_op

__all__ = [
    "ACTIVATIONS",
    "NORMS",
    "Activation",
    "Norm",
    "Op",
    "Pool",
    "Reads",
    "Shape",
    "ShapeError",
    "channel_axis",
    "channels",
    "find_op",
    "from_positions",
    "op_between",
    "op_names",
    "position_count",
    "register_op",
    "to_positions",
    "weighted_dots",
    "with_channels",
]
