"""Which candidate is the best (thesis Algorithm 4). A new strategy is a function and a line in `WHERE`."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import NamedTuple

from dagrow.errors import GrowthError, lookup
from dagrow.planner.amplitude import MINIMUM_GAIN
from dagrow.planner.candidate import Candidate
from dagrow.planner.kinds import KINDS
from dagrow.ties import best_first


class Turn(NamedTuple):
    """What a strategy may know besides the candidate.

    Attributes:
        rank: of the candidate's place, in the order in which places take turns.
        seed: of this proposal.
    """

    rank: int
    seed: int


Score = Callable[[Candidate, Turn], float]
"""``(candidate, turn) -> the higher, the better``."""

COSTED: dict[str, Callable[[int, int], float]] = {
    "gain_per_parameter": lambda parameters, multiply_adds: max(1, parameters),
    "gain_per_mac": lambda parameters, multiply_adds: max(1, multiply_adds),
}
"""What the gain is divided by, for strategies that weigh it."""

WHERE: dict[str, Score] = {
    "naive": lambda candidate, turn: -float(turn.rank),
    "eigenvalue": lambda candidate, turn: max(candidate.scores, default=0.0),
    "gain": lambda candidate, turn: candidate.selection_score,
    "gain_per_parameter": lambda candidate, turn: promise(
        "gain_per_parameter", candidate.selection_score, *candidate.cost
    ),
    "gain_per_mac": lambda candidate, turn: promise("gain_per_mac", candidate.selection_score, *candidate.cost),
    "smallest_gain": lambda candidate, turn: -candidate.selection_score,
    "random": lambda candidate, turn: _lot(candidate, turn.seed),
}


COMPARED = frozenset({"gain", "smallest_gain", *COSTED})
"""The strategies that compare gains: differences of losses, which are rounded in the size of the losses."""


def _lot(candidate: Candidate, seed: int) -> float:
    """A number that has nothing to do with how good a candidate is, nor with how it was rounded."""
    return zlib.crc32(f"{seed} {candidate.kind} {candidate.place}".encode())


def find_where(name: str) -> Score:
    """The strategy of that name.

    Raises:
        GrowthError: with the nearest name, if there is none.
    """
    return lookup(WHERE, name, "strategy", GrowthError)


def promise(where: str, gain: float, parameters: int, multiply_adds: int) -> float:
    """How a gain that is not yet measured in full compares under a strategy."""
    return gain / COSTED[where](parameters, multiply_adds) if where in COSTED else gain


def rounding(where: str, loss: float, parameters: int, multiply_adds: int) -> float:
    """What two scores may differ by, under a strategy, for no other reason than that losses are rounded."""
    return promise(where, MINIMUM_GAIN * abs(loss), parameters, multiply_adds) if where in COMPARED else 0.0


def ranked(
    candidates: list[Candidate], where: str, order: list[str], turn: int, loss: float = 0.0, seed: int = 0
) -> tuple[Candidate, ...]:
    """Best first; those whose gain says nothing behind those with one, rejected ones last.

    Of candidates with equal scores the simpler one is better: with fewer parameters, then the kind that stands
    first in `KINDS`, then the place that comes first; of still ones, the place whose turn it is. Scores that agree
    up to rounding are equal.

    Args:
        candidates: to be sorted.
        where: the strategy.
        order: all places in the order of the graph.
        turn: the naive strategy starts with place ``turn`` modulo their number.
        loss: that the gains are taken off.
        seed: of the lots that the random strategy draws.
    """
    score = find_where(where)
    places = [place for place in order if any(candidate.place == place for candidate in candidates)]
    start = turn % max(1, len(places))
    ranks = {place: rank for rank, place in enumerate(places[start:] + places[:start])}

    kinds = list(KINDS)

    def rule(candidate: Candidate) -> tuple[int, int, int, int, str]:
        size, kind, rank = candidate.cost.parameters, kinds.index(candidate.kind), ranks[candidate.place]
        # What changes nothing is as good at any place, so that places take turns.
        return rank if candidate.still else 0, size, kind, rank, candidate.place

    def slack(candidate: Candidate) -> float:
        return 0.0 if candidate.still else rounding(where, loss, *candidate.cost)

    groups: dict[tuple[bool, bool], list[Candidate]] = {}
    for candidate in candidates:
        still = candidate.still and where != "naive"
        groups.setdefault((bool(candidate.rejected), still), []).append(candidate)
    found: list[Candidate] = []
    for _, group in sorted(groups.items()):
        found += best_first(group, lambda c: score(c, Turn(ranks[c.place], seed)), rule, slack)
    return tuple(found)
