"""Edge ops and the parts of a node: one file each, all that dagrow knows about it."""

from dagrow.layout import Shape, TensorLayout
from dagrow.ops.activation import ACTIVATIONS, Activation
from dagrow.ops.attention import Attention
from dagrow.ops.base import FanOutLayout, Op, ShapeError
from dagrow.ops.norm import NORMS
from dagrow.ops.norm_base import Norm
from dagrow.ops.pool import POOLS, Pool
from dagrow.ops.registry import find_op, op_between, op_names, register_op
from dagrow.ops.weighted_dots import weighted_dots
from dagrow.renaming import warn_renamed

__all__ = [
    "ACTIVATIONS",
    "NORMS",
    "POOLS",
    "Activation",
    "Attention",
    "FanOutLayout",
    "Norm",
    "Op",
    "Pool",
    "Shape",
    "ShapeError",
    "TensorLayout",
    "find_op",
    "op_between",
    "op_names",
    "register_op",
    "weighted_dots",
]


def __getattr__(name: str) -> object:
    if name == "Reads":
        warn_renamed("dagrow.ops.Reads", "FanOutLayout")
        return FanOutLayout
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
