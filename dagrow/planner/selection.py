"""Which candidate is the best (thesis Algorithm 4). A new strategy is a function and a line in `WHERE`."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from dagrow.errors import DagrowError, GrowthError
from dagrow.planner.amplitude import MINIMUM_GAIN
from dagrow.planner.candidate import Candidate
from dagrow.planner.kinds import KINDS
from dagrow.registry import Registry
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


@dataclass(frozen=True)
class Selection:
    """A selection criterion: which candidate is the best.

    Attributes:
        score: the higher, the better.
        by_gain: whether it takes the largest gain, over its cost: then what promises little may fall out before its
            gain is known, and a tryout can decide by the same rule.
        cost: ``(parameters, multiply_adds) -> what a gain is divided by``; None where gains are compared as they are.
        rounded: whether scores are differences of losses, which are rounded in the size of the losses.
        in_turn: whether places take turns, whatever is gained: what changes nothing is as good then.
    """

    score: Score
    by_gain: bool = False
    cost: Callable[[int, int], float] | None = None
    rounded: bool = False
    in_turn: bool = False

    def promise(self, gain: float, parameters: int, multiply_adds: int) -> float:
        """How a gain that is not yet measured in full compares."""
        return gain if self.cost is None else gain / self.cost(parameters, multiply_adds)

    def rounding(self, loss: float, parameters: int, multiply_adds: int) -> float:
        """What two scores may differ by for no other reason than that losses are rounded."""
        compared = self.by_gain or self.rounded
        return self.promise(MINIMUM_GAIN * abs(loss), parameters, multiply_adds) if compared else 0.0


def _largest_gain(cost: Callable[[int, int], float] | None = None) -> Selection:
    """The largest drop of the loss, or that per unit of cost."""

    def score(candidate: Candidate, turn: Turn) -> float:
        return candidate.selection_score if cost is None else candidate.selection_score / cost(*candidate.cost)

    return Selection(score, by_gain=True, cost=cost)


def _lot(candidate: Candidate, turn: Turn) -> float:
    """A number that has nothing to do with how good a candidate is, nor with how it was rounded."""
    return zlib.crc32(f"{turn.seed} {candidate.kind} {candidate.place}".encode())


WHERE: Registry[Selection] = Registry(
    "strategy",
    {
        "round_robin": Selection(lambda candidate, turn: -float(turn.rank), in_turn=True),
        "singular_value": Selection(lambda candidate, turn: max(candidate.scores, default=0.0)),
        "gain": _largest_gain(),
        "gain_per_parameter": _largest_gain(lambda parameters, multiply_adds: max(1, parameters)),
        "gain_per_mac": _largest_gain(lambda parameters, multiply_adds: max(1, multiply_adds)),
        "smallest_gain": Selection(lambda candidate, turn: -candidate.selection_score, rounded=True),
        "random": Selection(_lot),
    },
    error=GrowthError,
)
WHERE.rename(naive="round_robin", eigenvalue="singular_value")


def register_selection(name: str, selection: Selection | Score) -> None:
    """Makes a selection criterion known by name: for ``growth.where`` of run files, and ``where`` of `propose`.

    Args:
        name: for run files.
        selection: a function ``(candidate, turn) -> the higher, the better``, or a `Selection` that says more of it.

    Raises:
        DagrowError: if the name is taken by another one.
    """
    if not isinstance(selection, Selection) and not callable(selection):
        raise DagrowError(f"strategy '{name}' is not callable: give a function (candidate, turn) -> score")
    WHERE.add(name, selection if isinstance(selection, Selection) else Selection(selection))


def find_where(name: str) -> Selection:
    """The selection criterion of that name.

    Raises:
        GrowthError: with the nearest name, if there is none.
    """
    return WHERE.find(name)


def promise(where: str, gain: float, parameters: int, multiply_adds: int) -> float:
    """How a gain that is not yet measured in full compares under a strategy."""
    return WHERE[where].promise(gain, parameters, multiply_adds)


def rounding(where: str, loss: float, parameters: int, multiply_adds: int) -> float:
    """What two scores may differ by, under a strategy, for no other reason than that losses are rounded."""
    return WHERE[where].rounding(loss, parameters, multiply_adds)


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
    selection = find_where(where)
    places = [place for place in order if any(candidate.place == place for candidate in candidates)]
    start = turn % max(1, len(places))
    ranks = {place: rank for rank, place in enumerate(places[start:] + places[:start])}

    kinds = list(KINDS)

    def rule(candidate: Candidate) -> tuple[int, int, int, int, str]:
        size, kind, rank = candidate.cost.parameters, kinds.index(candidate.kind), ranks[candidate.place]
        # What changes nothing is as good at any place, so that places take turns.
        return rank if candidate.still else 0, size, kind, rank, candidate.place

    def slack(candidate: Candidate) -> float:
        return 0.0 if candidate.still else selection.rounding(loss, *candidate.cost)

    groups: dict[tuple[bool, bool], list[Candidate]] = {}
    for candidate in candidates:
        still = candidate.still and not selection.in_turn
        groups.setdefault((bool(candidate.rejected), still), []).append(candidate)
    found: list[Candidate] = []
    for _, group in sorted(groups.items()):
        found += best_first(group, lambda c: selection.score(c, Turn(ranks[c.place], seed)), rule, slack)
    return tuple(found)
