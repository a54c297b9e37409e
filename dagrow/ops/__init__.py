"""Edge ops and the parts of a node: one file each, all that dagrow knows about it."""

import warnings

from dagrow.layout import Shape, TensorLayout
from dagrow.ops.activation import ACTIVATIONS, Activation
from dagrow.ops.base import FanOutLayout, Op, ShapeError, weighted_dots
from dagrow.ops.norm import NORMS
from dagrow.ops.norm_base import Norm
from dagrow.ops.pool import POOLS, Pool
from dagrow.ops.registry import find_op, op_between, op_names, register_op

__all__ = [
    "ACTIVATIONS",
    "NORMS",
    "POOLS",
    "Activation",
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
        text = "dagrow.ops.Reads was renamed to FanOutLayout: the old name is read until 0.2"
        warnings.warn(text, FutureWarning, stacklevel=2)
        return FanOutLayout
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
