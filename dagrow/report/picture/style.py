"""How pictures look: sizes in points, colours, and how wide a text is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import matplotlib
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from dagrow.errors import printable

TITLE, NAME, TEXT, SMALL, TINY = 15.0, 11.0, 9.0, 8.0, 6.5
LEADING = 1.35
"""Height of a line over its font size."""

INK = "#1f2933"
MUTED = "#5f6b7a"
FAINT = "#a3adb8"
PAPER = "#ffffff"
NEUTRAL = "#8a96a3"
NODE_FILL = "#f3f5f7"
INPUT_FILL = "#e6eef8"
INPUT_LINE = "#5b7fa6"

_SCALE = LinearSegmentedColormap.from_list("steps", ("#0c8599", "#3b5bdb", "#9c36b5", "#e64980", "#f76707", "#f0b400"))
"""Of steps: hues far apart, and none that only red and green tell apart."""


@dataclass(frozen=True)
class LineStyle:
    """One line of text in one style."""

    text: str
    size: float = TEXT
    colour: str = INK
    bold: bool = False

    def __post_init__(self) -> None:
        # Names come from files of others: none of their control characters gets into a picture.
        object.__setattr__(self, "text", printable(self.text))

    @property
    def weight(self) -> str:
        """As matplotlib names it."""
        return "bold" if self.bold else "normal"

    @property
    def width(self) -> float:
        """In points."""
        return _width(self.text, self.size, self.weight)

    @property
    def height(self) -> float:
        """In points, with the space to the next line."""
        return self.size * LEADING


@lru_cache(maxsize=4096)
def _width(text: str, size: float, weight: str) -> float:
    font = FontProperties(family="DejaVu Sans", weight=weight, size=size)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


def step_colours(effects: Sequence[bool]) -> tuple[str, ...]:
    """A colour for the start and for each step: from early to late over the steps with an effect, else paper."""
    last = max(sum(effects) - 1, 1)
    return (
        NEUTRAL,
        *(to_hex(_SCALE(sum(effects[:index]) / last)) if effect else PAPER for index, effect in enumerate(effects)),
    )


def ink_on(colour: str) -> str:
    """Ink or paper, whichever is easier to read on a colour."""
    red, green, blue = to_rgb(colour)
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.62 else PAPER


def tint(colour: str, share: float = 0.14) -> str:
    """A colour mixed into paper."""
    red, green, blue = (1 - share * (1 - part) for part in to_rgb(colour))
    return to_hex((red, green, blue))


@contextmanager
def as_delivered() -> Iterator[None]:
    """Matplotlib as it is delivered, whatever a person has set; text becomes outlines, so that it fits anywhere."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {"font.family": "DejaVu Sans", "svg.fonttype": "path", "svg.hashsalt": "dagrow", "path.simplify": False}
        )
        yield
