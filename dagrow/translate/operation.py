"""One operation of a captured graph: its arguments by name, its place in the person's code, and how it is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, fx

from dagrow.capture import concrete, op_name, owner_path
from dagrow.errors import CaptureError

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in [^\n]*\n\s*(?P<code>[^\n]*)')
_TORCH = str(Path(torch.__file__).parent)


class Operation:
    """An operation.

    Args:
        node: of the captured graph, a call of an ATen operator.

    Attributes:
        name: of the operator, as ``conv2d``.
        arguments: by name, defaults too; numbers that come of a shape are those of the example.
    """

    def __init__(self, node: fx.Node) -> None:
        self.node, self.name = node, op_name(node)
        self.arguments: dict[str, Any] = {}
        if isinstance(node.target, torch._ops.OpOverload):
            for index, entry in enumerate(node.target._schema.arguments):
                given = node.args[index] if index < len(node.args) else node.kwargs.get(entry.name, entry.default_value)
                self.arguments[entry.name] = _plain(given)

    @property
    def first(self) -> fx.Node:
        """The value that it is applied to."""
        found = self.node.args[0] if self.node.args else None
        if not isinstance(found, fx.Node):
            self.refuse("is not applied to a value")
        return found

    @property
    def owner(self) -> str:
        """Path of the innermost module that calls it."""
        return owner_path(self.node)

    @property
    def hint(self) -> str:
        """What a node that it makes may be called."""
        return self.owner or self.name

    def refuse(self, reason: str) -> NoReturn:
        """Says that it does not fit the graph language.

        Raises:
            CaptureError: naming the operation and the line.
        """
        raise CaptureError(f"{self} {reason}, so the module does not fit the graph language")

    def __str__(self) -> str:
        owner = f" in {self.owner}" if self.owner else ""
        return f"{self.name}{owner}{line_of(self.node)}"


def line_of(node: fx.Node) -> str:
    """`` at FILE:LINE `CODE```, the innermost line that is not torch's; empty if there is none."""
    frames = _FRAME.finditer(node.meta.get("stack_trace") or "")
    own = [frame for frame in frames if not frame["file"].startswith(_TORCH)]
    return f" at {Path(own[-1]['file']).name}:{own[-1]['line']} `{own[-1]['code'].strip()}`" if own else ""


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """Extents of a value in the example, the batch first; none of what is no tensor."""
    value = node.meta.get("val")
    return tuple(concrete(size) for size in value.shape) if isinstance(value, Tensor) else ()


def _plain(given: Any) -> Any:
    if isinstance(given, (list, tuple)):
        return [_plain(each) for each in given]
    if isinstance(given, fx.Node) and isinstance(given.meta.get("val"), Tensor):
        return given
    return concrete(given)
