"""Whether an exported network answers as the one it was made of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dagrow.errors import ExportError
from dagrow.export.base import Runner
from dagrow.export.subject import ExportSubject

TRACED_BATCH = 3
"""Samples in the example that a tracing exporter sees."""
_BATCHES = (TRACED_BATCH, 7, 1)
_SAFE = 4.0
"""Times the network's own rounding error that an export may differ by."""


def as_tuple(outputs: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    """One output as a tuple of one."""
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


def largest_difference(subject: ExportSubject, exported: Runner, tolerance: float) -> float:
    """Runs both at several batch sizes.

    Args:
        subject: what was exported.
        exported: as it came back.
        tolerance: the largest relative difference that passes as equal.

    Returns:
        The largest difference of any output, relative to the largest value of that output.

    Raises:
        ExportError: if the difference is not under ``tolerance`` nor within the network's own rounding, or the
            outputs are of another form.
    """
    largest, module = 0.0, subject.module()
    for batch in _BATCHES:
        inputs = subject.example(batch)
        with torch.no_grad():
            wanted = as_tuple(module(*inputs))
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
        for name, before, after in zip(subject.network.spec.outputs, wanted, found, strict=True):
            if not bool(before.isfinite().all()):
                raise ExportError(
                    f"output '{name}' of the network is NaN or infinite on standard normal inputs, "
                    "so its export cannot be checked"
                )
            difference = _relative(before, after)
            # Written so that a NaN is refused. Where large weights cancel, rounding alone can differ by more.
            if not difference < tolerance and not difference < _SAFE * _rounding(subject, inputs):
                raise ExportError(
                    f"the export did not come back equal: output '{name}' differs by {difference:.1e} "
                    f"of its size; allowed is {tolerance:.0e}"
                )
            largest = max(largest, difference)
    return largest


def _rounding(subject: ExportSubject, inputs: tuple[Tensor, ...]) -> float:
    """How far the network is from itself in float64, relative to the largest value."""
    with torch.no_grad():
        wanted, found = as_tuple(subject.double()(*inputs)), as_tuple(subject.module()(*inputs))
    pairs = zip(wanted, found, strict=True)
    return max(_relative(b, a) for a, b in pairs)


def _relative(before: Tensor, after: Tensor) -> float:
    """The largest difference, relative to the largest value of the first; absolute where that is 0."""
    return float((before - after).abs().max()) / (float(before.abs().max()) or 1.0)
