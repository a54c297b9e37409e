"""How the gradient of a batch is computed: precision of the forward pass, parts of a batch, clipping.

All of it concerns gradient descent alone. Scores, statistics and gains of growth steps are computed in full precision,
and nothing here has a state: a run that is resumed goes on as if it had not been stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dagrow.distributed import ALONE, Processes
from dagrow.errors import OptimizerError
from dagrow.spec import TrainingSpec

_AUTOCAST = {"full": None, "bfloat16": torch.bfloat16}


def forward(network: nn.Module, x: Any) -> Any:
    """The network on one batch of inputs: a tensor, or a tuple for several inputs."""
    return network(x) if isinstance(x, Tensor) else network(*x)


@dataclass(frozen=True)
class GradientRules:
    """What the run file says of gradients.

    Attributes:
        precision: ``full``, or ``bfloat16``: the forward pass runs under autocast, the loss is computed in float32.
        accumulate: parts in which a batch is computed; each has 2 samples at least. Their gradients are added up to
            that of the whole batch, so this changes memory and rounding, and what norms over a batch see.
        clip_norm: gradients whose norm over all weights is larger are scaled down to it; None leaves them.
    """

    precision: str = "full"
    accumulate: int = 1
    clip_norm: float | None = None

    @classmethod
    def of(cls, training: TrainingSpec, processes: Processes = ALONE) -> GradientRules:
        """Those of a run file.

        Raises:
            OptimizerError: if several processes share each batch and it is to be computed in parts.
        """
        if training.accumulate > 1 and processes.count > 1:
            raise OptimizerError(
                f"training.accumulate is {training.accumulate}: {processes.count} processes share each batch already; "
                "leave it out, or run it in one process"
            )
        return cls(training.precision, training.accumulate, training.clip_norm)

    def backward(
        self,
        network: nn.Module,
        loss: Callable[[Any, Any], Tensor],
        x: Any,
        y: Any,
        weight: float = 1.0,
        processes: Processes = ALONE,
    ) -> float:
        """Adds the gradient of the loss of a batch to those of the parameters.

        Args:
            network: as it is called: perhaps one that averages gradients over processes.
            loss: ``(output, target) -> scalar``, the mean over samples.
            x: inputs, ``[samples, ...]`` each.
            y: targets, likewise.
            weight: the gradient is multiplied by.
            processes: that share the batch.

        Returns:
            The loss of the batch.
        """
        total = 0.0
        for share, inputs, targets in self._parts(x, y):
            with processes.listening():
                # The second pass after growth too: DistributedDataParallel sorts its buckets anew, with the others.
                output = self._forward(network, inputs)
            value = loss(output, targets)
            total += share * float(value.detach())
            with processes.listening():
                (value * (weight * share)).backward()  # type: ignore[no-untyped-call]
        return total

    def clip(self, network: nn.Module) -> None:
        """Scales gradients down that are too long."""
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(network.parameters(), self.clip_norm)

    def _forward(self, network: nn.Module, x: Any) -> Any:
        dtype = _AUTOCAST[self.precision]
        if dtype is None:
            return forward(network, x)
        device = (x if isinstance(x, Tensor) else x[0]).device.type
        with torch.autocast(device, dtype=dtype):
            output = forward(network, x)
        return output.float() if isinstance(output, Tensor) else tuple(part.float() for part in output)

    def _parts(self, x: Any, y: Any) -> Iterator[tuple[float, Any, Any]]:
        """Parts of a batch with their shares of its samples."""
        size = len(x if isinstance(x, Tensor) else x[0])
        count = max(1, min(self.accumulate, size // 2))
        if count == 1:
            yield 1.0, x, y
            return
        for number in range(count):
            part = slice(size * number // count, size * (number + 1) // count)
            yield (part.stop - part.start) / size, _cut(x, part), _cut(y, part)


FULL_PRECISION = GradientRules()
"""Whole batches in full precision, gradients as they are."""


def _cut(values: Any, part: slice) -> Any:
    return values[part] if isinstance(values, Tensor) else tuple(each[part] for each in values)
