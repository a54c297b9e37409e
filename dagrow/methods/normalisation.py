"""What amplitude 1 of new neurons is. A new way is a class here and a line in `NORMALISATIONS`.

Neurons whose amplitude is searched enter as ``(sqrt(g) alpha, sqrt(g) omega)``, with alpha and omega scaled before.
Behind a norm, which sets the scale of new features, g acts on omega alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

from dagrow.methods.moments import Neurons, SiteMoments
from dagrow.registry import Registry

LENGTH = 1e-3
"""Of GradMax's fan-outs (thesis eq. D.3), and the product of both sides' lengths otherwise (eqs. D.5, D.6)."""


@dataclass(frozen=True)
class Sizes:
    """What neurons measure as their method made them; 1 where they are 0.

    Attributes:
        fan_in: root mean square over the neurons of the length of their fan-ins, on features of root mean square 1.
        fan_out: likewise of their fan-outs.
        merged: root of ``E||a||^2``, what the nodes that read them merge without them; 0 or NaN where that is nothing.
        neurons: that are measured.
        moments: that they were made of.
    """

    fan_in: float
    fan_out: float
    merged: float
    neurons: Neurons
    moments: SiteMoments

    @classmethod
    def of(cls, neurons: Neurons, moments: SiteMoments) -> Sizes:
        """Of neurons that were made of these moments."""
        count = max(1, neurons.count)
        lengths = (moments.lengths.unsqueeze(1) * neurons.alpha, neurons.omega)
        a, w = (float(side.square().sum() / count) ** 0.5 or 1.0 for side in lengths)
        return cls(a, w, moments.a_squared**0.5, neurons, moments)

    def effect(self) -> float:
        """Root of ``E||V||^2``, what all neurons together write, linearised: ``V = B alpha omega``.

        ``E||V||^2 = tr(omega^T alpha^T S alpha omega)``: for convolutions with a full fan-out this is the bound that S
        is made for. As dear as a product with S, so only who asks pays.
        """
        alpha, omega = self.neurons.alpha, self.neurons.omega
        squares = ((alpha.T @ self.moments.S.to(alpha) @ alpha) * (omega @ omega.T)).sum()
        return max(0.0, float(squares)) ** 0.5 or 1.0


class Normalisation(ABC):
    """What amplitude 1 of new neurons is. Each subclass is final."""

    given: ClassVar[float | None] = None
    """The only amplitude that is tried; None where it is searched."""

    @abstractmethod
    def factors(self, sizes: Sizes) -> tuple[float, float]:
        """What fan-ins and fan-outs are multiplied by, to be those of amplitude 1."""

    def silent(self, neurons: Neurons) -> Neurons:
        """Neurons that change nothing when they enter, with the lengths that they are to have; as they are made."""
        return neurons


class UnitLengths(Normalisation):
    """Both sides have a root mean square length of 1 over the neurons (thesis eq. 4.17)."""

    def factors(self, sizes: Sizes) -> tuple[float, float]:
        """One over the lengths."""
        return 1 / sizes.fan_in, 1 / sizes.fan_out


class RelativeEffect(Normalisation):
    """What they write, linearised, is as large as what is merged there already (TINY, appendix D.4).

    The sides keep the balance that the method gave them. Where nothing is merged yet, this is `UnitLengths`.
    """

    def factors(self, sizes: Sizes) -> tuple[float, float]:
        """The same of both sides, by the size of what they write."""
        if not sizes.merged > 0:
            return 1 / sizes.fan_in, 1 / sizes.fan_out
        factor = (sizes.merged / sizes.effect()) ** 0.5
        return factor, factor


class AsMade(Normalisation):
    """As the method made them: of TINY's, amplitude 1 is the solution of Prop. 3.2.3."""

    def factors(self, sizes: Sizes) -> tuple[float, float]:
        """None."""
        return 1.0, 1.0


class FixedLengths(Normalisation):
    """Both sides enter with a root mean square length of ``sqrt(1e-3)`` (thesis eqs. D.5, D.6): nothing is searched.

    Fan-outs of neurons with a fan-in of 0 have one of 1e-3 (eq. D.3).
    """

    given: ClassVar[float | None] = 1.0

    def factors(self, sizes: Sizes) -> tuple[float, float]:
        """To these lengths."""
        return LENGTH**0.5 / sizes.fan_in, LENGTH**0.5 / sizes.fan_out

    def silent(self, neurons: Neurons) -> Neurons:
        """With fan-outs of their length, where the fan-in is 0."""
        if not neurons.count or bool(neurons.alpha.any()):
            return neurons
        length = float(neurons.omega.square().sum() / neurons.count) ** 0.5 or 1.0
        return replace(neurons, omega=neurons.omega * (LENGTH / length))


NORMALISATIONS: Registry[Normalisation] = Registry(
    "normalisation",
    {
        "unit_lengths": UnitLengths(),
        "relative_effect": RelativeEffect(),
        "as_made": AsMade(),
        "fixed_lengths": FixedLengths(),
    },
)
