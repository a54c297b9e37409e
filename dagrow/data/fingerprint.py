"""Whether samples are those of before."""

from __future__ import annotations

import hashlib

import torch

from dagrow.data.samples import TrainTestSplit
from dagrow.data.stored import in_memory

_ROWS = 512


def fingerprint(split: TrainTestSplit) -> str:
    """A SHA-256 over the shape and kind of all tensors of a split, and over some rows of each from first to last."""
    digest = hashlib.sha256()
    for samples in (split.train, split.test, *([] if split.validation is None else [split.validation])):
        for tensor in (*samples.inputs, *samples.targets):
            digest.update(f"{list(tensor.shape)} {tensor.dtype}".encode())
            rows = torch.linspace(0, len(tensor) - 1, min(len(tensor), _ROWS), dtype=torch.float64).round().long()
            some = in_memory(tensor[rows.to(tensor.device)]).cpu().contiguous()
            digest.update(some.view(torch.uint8).numpy().tobytes() if some.dim() else b"")
    return digest.hexdigest()
