"""The table of edge ops. A new op is a file here and a line below, or `register_op` from outside."""

from __future__ import annotations

from dagrow.errors import DagrowError, listed
from dagrow.layout import Shape, TensorLayout
from dagrow.ops.base import Op
from dagrow.ops.conv1d import Conv1d
from dagrow.ops.conv2d import Conv2d
from dagrow.ops.conv3d import Conv3d
from dagrow.ops.conv_transpose2d import ConvTranspose2d
from dagrow.ops.embedding import Embedding
from dagrow.ops.identity import Identity
from dagrow.ops.linear import Linear
from dagrow.ops.position import Position
from dagrow.registry import Registry
from dagrow.renaming import warn_renamed

_OPS: Registry[type[Op]] = Registry(
    "op",
    {op.name: op for op in (Linear, Conv1d, Conv2d, Conv3d, ConvTranspose2d, Embedding, Position, Identity)},
)

_RENAMED = {
    "between": "infer",
    "reads": "fan_out_layout",
    "rows": "weight_to_rows",
    "run": "functional",
    "stored": "to_layer_layout",
    "unstored": "from_layer_layout",
    "weight": "rows_to_weight",
    "written": "out_features",
}
"""Methods of ops in earlier versions, which are taken until 0.2."""


def register_op(op: type[Op]) -> type[Op]:
    """Adds an edge op under its ``name``, for specs read from then on. Usable as a decorator.

    Raises:
        DagrowError: if the name is taken by another class, or ``op`` is not a complete op.
    """
    name = getattr(op, "name", None)
    if not isinstance(name, str) or not (isinstance(op, type) and issubclass(op, Op)):
        raise DagrowError("register_op takes a subclass of dagrow.ops.Op with a 'name'")
    missing = sorted(getattr(op, "__abstractmethods__", ()))
    if missing:
        raise DagrowError(f"op '{name}' lacks {listed(missing)}")
    _rename_methods(op)
    return _OPS.add(name, op)


def _rename_methods(op: type[Op]) -> None:
    """Gives the methods of a class that was written for an earlier version the names of today."""
    own = op.__mro__[: op.__mro__.index(Op)]
    for old, new in _RENAMED.items():
        owner = next((part for part in own if old in vars(part)), None)
        if owner is not None and not any(new in vars(part) for part in own[: own.index(owner) + 1]):
            warn_renamed(f"op '{op.name}': {old}", new, level=4)
            setattr(op, new, vars(owner)[old])


def op_names() -> tuple[str, ...]:
    """The registered names, in order of registration."""
    return tuple(_OPS)


def find_op(name: str) -> type[Op]:
    """The op class of that name.

    Raises:
        DagrowError: with the nearest name, if there is none.
    """
    return _OPS.find(name)


def op_between(source: Shape, target: Shape, kernel: int) -> Op | None:
    """The first op, in the order of registration, that leads from one shape to the other; see `Op.infer`."""
    read, written = TensorLayout.of(source), TensorLayout.of(target)
    orders = {read.order, written.order} - {None}
    kinds = (kind for kind in _OPS.values() if kind.channel_order is None or orders <= {kind.channel_order})
    if read.indexed:
        kinds = (kind for kind in kinds if kind.reads_tokens)
    return next((op for kind in kinds if (op := kind.infer(source, target, kernel)) is not None), None)
