"""What one output of a network was trained to say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """The meaning of an output.

    Attributes:
        columns: that were learned: one of labels, or one per feature of numbers; empty where they had no names.
        classes: names of the labels 0, 1, ...; empty where they are numbers, or there are none.
    """

    columns: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
