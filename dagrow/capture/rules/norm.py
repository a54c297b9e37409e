"""Norms: of each channel over samples and positions, of groups of channels, and over all channels."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dagrow.capture.dims import Dim, atoms, fix, product
from dagrow.capture.rules.context import Context, Rule, fresh
from dagrow.capture.values import Role, Value

_BATCH_NORM = (Role.SCALE, Role.SHIFT, Role.MEAN, Role.VARIANCE)


def batch_norm(context: Context) -> Value | tuple[Value, ...]:
    """Each channel by itself, with its running mean and variance; the functional form returns these as well."""
    x = context.value(context.node.args[0])
    _per_channel(context, x.dims[1], context.node.args[1:5], _BATCH_NORM)
    if isinstance(context.out, torch.Tensor):
        return Value(x.dims)
    return (Value(x.dims), *[Value((x.dims[1],)) if len(part) else fresh(part) for part in context.out[1:]])


def instance_norm(context: Context) -> Value:
    """Each channel of each sample by itself."""
    x = context.value(context.node.args[0])
    _per_channel(context, x.dims[1], context.node.args[1:5], _BATCH_NORM)
    return Value(x.dims)


def layer_norm(context: Context) -> Value:
    """Over the last axes, which are the channels where there is one."""
    return _over_channels(context, "layer_norm", context.argument(4, "eps", 1e-5))


def rms_norm(context: Context) -> Value:
    """Likewise, without the mean."""
    return _over_channels(context, "rms_norm", context.argument(3, "eps"))


def group_norm(context: Context) -> Value:
    """Over the channels of each group; with one channel in a group, as `instance_norm`."""
    x, groups = context.value(context.node.args[0]), int(context.number(1, "num_groups"))
    _per_channel(context, x.dims[1], context.node.args[2:4], (Role.SCALE, Role.SHIFT))
    inside = x.dims[1].now.size // groups
    if inside == 1:
        return Value(x.dims)
    if groups == 1:
        fix(x.dims[1], f"{context.where} normalises over it together with positions")
        return Value(x.dims)
    group, each = Dim(groups), Dim(inside)
    context.found.labels.append((group, "groups"))
    context.unify(x.dims[1], product([group, each]))
    fix(each, f"{context.where} normalises over the channels of a group")
    return Value(x.dims)


def _per_channel(context: Context, channels: Dim, arguments: Sequence[object], roles: Sequence[Role]) -> None:
    for argument, role in zip(arguments, roles, strict=False):
        if context.has(argument):
            value = context.value(argument)
            context.unify(channels, value.dims[0])
            context.use(value, 0, role)


def _over_channels(context: Context, kind: str, eps: float | None) -> Value:
    x, count = context.value(context.node.args[0]), len(context.node.args[1])  # type: ignore[arg-type]
    weights = [context.value(a) if context.has(a) else None for a in (context.argument(2, "weight"),)]
    if kind == "layer_norm":
        weights.append(context.value(context.argument(3, "bias")) if context.has(context.argument(3, "bias")) else None)
    if count != 1:
        for dim in x.dims[-count:]:
            fix(dim, f"{context.where} normalises over it together with positions")
        after = x.dims[-count:]
    elif x.dims[-1].now.size == 1 or len(atoms(x.dims[-1])) > 1:
        fix(x.dims[-1], f"{context.where} normalises over it together with other channels")
        after = x.dims[-1:]
    else:
        after = (context.normalisation(kind, x.dims[-1], weights[0], eps),)
    for value, role in zip(weights, (Role.SCALE, Role.SHIFT), strict=False):
        if value is not None:
            for axis, dim in enumerate(after):
                context.unify(dim, value.dims[axis])
                context.use(value, axis, role)
    return Value((*x.dims[:-count], *after))


RULES: dict[str, Rule] = {
    **dict.fromkeys(
        (
            "batch_norm",
            "_native_batch_norm_legit",
            "_native_batch_norm_legit_functional",
            "_native_batch_norm_legit_no_training",
            "native_batch_norm",
            "_batch_norm_with_update_functional",
            "_batch_norm_no_update",
        ),
        batch_norm,
    ),
    "instance_norm": instance_norm,
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "group_norm": group_norm,
}
