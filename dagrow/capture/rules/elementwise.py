"""Operations that work on each entry by itself."""

from __future__ import annotations

from dataclasses import replace

import torch

from dagrow.capture.rules.context import Context, Rule, broadcast, spread
from dagrow.capture.values import Role, Value

_FACTORS = frozenset({"mul", "div"})
_SUMS = frozenset({"add", "sub", "rsub"})
_COPIES = frozenset(
    [
        "alias",
        "clone",
        "contiguous",
        "detach",
        "_to_copy",
        "to",
        "type_as",
        "lift_fresh_copy",
        "dropout",
        "feature_dropout",
        "alpha_dropout",
        "native_dropout",
        "float",
        "positive",
        "conj",
        "copy",
    ]
)
_MADE_LIKE = frozenset(
    ["zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "bernoulli", "bernoulli_"]
)


_UNMARKED = frozenset(
    [
        "__and__",
        "__or__",
        "__xor__",
        "hardswish",
        "hardsigmoid",
        "hardtanh",
        "relu6",
        "softplus",
        "mish",
        "hardshrink",
        "softshrink",
        "log_sigmoid",
        "selu",
        "celu",
    ]
)
"""Pointwise, though torch does not say so."""


def is_elementwise(context: Context) -> bool:
    """Whether an operation works entry by entry, as torch marks it or as is known."""
    return context.name in _UNMARKED or torch.Tag.pointwise in getattr(context.node.target, "tags", ())


def elementwise(context: Context) -> Value:
    """Dimensions are aligned at the last axes; parameters are factors or summands of channels."""
    values = context.tensors(context.node.args)
    if not values:
        values = context.tensors(list(context.node.kwargs.values()))
    result = broadcast(context, values)
    if len(values) == 1:
        return replace(result, source=spread(values[0].source, len(result.dims)))
    role = Role.SCALE if context.name in _FACTORS else Role.SHIFT if context.name in _SUMS else Role.WRITE
    for value in values:
        for axis in range(len(value.dims)):
            if value.dims[axis].now.size != 1:
                context.use(value, axis, role)
    return result


def copied(context: Context) -> Value | tuple[Value, ...]:
    """The same dimensions; of a copy with a mask, both."""
    value = context.value(context.node.args[0])
    if isinstance(context.out, tuple):
        return (value, *[Value(value.dims)] * (len(context.out) - 1))
    return value


def made_like(context: Context) -> Value:
    """The same dimensions, other values."""
    return Value(context.value(context.node.args[0]).dims)


def prelu(context: Context) -> Value:
    """A slope per channel, or one for all."""
    value, slope = context.tensors(context.node.args)
    if slope.dims[0].now.size > 1:
        context.unify(value.dims[1], slope.dims[0])
        context.use(slope, 0, Role.SCALE)
    return Value(value.dims)


RULES: dict[str, Rule] = {
    **dict.fromkeys(_COPIES, copied),
    **dict.fromkeys(_MADE_LIKE, made_like),
    "prelu": prelu,
    "_prelu_kernel": prelu,
}
