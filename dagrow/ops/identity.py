"""The identity op: passes its parent on unchanged (a skip edge without weights)."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import nn

from dagrow.layout import Shape
from dagrow.ops.base import Op


class Identity(Op):
    """``y = x``. Into a sum node it ties the two sizes together; into a concat node it does not."""

    name: ClassVar[str] = "identity"
    parametrised: ClassVar[bool] = False

    op: Literal["identity"] = "identity"

    def output_shape(self, source: Shape, size: int | None) -> Shape:
        return source

    def module(self, source: Shape, target: Shape) -> nn.Module:
        return nn.Identity()

    def export_line(self, source: Shape, target: Shape) -> str:
        return ""
