"""Which candidate is the best (thesis Algorithm 4). A new strategy is a function and a line in `WHERE`."""

from __future__ import annotations

from collections.abc import Callable

from dagrow.errors import GrowthError, lookup
from dagrow.planner.candidate import Candidate

Score = Callable[[Candidate, int], float]
"""``(candidate, rank of its place in the order of the turn) -> the higher, the better``."""

COSTED: dict[str, Callable[[int, int], float]] = {
    "gain_per_parameter": lambda parameters, multiply_adds: max(1, parameters),
    "gain_per_mac": lambda parameters, multiply_adds: max(1, multiply_adds),
}
"""What the gain is divided by, for strategies that weigh it."""

WHERE: dict[str, Score] = {
    "naive": lambda candidate, rank: -float(rank),
    "eigenvalue": lambda candidate, rank: max(candidate.scores, default=0.0),
    "gain": lambda candidate, rank: candidate.decisive_gain,
    "gain_per_parameter": lambda candidate, rank: (
        candidate.decisive_gain / COSTED["gain_per_parameter"](*candidate.cost)
    ),
    "gain_per_mac": lambda candidate, rank: candidate.decisive_gain / COSTED["gain_per_mac"](*candidate.cost),
}


def find_where(name: str) -> Score:
    """The strategy of that name.

    Raises:
        GrowthError: with the nearest name, if there is none.
    """
    return lookup(WHERE, name, "strategy", GrowthError)


def promise(where: str, gain: float, parameters: int, multiply_adds: int) -> float:
    """How a gain that is not yet measured in full compares under a strategy."""
    return gain / COSTED[where](parameters, multiply_adds) if where in COSTED else gain


def ranked(candidates: list[Candidate], where: str, order: list[str], turn: int) -> tuple[Candidate, ...]:
    """Best first; rejected ones last. Ties by place, so that nothing depends on how they were made.

    Args:
        candidates: to be sorted.
        where: the strategy.
        order: all places in the order of the graph.
        turn: the naive strategy starts with place ``turn`` modulo their number.
    """
    score = find_where(where)
    places = [place for place in order if any(candidate.place == place for candidate in candidates)]
    start = turn % max(1, len(places))
    ranks = {place: rank for rank, place in enumerate(places[start:] + places[:start])}

    def key(candidate: Candidate) -> tuple[bool, float, int, str, str]:
        rank = ranks[candidate.place]
        return bool(candidate.rejected), -score(candidate, rank), rank, candidate.place, candidate.kind

    return tuple(sorted(candidates, key=key))
