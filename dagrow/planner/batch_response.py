"""What a change does to pre-activations on one batch, as a function of its amplitude."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from dagrow.build import Value

Values = dict[Value, Tensor]
"""Cached values of a forward pass."""

Deltas = dict[str, Tensor]
"""What is added to the pre-activations of some nodes."""


class Response:
    """What a trial does on one batch, as a function of the amplitude: ``constant + proportional g + bent(g)``.

    Args:
        proportional: the part that is proportional to the amplitude.
        bent: the part that is not; None where there is none.
        constant: the part that does not change.
        kept: tensors that ``bent`` holds on to, for the account of memory.
    """

    def __init__(
        self,
        proportional: Deltas,
        bent: Callable[[float], Deltas] | None = None,
        constant: Deltas | None = None,
        kept: Tensor | None = None,
    ) -> None:
        self.proportional, self.bent, self.constant = proportional, bent, dict(constant or {})
        self._started: Deltas = {}
        self._kept = kept

    def at(self, amplitude: float) -> Callable[[str, Tensor | None], Tensor]:
        """The response at an amplitude, to be added to pre-activations.

        Returns:
            ``(node, pre-activation) -> the changed one``; with None for the pre-activation, the change itself.
        """
        bent = {} if self.bent is None else self.bent(amplitude)

        def changed(node: str, base: Tensor | None) -> Tensor:
            value = self._start(node, base)
            part = self.proportional.get(node)
            if part is not None:
                value = part * amplitude if value is None else torch.add(value, part, alpha=amplitude)
            if node in bent:
                value = bent[node] if value is None else value + bent[node]
            assert value is not None
            return value

        return changed

    def _start(self, node: str, base: Tensor | None) -> Tensor | None:
        """The pre-activation with the constant part, made once."""
        if node not in self.constant:
            return base
        if base is None:
            return self.constant[node]
        if node not in self._started:
            self._started[node] = base + self.constant[node]
        return self._started[node]

    @property
    def bytes(self) -> int:
        """Memory that it holds, or will."""
        tensors = [*self.proportional.values(), *self.constant.values(), *self.constant.values()]
        tensors += [] if self._kept is None else [self._kept]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def add_delta(deltas: Deltas, node: str, part: Tensor) -> None:
    """Adds to what a node gets."""
    deltas[node] = deltas[node] + part if node in deltas else part


def total(parts: Iterable[Deltas]) -> Deltas:
    """The sum, node by node."""
    deltas: Deltas = {}
    for part in parts:
        for node, delta in part.items():
            add_delta(deltas, node, delta)
    return deltas
