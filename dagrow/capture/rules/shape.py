"""Views: the entries stay, the axes change."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dagrow.capture.dims import Dim, fix, product
from dagrow.capture.rules.context import Context, NoRule, Rule, position
from dagrow.capture.values import Source, Value


def reshape(context: Context) -> Value:
    """Neighbouring axes are joined or cut."""
    value, shape = context.value(context.node.args[0]), context.shape
    dims, axes = _reshaped(context, value, shape)
    source = value.source
    return Value(dims, Source(source.name, axes) if source is not None else None)


def permute(context: Context) -> Value:
    """Axes in another order."""
    value = context.value(context.node.args[0])
    order = context.argument(1, "dims")
    return _picked(value, [int(axis) % len(value.dims) for axis in order])


def transpose(context: Context) -> Value:
    """Two axes change places."""
    value = context.value(context.node.args[0])
    rank = len(value.dims)
    order = list(range(rank))
    one, other = (int(context.number(i, f"dim{i - 1}")) % rank for i in (1, 2))
    order[one], order[other] = order[other], order[one]
    return _picked(value, order)


def turned(context: Context) -> Value:
    """The last two axes change places; all, for ``numpy_T``."""
    value = context.value(context.node.args[0])
    order = list(range(len(value.dims)))
    if context.name == "numpy_T":
        return _picked(value, order[::-1])
    return _picked(value, order[:-2] + order[-2:][::-1])


def unsqueeze(context: Context) -> Value:
    """A new axis of extent 1."""
    value = context.value(context.node.args[0])
    at = int(context.number(1, "dim")) % (len(value.dims) + 1)
    source = value.source
    axes = None if source is None else (*source.axes[:at], None, *source.axes[at:])
    return Value(
        (*value.dims[:at], Dim(1), *value.dims[at:]),
        None if source is None or axes is None else Source(source.name, axes),
    )


def squeeze(context: Context) -> Value:
    """Axes of extent 1 go."""
    value = context.value(context.node.args[0])
    given = context.argument(1, "dim")
    rank = len(value.dims)
    every = range(rank) if given is None else [given] if isinstance(given, int) else given
    gone = {int(axis) % rank for axis in every if value.dims[int(axis) % rank].now.size == 1}
    return _picked(value, [axis for axis in range(rank) if axis not in gone])


def expand(context: Context) -> Value:
    """Axes of extent 1 are repeated."""
    value, shape = context.value(context.node.args[0]), context.shape
    more = len(shape) - len(value.dims)
    dims: list[Dim] = [position(size) for size in shape[:more]]
    axes: list[int | None] = [None] * more
    for axis, dim in enumerate(value.dims):
        same = dim.now.size == shape[more + axis]
        dims.append(dim if same else _repeated(shape[more + axis]))
        axes.append(value.source.axes[axis] if same and value.source is not None else None)
    return Value(tuple(dims), None if value.source is None else Source(value.source.name, tuple(axes)))


def _repeated(size: int) -> Dim:
    """What is repeated is given a size by the code; it becomes that of whatever it is combined with."""
    return Dim(size)


def pixel_shuffle(context: Context) -> Value:
    """``[n, C r r, h, w]`` to ``[n, C, h r, w r]``."""
    value = context.value(context.node.args[0])
    if len(value.dims) != 4:
        raise NoRule
    channels, factor = Dim(context.shape[1]), int(context.number(1, "upscale_factor"))
    context.unify(value.dims[1], product([channels, position(factor), position(factor)]))
    return Value((value.dims[0], channels, *context.positions(2)))


def _picked(value: Value, order: Sequence[int]) -> Value:
    source = value.source
    axes = None if source is None else tuple(source.axes[axis] for axis in order)
    return Value(
        tuple(value.dims[axis] for axis in order),
        None if source is None or axes is None else Source(source.name, axes),
    )


def _reshaped(context: Context, value: Value, shape: Sequence[int]) -> tuple[tuple[Dim, ...], tuple[int | None, ...]]:
    """The dimensions of another shape, and per axis the axis of the source that it is or is a part of."""
    before = [
        (dim.now, None if value.source is None else value.source.axes[axis])
        for axis, dim in enumerate(value.dims)
        if dim.now.size != 1
    ]
    dims: list[Dim] = [Dim(size) for size in shape]
    axes: list[int | None] = [None] * len(shape)
    after = [axis for axis, size in enumerate(shape) if size != 1]
    while before and after:
        old, new = [before.pop(0)], [after.pop(0)]
        while (sizes := (math.prod(d.size for d, _ in old), math.prod(shape[a] for a in new)))[0] != sizes[1]:
            if sizes[0] < sizes[1]:
                old.append(before.pop(0))
            else:
                new.append(after.pop(0))
        own = old[0][1] if len(old) == 1 else None
        if len(new) == 1:
            dims[new[0]] = product([dim for dim, _ in old])
        else:
            context.unify(product([dim for dim, _ in old]), product([dims[axis] for axis in new]))
        for axis in new:
            axes[axis] = own
    for dim, _ in before:
        fix(dim, f"{context.where} views it in another way")
    return tuple(dims), tuple(axes)


RULES: dict[str, Rule] = {
    **dict.fromkeys(
        ("view", "reshape", "_unsafe_view", "flatten", "unflatten", "view_copy", "_reshape_alias", "reshape_copy"),
        reshape,
    ),
    **dict.fromkeys(("permute", "permute_copy"), permute),
    **dict.fromkeys(("transpose", "swapaxes", "swapdims"), transpose),
    **dict.fromkeys(("t", "mT", "numpy_T", "adjoint"), turned),
    "unsqueeze": unsqueeze,
    "squeeze": squeeze,
    **dict.fromkeys(("expand", "expand_as", "broadcast_to"), expand),
    "pixel_shuffle": pixel_shuffle,
}
