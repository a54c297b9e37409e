"""Solves of one proposal by name: none is done twice, and several processes share them out.

Their answers are small beside the passes over the samples that they come from, but an eigendecomposition or a search
for neurons is not: each is done by one process, which tells the others what it found, to the last bit. What is not
known is solved on the spot, so nothing depends on how the work was dealt out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from dagrow.distributed import Processes
from dagrow.methods import Neurons


@dataclass(frozen=True)
class Solves:
    """What was found so far."""

    _weights: dict[str, Tensor] = field(default_factory=dict)
    _neurons: dict[str, Neurons] = field(default_factory=dict)

    def weights(self, name: str, solve: Callable[[], Tensor]) -> Tensor:
        """A matrix of weights.

        Args:
            name: that no other solve of the proposal has.
            solve: finds it, where it is not known.
        """
        if name not in self._weights:
            self._weights[name] = solve()
        return self._weights[name]

    def neurons(self, name: str, solve: Callable[[], Neurons]) -> Neurons:
        """New neurons; as `weights`."""
        if name not in self._neurons:
            self._neurons[name] = solve()
        return self._neurons[name]

    def share(self, processes: Processes, device: torch.device) -> None:
        """Adds what the other processes have found; all of them call it.

        Args:
            processes: of this run.
            device: where tensors are to be.
        """
        # What there is to tell about neurons is no plain data: each process finds those itself.
        plain = {name: vars(found) for name, found in self._neurons.items() if found.why is None}
        for weights, neurons in processes.exchange((self._weights, plain)):
            for name, found in weights.items():
                self._weights.setdefault(name, found.to(device))
            for name, parts in neurons.items():
                self._neurons.setdefault(name, Neurons(**{key: _moved(part, device) for key, part in parts.items()}))


def _moved(part: Any, device: torch.device) -> Any:
    """A tensor, or all of a tuple of tensors, on a device."""
    if isinstance(part, tuple):
        return tuple(_moved(each, device) for each in part)
    return part.to(device) if isinstance(part, Tensor) else part
