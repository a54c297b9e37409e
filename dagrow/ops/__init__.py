"""Edge ops and the parts of a node: one file each, all that dagrow knows about it."""

from dagrow.layout import Shape, TensorLayout
from dagrow.ops.activation import ACTIVATIONS, Activation
from dagrow.ops.base import Op, Reads, ShapeError, weighted_dots
from dagrow.ops.norm import NORMS
from dagrow.ops.norm_base import Norm
from dagrow.ops.pool import POOLS, Pool
from dagrow.ops.registry import find_op, op_between, op_names, register_op

__all__ = [
    "ACTIVATIONS",
    "NORMS",
    "POOLS",
    "Activation",
    "Norm",
    "Op",
    "Pool",
    "Reads",
    "Shape",
    "ShapeError",
    "TensorLayout",
    "find_op",
    "op_between",
    "op_names",
    "register_op",
    "weighted_dots",
]
