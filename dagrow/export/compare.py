"""Whether an exported network answers as the one it was made of."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from dagrow.build import Network
from dagrow.errors import ExportError
from dagrow.export.base import Runner

TRACED_BATCH = 3
"""Samples in the example that a tracing exporter sees."""
_BATCHES = (TRACED_BATCH, 7, 1)
_SAFE = 4.0
"""Times the network's own rounding error that an export may differ by."""


def sample_inputs(network: Network, batch: int) -> tuple[Tensor, ...]:
    """Standard normal inputs from a generator of their own: the global one is not touched."""
    generator = torch.Generator("cpu").manual_seed(batch)
    return tuple(
        torch.randn((batch, *entry.shape), generator=generator, dtype=torch.float32, device="cpu")
        for entry in network.spec.inputs.values()
    )


def as_tuple(outputs: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    """One output as a tuple of one."""
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


def largest_difference(network: Network, exported: Runner, tolerance: float) -> float:
    """Runs both at several batch sizes.

    Returns:
        The largest difference of any output, relative to the largest value of that output.

    Raises:
        ExportError: if the difference is not under ``tolerance`` nor within the network's own rounding, or the
            outputs are of another form.
    """
    largest = 0.0
    for batch in _BATCHES:
        inputs = sample_inputs(network, batch)
        with torch.no_grad():
            wanted = as_tuple(network(*inputs))
            try:
                found = exported(inputs)
            # Torch, onnxruntime and a user's layers each raise errors of their own.
            except Exception as error:
                raise ExportError(f"the export does not run with {batch} samples: {error}") from error
        shapes = [list(output.shape) for output in wanted]
        if [list(output.shape) for output in found] != shapes:
            raise ExportError(
                f"the export did not come back equal: with {batch} samples its outputs have the shapes "
                f"{[list(output.shape) for output in found]}, not {shapes}"
            )
        for name, before, after in zip(network.spec.outputs, wanted, found, strict=True):
            if not bool(before.isfinite().all()):
                raise ExportError(
                    f"output '{name}' of the network is NaN or infinite on standard normal inputs, "
                    "so its export cannot be checked"
                )
            difference = _relative(before, after)
            # Written so that a NaN is refused. Where large weights cancel, rounding alone can differ by more.
            if not difference < tolerance and not difference < _SAFE * _rounding(network, inputs):
                raise ExportError(
                    f"the export did not come back equal: output '{name}' differs by {difference:.1e} "
                    f"of its size; allowed is {tolerance:.0e}"
                )
            largest = max(largest, difference)
    return largest


def _rounding(network: Network, inputs: tuple[Tensor, ...]) -> float:
    """How far the network is from itself in float64, relative to the largest value."""
    exact = copy.deepcopy(network).double()
    with torch.no_grad():
        wanted, found = as_tuple(exact(*(x.double() for x in inputs))), as_tuple(network(*inputs))
    pairs = zip(wanted, found, strict=True)
    return max(_relative(b, a) for a, b in pairs)


def _relative(before: Tensor, after: Tensor) -> float:
    """The largest difference, relative to the largest value of the first; absolute where that is 0."""
    return float((before - after).abs().max()) / (float(before.abs().max()) or 1.0)
