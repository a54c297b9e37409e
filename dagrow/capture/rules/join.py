"""Parts of axes: joined, cut, picked, moved."""

from __future__ import annotations

from torch import Tensor

from dagrow.capture.dims import Dim, atoms, concat, fix
from dagrow.capture.rules.context import PICKED, Context, NoRule, Rule, position, sizes, together
from dagrow.capture.values import Role, Source, Value


def cat(context: Context) -> Value:
    """Values behind one another along an axis."""
    parts = context.tensors(list(context.node.args[0]))  # type: ignore[arg-type]
    parts = [part for part in parts if len(part.dims) == len(context.shape)]
    axis = int(context.number(1, "dim", 0)) % len(context.shape)
    dims = []
    for index in range(len(context.shape)):
        found = [part.dims[index] for part in parts]
        dims.append(concat(found) if index == axis else together(context, found))
    for part in parts:
        for index in range(len(context.shape)):
            if index != axis or part.source is not None:
                context.use(part, index, Role.WRITE)
    return Value(tuple(dims))


def stack(context: Context) -> Value:
    """Values along a new axis."""
    parts = context.tensors(list(context.node.args[0]))  # type: ignore[arg-type]
    axis = int(context.number(1, "dim", 0)) % len(context.shape)
    dims = [together(context, [part.dims[index] for part in parts]) for index in range(len(parts[0].dims))]
    packed = position(len(parts))
    packed.packed = True
    return Value((*dims[:axis], packed, *dims[axis:]))


def split(context: Context) -> tuple[Value, ...]:
    """One axis is cut into pieces."""
    value = context.value(context.node.args[0])
    axis = int(context.number(2, "dim", 0)) % len(value.dims)
    pieces = [Dim(sizes(part)[axis]) for part in context.out]
    if len(pieces) > 1:
        context.unify(value.dims[axis], concat(pieces))
    else:
        pieces = [value.dims[axis]]
    return tuple(Value((*value.dims[:axis], piece, *value.dims[axis + 1 :])) for piece in pieces)


def unbind(context: Context) -> tuple[Value, ...]:
    """One axis is taken apart."""
    value = context.value(context.node.args[0])
    axis = int(context.number(1, "dim", 0)) % len(value.dims)
    _indexed(value.dims[axis])
    return tuple(_without(value, axis) for _ in context.out)


def select(context: Context) -> Value:
    """One entry of an axis."""
    value = context.value(context.node.args[0])
    axis = int(context.number(1, "dim")) % len(value.dims)
    _indexed(value.dims[axis])
    return _without(value, axis)


def slice_(context: Context) -> Value:
    """Some entries of an axis, in a row."""
    value = context.value(context.node.args[0])
    axis = int(context.number(1, "dim", 0)) % len(value.dims)
    dim, count = value.dims[axis], context.shape[axis]
    whole = dim.now.size
    if count == whole:
        return value
    start, step = context.number(2, "start", 0) or 0, context.number(4, "step", 1)
    if step != 1 or not isinstance(start, int):
        fix(dim, f"{context.where} picks entries of it")
        return Value((*value.dims[:axis], position(count), *value.dims[axis + 1 :]))
    start = start + whole if start < 0 else start
    pieces = [Dim(size) for size in (start, count, whole - start - count)]
    context.unify(dim, concat([piece for piece in pieces if piece.size]))
    source = value.source
    axes = None if source is None else tuple(None if i == axis else a for i, a in enumerate(source.axes))
    return Value(
        (*value.dims[:axis], pieces[1], *value.dims[axis + 1 :]),
        None if source is None or axes is None else Source(source.name, axes),
    )


def index(context: Context) -> Value:
    """Entries by number: the axes with numbers are fixed."""
    value = context.value(context.node.args[0])
    given = list(context.node.args[1])  # type: ignore[arg-type]
    if any(context.has(each) and len(context.value(each).dims) != 1 for each in given) or len(given) > len(value.dims):
        raise NoRule
    dims = list(value.dims)
    numbered = [axis for axis, each in enumerate(given) if each is not None]
    for axis in numbered:
        fix(dims[axis], f"{context.where} picks entries of it")
    if len(numbered) != 1:
        raise NoRule
    dims[numbered[0]] = position(context.shape[numbered[0]])
    return Value(tuple(dims))


def index_select(context: Context) -> Value:
    """Entries of one axis by number."""
    value = context.value(context.node.args[0])
    axis = int(context.number(1, "dim")) % len(value.dims)
    fix(value.dims[axis], f"{context.where} picks entries of it")
    return Value((*value.dims[:axis], position(context.shape[axis]), *value.dims[axis + 1 :]))


def pad(context: Context) -> Value:
    """Axes get more entries at their ends."""
    value = context.value(context.node.args[0])
    dims = []
    for dim, size in zip(value.dims, context.shape, strict=True):
        if dim.now.size != size:
            fix(dim, f"{context.where} pads it")
        dims.append(dim if dim.now.size == size else position(size))
    return Value(tuple(dims))


def moved(context: Context) -> Value:
    """Entries change places along some axes: ``roll``, ``flip``."""
    value = context.value(context.node.args[0])
    given = context.argument(2 if context.name == "roll" else 1, "dims", [])
    for axis in [given] if isinstance(given, int) else given:
        fix(value.dims[axis], f"{context.where} moves entries of it")
    return Value(value.dims)


def _indexed(dim: Dim) -> None:
    fix(dim, PICKED)
    for atom in atoms(dim):
        atom.packed = True


def _without(value: Value, axis: int) -> Value:
    source = value.source
    axes = None if source is None else (*source.axes[:axis], *source.axes[axis + 1 :])
    return Value(
        (*value.dims[:axis], *value.dims[axis + 1 :]),
        None if source is None or axes is None else Source(source.name, axes),
    )


def getitem(context: Context) -> Value:
    """One of several outputs."""
    source, number = context.node.args[:2]
    assert isinstance(number, int)
    found = context.values[source]  # type: ignore[index]
    if isinstance(found, Value):
        return found if isinstance(context.out, Tensor) and number == 0 else Value(found.dims)
    return found[number]


RULES: dict[str, Rule] = {
    **dict.fromkeys(("cat", "concat", "concatenate"), cat),
    "stack": stack,
    **dict.fromkeys(("split", "split_with_sizes", "chunk", "tensor_split", "split_copy"), split),
    "unbind": unbind,
    "select": select,
    "slice": slice_,
    "index": index,
    "index_select": index_select,
    **dict.fromkeys(("constant_pad_nd", "pad", "reflection_pad2d", "replication_pad2d"), pad),
    **dict.fromkeys(("roll", "flip"), moved),
    "getitem": getitem,
}
