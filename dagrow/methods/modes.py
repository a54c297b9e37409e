"""How new neurons enter a network: whether an amplitude is searched, which side is 0, what is promised.

One class per way; a class holds what only its way needs, so nothing else can be combined.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor


class InsertionMode:
    """How the neurons of a method enter. Each subclass is final."""

    searched: ClassVar[bool] = False
    """Whether an amplitude is searched. If not, one shrinkage is enough: the neurons enter as they are made."""

    @property
    def may_be_completed(self) -> bool:
        """Whether neurons with a fan-out of 0 may stand beside these, see `padded`."""
        return False


@dataclass(frozen=True)
class SearchedAmplitude(InsertionMode):
    """Fan-in and fan-out are scaled together, by the amplitude that lowers the loss most.

    Attributes:
        allow_negative: amplitudes below 0 are searched as well (thesis eq. 5.6): the neurons do not point downhill.
    """

    searched: ClassVar[bool] = True
    allow_negative: bool = False

    @property
    def may_be_completed(self) -> bool:
        """They may."""
        return True


@dataclass(frozen=True)
class SearchedFanOut(InsertionMode):
    """Fan-out and updates are scaled; the fan-in stays, as the neurons were chosen at this scale of pre-activations.

    Attributes:
        updates: per child ``[M, R]``, the update of its existing weights that goes with the neurons, in the order of
            `SiteSamples.children`; none where the method leaves those weights as they are.
    """

    searched: ClassVar[bool] = True
    updates: tuple[Tensor, ...] = ()

    @property
    def may_be_completed(self) -> bool:
        """Not if updates go with them."""
        return not self.updates


@dataclass(frozen=True)
class FixedScale(InsertionMode):
    """They enter as they are made, at no other amplitude, and their gain is measured there.

    Attributes:
        parents: ``[K]`` which existing neuron each is a copy of, -1 for none. A copy takes half of the fan-out of its
            original, whatever omega says; alpha is added to its fan-in and taken off that of its original. None where
            all are neurons of their own.
    """

    parents: Tensor | None = None


class FunctionPreserving(InsertionMode):
    """They change nothing, or as good as nothing, when they enter, so there is no gain to be measured.

    They are inserted as they are made, and places are compared by the sum of their squared scores.
    """


@dataclass(frozen=True)
class ZeroFanOut(FunctionPreserving):
    """The fan-out is 0; training finds their use."""


@dataclass(frozen=True)
class ZeroFanIn(FunctionPreserving):
    """The fan-in is 0.

    Attributes:
        initial_gradient: ``[F, K]`` where a first gradient step would move the fan-ins, at any length. An activation
            whose derivative is 0 at 0 would keep such neurons at 0 for ever, so they are moved a little that way.
    """

    initial_gradient: Tensor | None = None


@dataclass(frozen=True)
class SmallFanOut(FunctionPreserving):
    """The fan-in is what was chosen, and the fan-out small; it may as well be 0."""


@dataclass(frozen=True)
class SplitNeurons(FunctionPreserving):
    """Copies of existing neurons, which share the fan-out of their originals equally, whatever omega says.

    Attributes:
        parents: ``[K]`` which neuron each is a copy of; alpha is what is added to the fan-in of the copy.
    """

    parents: Tensor


_CLASSES: tuple[type[InsertionMode], ...] = (
    SearchedAmplitude, SearchedFanOut, FixedScale, ZeroFanOut, ZeroFanIn, SmallFanOut, SplitNeurons,
)  # fmt: skip
MODES: dict[str, type[InsertionMode]] = {mode.__name__: mode for mode in _CLASSES}
"""By the name of the class, for neurons that one process sends to another."""


def mode_of_flags(alpha: Tensor, flags: Mapping[str, Any]) -> InsertionMode:
    """The mode that the old keyword arguments of `Neurons` meant.

    Args:
        alpha: fan-ins of the neurons.
        flags: ``still``, ``bounded``, ``fan_in_fixed``, ``allow_negative_amplitude``, ``updates``, ``towards`` or
            ``splits``.

    Raises:
        TypeError: if there is another one.
    """
    known = ("still", "bounded", "fan_in_fixed", "two_sided", "updates", "towards", "splits")
    if unknown := [name for name in flags if name not in known]:
        raise TypeError(f"Neurons() got an unexpected keyword argument '{unknown[0]}'")
    still, bounded, fan_in_fixed, allow_negative_amplitude, updates, towards, splits = (
        flags.get(name) for name in known
    )
    if still and splits is not None:
        return SplitNeurons(splits)
    if still and fan_in_fixed:
        return SmallFanOut()
    if still:
        return ZeroFanOut() if towards is None and bool(alpha.any()) else ZeroFanIn(towards)
    if bounded:
        return FixedScale(splits)
    return SearchedFanOut(tuple(updates or ())) if fan_in_fixed else SearchedAmplitude(bool(allow_negative_amplitude))
