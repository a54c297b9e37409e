"""Which places a growth step is about."""

from __future__ import annotations

from typing import NamedTuple

from dagrow.registry import Registry


class Scope(NamedTuple):
    """Which places a growth step is about.

    Attributes:
        in_turn: one of them, the next one each time, instead of the best of all.
        at_once: all that there are follow each other without training in between.
    """

    in_turn: bool = False
    at_once: bool = False


SCOPES: Registry[Scope] = Registry(
    "scope", {"best": Scope(), "round_robin": Scope(in_turn=True), "every_node": Scope(in_turn=True, at_once=True)}
)
SCOPES.rename(in_turn="round_robin", all="every_node")
