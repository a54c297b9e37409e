"""What stands in the box of a node and beside an edge."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from textwrap import wrap

from dagrow.ops import Shape
from dagrow.report.labels import operations
from dagrow.report.picture.style import MUTED, NAME, SMALL, LineStyle
from dagrow.report.provenance import EdgeLife, NodeLife, Part

BAR = 11.0
_MARGIN, _GAP = (12.0, 8.0), 5.0
_LETTERS, _NARROWEST, _PART, _LONGEST_BAR, _END = 28, 74.0, 20.0, 240.0, 11.0
_NAME_PIECE = re.compile(rf".{{1,{_LETTERS}}}(?:_|$)|.{{1,{_LETTERS}}}")


@dataclass(frozen=True)
class Box:
    """The contents of a box, and how large it is by that.

    Attributes:
        lines: of text, from the top.
        parts: of the bar that shows which step brought how many features; none for a node that kept its size.
        ends: how many edges end side by side at its upper or lower border.
    """

    lines: tuple[LineStyle, ...]
    parts: tuple[Part, ...] = ()
    ends: int = 0

    @property
    def text_height(self) -> float:
        """Height of the text alone."""
        return sum(line.height for line in self.lines)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height."""
        bar = min(_PART * len(self.parts), _LONGEST_BAR)
        width = max(_NARROWEST, bar, self.ends * _END, *(line.width for line in self.lines)) + 2 * _MARGIN[0]
        return _even(width), _even(self.text_height + 2 * _MARGIN[1] + (BAR + _GAP if self.parts else 0.0))

    @property
    def bar(self) -> tuple[float, float, float]:
        """Left and top of the bar inside the box, and its width."""
        return _MARGIN[0], _MARGIN[1] + self.text_height + _GAP, self.size[0] - 2 * _MARGIN[0]

    @property
    def text_top(self) -> float:
        """Where the text begins."""
        return _MARGIN[1]


def box(life: NodeLife, number: int | None, ends: int, note: str = "") -> Box:
    """The box of a node.

    Args:
        life: of the node.
        number: of the step that removed it; None if it is there.
        ends: how many edges end at one border.
        note: last lines.
    """
    lines = [LineStyle(piece, NAME, bold=True) for piece in _NAME_PIECE.findall(life.name)]
    lines += [LineStyle(text) for text in _facts(life)]
    lines += [LineStyle(piece, SMALL, MUTED) for text in _details(life) for piece in wrap(text, _LETTERS)]
    if number is not None:
        lines.append(LineStyle(f"removed in step {number}", SMALL, MUTED))
    lines += [LineStyle(text, SMALL, bold=True) for text in note.splitlines()]
    return Box(tuple(lines), life.parts if len(life.parts) > 1 else (), ends)


def edge_label(life: EdgeLife, number: int | None) -> LineStyle:
    """The op of an edge; ``number`` is that of the step that removed it."""
    gone = "" if number is None else f", until step {number}"
    return LineStyle(life.op.label + gone, SMALL, MUTED)


def _facts(life: NodeLife) -> Iterator[str]:
    dag, name = life.dag, life.name
    if name in dag.spec.inputs:
        yield f"input {_shape(dag.output(name))}"
        return
    if name in dag.spec.outputs:
        yield "output"
    size, first = dag.size(name), life.parts[0].features
    grown = f"{first} → {size}" if size != first else f"{size}"
    yield f"{grown} {'channel' if dag.merged(name).order == 'channels_first' else 'feature'}{'' if size == 1 else 's'}"


def _details(life: NodeLife) -> Iterator[str]:
    dag, name = life.dag, life.name
    if name in dag.spec.inputs:
        return
    node = dag.node(name)
    several = len(dag.incoming[name]) > 1
    words = [node.joined] if several else []
    if words or operations(node):
        yield ", ".join([*words, *operations(node)])
    if dag.output(name) != (dag.size(name),):
        yield f"→ {_shape(dag.output(name))}"


def _even(extent: float) -> float:
    """Rounded up, so that centres lie on whole points and edges between them are straight."""
    return 2.0 * ceil(extent / 2)


def _shape(shape: Shape) -> str:
    return " × ".join(map(str, shape))
