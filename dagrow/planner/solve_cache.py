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
from dagrow.methods.modes import MODES


@dataclass(frozen=True)
class SolveCache:
    """What was found so far, of what will be asked for again: weights are large.

    Attributes:
        keeping: everything that is solved is kept, to be shared.
    """

    keeping: bool = False
    _weights: dict[str, Tensor] = field(default_factory=dict)
    _neurons: dict[str, Neurons] = field(default_factory=dict)

    def weights(self, name: str, solve: Callable[[], Tensor], *, again: bool = False) -> Tensor:
        """A matrix of weights.

        Args:
            name: that no other solve of the proposal has.
            solve: finds it, where it is not known.
            again: whether it will be asked for again.
        """
        found = self._weights.get(name) if again else self._weights.pop(name, None)
        if found is None:
            found = solve()
            if again or self.keeping:
                self._weights[name] = found
        return found

    def neurons(self, name: str, solve: Callable[[], Neurons]) -> Neurons:
        """New neurons, asked for once; as `weights`."""
        found = self._neurons.pop(name, None)
        if found is None:
            found = solve()
            if self.keeping:
                self._neurons[name] = found
        return found

    def share(self, processes: Processes, device: torch.device) -> None:
        """Adds what the other processes have found; all of them call it.

        Args:
            processes: of this run.
            device: where tensors are to be.
        """
        # What there is to tell about neurons is no plain data: each process finds those itself.
        plain = {name: _plain(found) for name, found in self._neurons.items() if found.why is None}
        for weights, neurons in processes.exchange((self._weights, plain)):
            for name, found in weights.items():
                self._weights.setdefault(name, found.to(device))
            for name, (mode, own, parts) in neurons.items():
                made = MODES[mode](**_moved(own, device))
                self._neurons.setdefault(name, Neurons(**_moved(parts, device), mode=made))


def _plain(neurons: Neurons) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Neurons as plain data: the name of their mode, what it holds, and the rest."""
    parts = {name: part for name, part in vars(neurons).items() if name != "mode"}
    return type(neurons.mode).__name__, dict(vars(neurons.mode)), parts


def _moved(part: Any, device: torch.device) -> Any:
    """A tensor, or all of a tuple or mapping of tensors, on a device."""
    if isinstance(part, dict):
        return {name: _moved(each, device) for name, each in part.items()}
    if isinstance(part, tuple):
        return tuple(_moved(each, device) for each in part)
    return part.to(device) if isinstance(part, Tensor) else part
