"""Reductions: what is summed up, or normalised over, keeps its extent."""

from __future__ import annotations

from torch import Tensor

from dagrow.capture.dims import Dim, fix
from dagrow.capture.rules.context import Context, NoRule, Rule
from dagrow.capture.values import Value


def reduction(context: Context) -> Value | tuple[Value, ...]:
    """Mean, sum, maximum and the like, over some axes or all."""
    value = context.value(context.node.args[0])
    given, keep = context.argument(1, "dim"), bool(context.argument(2, "keepdim", False))
    if context.name in ("var", "std", "var_mean", "std_mean"):
        keep = len(context.shape) == len(value.dims)
    rank = len(value.dims)
    axes = range(rank) if given is None else [given] if isinstance(given, int) else given
    if isinstance(given, bool):
        raise NoRule
    gone = {int(axis) % rank for axis in axes} if rank else set()
    for axis in gone:
        fix(value.dims[axis], f"{context.where} is over it")
    dims = [Dim(1) if axis in gone else dim for axis, dim in enumerate(value.dims) if keep or axis not in gone]
    if len(dims) != len(context.shape):
        raise NoRule
    result = Value(tuple(dims))
    return result if isinstance(context.out, Tensor) else tuple(result for _ in context.out)


def along(context: Context) -> Value | tuple[Value, ...]:
    """Softmax, cumulative sums, sorting: the result keeps the axis."""
    value = context.value(context.node.args[0])
    fix(value.dims[int(context.number(1, "dim", -1))], f"{context.where} is over it")
    result = Value(value.dims)
    return result if isinstance(context.out, Tensor) else tuple(result for _ in context.out)


def normalised(context: Context) -> Value:
    """Vectors divided by their lengths."""
    value = context.value(context.node.args[0])
    fix(value.dims[int(context.number(2, "dim", 1))], f"{context.where} is over it")
    return Value(value.dims)


RULES: dict[str, Rule] = {
    **dict.fromkeys(
        ("mean", "sum", "amax", "amin", "max", "min", "std", "var", "var_mean", "prod", "logsumexp", "any", "all",
         "argmax", "argmin", "linalg_vector_norm", "norm", "median"),
        reduction,
    ),
    **dict.fromkeys(
        ("softmax", "_softmax", "log_softmax", "_log_softmax", "cumsum", "cumprod", "sort"), along
    ),
    "normalize": normalised,
}  # fmt: skip
