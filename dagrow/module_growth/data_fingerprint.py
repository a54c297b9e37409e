"""Whether the data of a run that goes on are those that it began with, as far as that can be told without reading all.

Batches in a list and the tensors of a ``TensorDataset`` are compared; of any other data set its class and length are,
since reading a sample may be dear, or draw (augmentation).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sized
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.data import TensorDataset

DATA = "data"
"""Its key among the settings of a run."""

ROWS = 512
"""Rows of a tensor that are read, from first to last."""


def data_fingerprint(train: Iterable[Any]) -> str:
    """A checksum of the samples, not of their order; of an iterable without a length, the empty string.

    Args:
        train: batches, or a loader of a data set.
    """
    source: Any = getattr(train, "dataset", train)
    if not isinstance(source, Sized):
        return ""
    digest = hashlib.sha256(f"{type(source).__name__} {len(source)}".encode())
    if isinstance(source, (list, tuple, TensorDataset)):
        held = source.tensors if isinstance(source, TensorDataset) else source
        for leaf in pytree.tree_leaves(list(held)):
            if isinstance(leaf, Tensor):
                digest.update(f"{list(leaf.shape)} {leaf.dtype}".encode())
                digest.update(_rows(leaf))
    return digest.hexdigest()


def _rows(tensor: Tensor) -> bytes:
    """Some rows of a tensor, as they are in memory."""
    if not tensor.numel():
        return b""
    flat = tensor.detach().reshape(len(tensor), -1) if tensor.dim() else tensor.detach().reshape(1, 1)
    rows = torch.linspace(0, len(flat) - 1, min(len(flat), ROWS), dtype=torch.float64).round().long()
    return bytes(flat[rows.to(flat.device)].cpu().contiguous().view(torch.uint8).numpy().tobytes())
