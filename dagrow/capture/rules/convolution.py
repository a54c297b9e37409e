"""Convolutions, plain, grouped, depthwise and transposed."""

from __future__ import annotations

from dagrow.capture.dims import Dim, fix, product
from dagrow.capture.rules.context import KERNEL, Context, NoRule, Rule
from dagrow.capture.values import Role, Value


def convolution(context: Context) -> Value:
    """``conv1d``, ``conv2d``, ``conv3d``: x ``[n, C, ...]``, weight ``[out, C / groups, ...]``."""
    x, weight = context.value(context.node.args[0]), context.value(context.node.args[1])
    groups = int(context.number(6, "groups", 1))
    spatial = len(weight.dims) - 2
    if len(x.dims) != spatial + 2:
        raise NoRule
    for dim in weight.dims[2:]:
        fix(dim, KERNEL)
    if groups == 1:
        context.read(weight, 1, x.dims[1])
        context.use(weight, 0, Role.WRITE)
    else:
        _grouped(context, x, weight, groups)
    if context.has(bias := context.argument(2, "bias")):
        value = context.value(bias)
        context.unify(value.dims[0], weight.dims[0])
        context.use(value, 0, Role.SHIFT)
    return Value((x.dims[0], weight.dims[0], *context.positions(spatial)))


def _grouped(context: Context, x: Value, weight: Value, groups: int) -> None:
    """Channels are groups times channels of a group; a depthwise convolution has groups of one."""
    inner, outer = x.dims[1].now.size // groups, weight.dims[0].now.size // groups
    context.use(weight, 0, Role.CHANNEL)
    if inner == outer == 1:
        context.unify(x.dims[1], weight.dims[0])
        return
    group = Dim(groups)
    context.found.labels.append((group, "groups"))
    context.unify(x.dims[1], product([group, weight.dims[1]]))
    context.unify(weight.dims[0], product([group, Dim(outer)]))
    if inner > 1:
        context.use(weight, 1, Role.READ)


def transposed(context: Context) -> Value:
    """``conv_transpose``: weight ``[C, out, ...]``."""
    x, weight = context.value(context.node.args[0]), context.value(context.node.args[1])
    groups, spatial = int(context.number(6, "groups", 1)), len(weight.dims) - 2
    if groups != 1 or len(x.dims) != spatial + 2:
        raise NoRule
    for dim in weight.dims[2:]:
        fix(dim, KERNEL)
    context.read(weight, 0, x.dims[1])
    context.use(weight, 1, Role.WRITE)
    if context.has(bias := context.argument(2, "bias")):
        value = context.value(bias)
        context.unify(value.dims[0], weight.dims[1])
        context.use(value, 0, Role.SHIFT)
    return Value((x.dims[0], weight.dims[1], *context.positions(spatial)))


RULES: dict[str, Rule] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), transposed),
}
