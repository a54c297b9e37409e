"""What a layer tells about itself without any numbers: made on the meta device, which holds shapes alone."""

from __future__ import annotations

import inspect
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from dagrow.errors import ExportError
from dagrow.layout import Shape

if TYPE_CHECKING:
    from dagrow.ops.base import Op

_UNSTORED = ("device", "dtype")
"""Arguments of torch's layers that say where, not what."""


@lru_cache(maxsize=2048)
def meta_layer(op: Op, source: Shape, target: Shape) -> nn.Module:
    """The layer of an op between two shapes, to be looked at only."""
    with torch.device("meta"):
        return op.module(source, target)


def single(value: Any) -> Any:
    """The short form of equal numbers for all axes, for files and code."""
    return value[0] if isinstance(value, tuple) and value and len(set(value)) == 1 else value


def expression(layer: nn.Module, name: str) -> str:
    """The Python expression that makes a layer of ``torch.nn`` again: its arguments that differ from their defaults.

    Args:
        layer: keeps its arguments as attributes, as torch's layers do.
        name: of the op, for the message.

    Raises:
        ExportError: if it is no layer of torch, or does not keep its arguments.
    """
    kind = type(layer)
    if getattr(nn, kind.__name__, None) is not kind:
        raise ExportError(f"op '{name}' makes a {kind.__name__}, which torch.nn has not: give the op an 'export_line'")
    words = []
    for argument in inspect.signature(kind).parameters.values():
        if argument.name in _UNSTORED:
            continue
        if not hasattr(layer, argument.name):
            raise ExportError(f"nn.{kind.__name__} does not keep '{argument.name}': give op '{name}' an 'export_line'")
        value = single(getattr(layer, argument.name))
        if argument.name == "bias":
            value = value is not None
        if argument.default is inspect.Parameter.empty:
            words.append(repr(value))
        elif value != argument.default:
            words.append(f"{argument.name}={value!r}")
    return f"nn.{kind.__name__}({', '.join(words)})"
