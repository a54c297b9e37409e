"""Samples at one place where neurons can be added, for methods to which moments do not say enough.

Symbols: n samples, P positions of the growing node before its pool and P' after it, Q positions of a child,
F features a new neuron can read, K new neurons, M outputs of a child, R features that a child reads already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ChildSamples:
    """One child that new neurons write, on the drawn samples.

    Attributes:
        v_proj: ``[n, Q, M]``, what its existing weights cannot do of its desired update.
        existing: ``[n, Q, R]``, the features that it reads already, the constant last.
        read: outputs of new neurons ``[n, P', K]`` to the features by which the child reads each of them,
            ``[n, Q, K, fan_out]``: kernel positions of a convolution, positions of a flattened map, one for a
            linear edge. Linear and differentiable.
        v_goal: ``[n, Q, M]``, its desired update; None where the method did not ask for it.
        units: ``[R]``, see `SiteMoments.units`; left out, all but the constant share one.
    """

    v_proj: Tensor
    existing: Tensor
    read: Callable[[Tensor], Tensor]
    v_goal: Tensor | None = None
    units: Tensor | None = None


@dataclass(frozen=True)
class SiteSamples:
    """A bounded random subset of the samples at one place; float32 or float64.

    Attributes:
        B: ``[n, P, F]``, the features that new neurons can read, the constant last where some edge has a bias.
        children: those that new neurons write, in the order of the columns of N_proj.
        activate: pre-activations ``[n, P, K]`` to outputs ``[n, P', K]``: norm (with the statistics of these very
            pre-activations), activation and pool of the growing node. Differentiable, each neuron apart.
        there: what each child reads of neurons that the node has already, of pre-activations ``[n, P, K]`` that may
            not be theirs and their indices ``[K]``: ``[n, Q, K, fan_out]`` per child, of a convolution all kernel
            positions whatever new neurons may write. Norms on the way are as they are for these neurons (in train
            mode, with the statistics of these very values). Differentiable. None: as if they were new.
    """

    B: Tensor
    children: tuple[ChildSamples, ...]
    activate: Callable[[Tensor], Tensor]
    there: Callable[[Tensor, Tensor], tuple[Tensor, ...]] | None = None

    def written(self, z: Tensor) -> tuple[Tensor, ...]:
        """What each child reads of new neurons with pre-activations ``[n, P, K]``: ``[n, Q, K, fan_out]``."""
        outputs = self.activate(z)
        return tuple(child.read(outputs) for child in self.children)

    def read_existing(self, z: Tensor, index: Tensor) -> tuple[Tensor, ...]:
        """The same of the existing neurons ``index``, see `there`."""
        return self.written(z) if self.there is None else self.there(z, index)
