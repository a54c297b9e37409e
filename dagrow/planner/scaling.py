"""How the size of a change is set, what is then written, and what it must have gained: one class per way.

`dagrow.methods.modes` says the same of neurons as a method made them; these are the changes made of them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from dagrow.build import Network
from dagrow.graph import GrowableNode
from dagrow.mutation import Change
from dagrow.planner.norm_statistics_of_copies import Pair, with_norms

TRUSTED = (0.5, 2.0)
"""Root mean square of new pre-activations that training can live with: where activations bend, and not far out."""


@dataclass(frozen=True)
class Gains:
    """What the loss falls by.

    Attributes:
        everywhere: over all samples.
        held_out: over the held-out ones; None without such.
        needed: what the latter must exceed where parameters are added.
        error: standard error of the latter; 0 where it is not known.
    """

    everywhere: float
    held_out: float | None = None
    needed: float = 0.0
    error: float = 0.0


class Scaling(ABC):
    """How a change is scaled. Each subclass is final."""

    searched: ClassVar[bool] = False
    """Whether an amplitude is searched."""
    function_preserving: ClassVar[bool] = False
    """Whether the function stays, so that the gain says nothing about the change."""
    fan_in_fixed: ClassVar[bool] = False
    """Whether new features keep their fan-in, so that the amplitude, one with that of the updates, acts on fan-out."""
    may_be_silenced: ClassVar[bool] = True
    """Whether fan-out and updates may be left at 0 for training to find: not where another side is empty already."""

    @property
    def scale(self) -> float:
        """The amplitude at which the method itself would insert; a search starts around it."""
        return 1.0

    @property
    def given(self) -> float | None:
        """The only amplitude to be tried; None where it is searched."""
        return None

    @property
    def fixed_amplitudes(self) -> tuple[float | None, float | None]:
        """Amplitudes at which features and updates stay while that of the other ones is searched; None: they move."""
        return None, None

    def factors(self, amplitude: float, normed: bool) -> tuple[float, float]:
        """What fan-in and fan-out are multiplied by.

        Args:
            amplitude: of the change.
            normed: whether a norm sets the scale of the new features.
        """
        return 1.0, amplitude

    def trusted(self, fan_in: float) -> float:
        """The factor of the fan-in at which training can live with the pre-activations: the same if not known."""
        return fan_in

    def written(self, change: Change) -> Change:
        """What is inserted in place of the change that was tried, where that is the same function."""
        return change

    def with_statistics(
        self, change: Change, statistics: dict[str, Pair], network: Network, site: GrowableNode
    ) -> tuple[Scaling, Change]:
        """The same, knowing mean and variance of the new features before each norm.

        Args:
            change: with new features.
            statistics: by node.
            network: that grows.
            site: where.
        """
        assert change.features is not None
        return self, replace(change, features=replace(change.features, statistics=statistics))

    @abstractmethod
    def objection(self, gains: Gains, parameters: int) -> str:
        """Why a change that gains this is not to be inserted; empty if it may be.

        Args:
            gains: of it.
            parameters: that it adds.
        """


def _objection(gains: Gains, parameters: int, without: str) -> str:
    """That of what must gain; ``without`` says that it does not, over all samples."""
    held = gains.held_out
    if held is not None and not math.isfinite(held):
        return "the loss of held-out samples would be no number"
    if not gains.everywhere > 0:
        return without
    return "its held-out gain may be chance" if held is not None and parameters > 0 and not held > gains.needed else ""


def _objection_of_search(gains: Gains, parameters: int) -> str:
    """A search has found a gain, on a part of the samples."""
    part = "on a part of the samples" if gains.held_out is None else "on held-out samples"
    return _objection(gains, parameters, f"gains only {part}")


def _objection_to_loss(gains: Gains, limit: float) -> str:
    """That of what need not gain."""
    worst = gains.everywhere if gains.held_out is None else min(gains.everywhere, gains.held_out)
    kept = math.isfinite(gains.everywhere + worst) and worst >= -limit
    return "" if kept else f"the loss would rise by {-worst:.3g}"


@dataclass(frozen=True)
class BothSides(Scaling):
    """Both sides grow with the root of the amplitude, the fan-out alone behind a norm; updates with the amplitude.

    Attributes:
        scale: see `Scaling.scale`.
        spread: root mean square of the new pre-activations at unit size; None where it is not known.
        fixed_amplitudes: see `Scaling.fixed_amplitudes`.
        given: see `Scaling.given`.
    """

    searched: ClassVar[bool] = True
    scale: float = 1.0
    spread: float | None = None
    given: float | None = None
    fixed_amplitudes: tuple[float | None, float | None] = (None, None)

    def factors(self, amplitude: float, normed: bool) -> tuple[float, float]:
        return (1.0, amplitude) if normed else (amplitude**0.5, amplitude**0.5)

    def trusted(self, fan_in: float) -> float:
        if not self.spread:
            return fan_in
        low, high = TRUSTED
        return min(max(fan_in * self.spread, low), high) / self.spread

    def objection(self, gains: Gains, parameters: int) -> str:
        return _objection_of_search(gains, parameters)


BOTH_SIDES = BothSides()
"""That of a change which its method has not scaled."""


@dataclass(frozen=True)
class FanOut(Scaling):
    """Fan-out and updates grow with the amplitude; the fan-in stays."""

    searched: ClassVar[bool] = True
    fan_in_fixed: ClassVar[bool] = True

    def objection(self, gains: Gains, parameters: int) -> str:
        return _objection_of_search(gains, parameters)


@dataclass(frozen=True)
class Moved(Scaling):
    """Existing weights move by the amplitude; nothing is new, so nothing can be left at 0 for training to find."""

    searched: ClassVar[bool] = True
    may_be_silenced: ClassVar[bool] = False

    def objection(self, gains: Gains, parameters: int) -> str:
        return _objection_of_search(gains, parameters)


@dataclass(frozen=True)
class AtBound(Scaling):
    """All enters as its method made it, at amplitude 1, and must gain there."""

    fan_in_fixed: ClassVar[bool] = True

    def objection(self, gains: Gains, parameters: int) -> str:
        return _objection(gains, parameters, f"the loss would rise by {-gains.everywhere:.3g}")


@dataclass(frozen=True)
class SplitAtBound(AtBound):
    """Likewise, with neurons that move away from their copies.

    What is tried is the same function as what is made, in more new features: a node that moves would make cached
    outputs wrong.

    Attributes:
        made: what is inserted; its new features are the first of those that are tried.
        copied: ``[K]`` which neuron each feature that is tried is a copy of, and has the norm of; -1 for none.
    """

    made: Change
    copied: Tensor

    def written(self, change: Change) -> Change:
        return self.made

    def with_statistics(
        self, change: Change, statistics: dict[str, Pair], network: Network, site: GrowableNode
    ) -> tuple[Scaling, Change]:
        _, tried = super().with_statistics(change, statistics, network, site)
        _, made = super().with_statistics(self.made, statistics, network, site)
        assert tried.features is not None
        assert made.features is not None
        tried = replace(tried, features=with_norms(network, site, tried.features, self.copied))
        first = self.copied[: made.features.count]
        made = replace(made, features=with_norms(network, site, made.features, first))
        return replace(self, made=made), tried


@dataclass(frozen=True)
class Removed(Scaling):
    """Something is taken away, which the loss may miss a little.

    Attributes:
        limit: what the loss may rise by.
    """

    limit: float

    def objection(self, gains: Gains, parameters: int) -> str:
        return _objection_to_loss(gains, self.limit)


@dataclass(frozen=True)
class Preserved(Scaling):
    """All enters as it is made and keeps the function; its gain does not count. One side is empty or shared out."""

    function_preserving: ClassVar[bool] = True
    may_be_silenced: ClassVar[bool] = False

    def factors(self, amplitude: float, normed: bool) -> tuple[float, float]:
        return 1.0, 1.0

    def objection(self, gains: Gains, parameters: int) -> str:
        return _objection_to_loss(gains, math.inf)


@dataclass(frozen=True)
class PreservedFanIn(Preserved):
    """Likewise, with a fan-in that was chosen and a small fan-out, which may be left at 0."""

    fan_in_fixed: ClassVar[bool] = True
    may_be_silenced: ClassVar[bool] = True
