"""What growth has set beside tensors: sizes of layers, ``eps`` of norms, numbers in the code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from dagrow.capture import CapturedModule
from dagrow.resize.layers import is_known, tensors_of
from dagrow.resize.start import Start
from dagrow.resize.tensors import Replacement

_SIZES = (
    "in_features", "out_features", "in_channels", "out_channels", "groups", "num_features", "num_channels",
    "num_groups", "normalized_shape", "num_embeddings", "embedding_dim", "num_parameters", "nf", "nx",
)  # fmt: skip


def attributes_of(
    captured: CapturedModule, start: Start, tensors: Sequence[Replacement], settings: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """What growth has set on submodules, by path, so that it can be set again when the module is loaded.

    Args:
        captured: the module, which has grown.
        start: how.
        tensors: that changed.
        settings: attributes of the person's own code that were set, as ``path.name``.
    """
    found: dict[str, dict[str, Any]] = {}
    shapes = {id(each.new) for each in tensors}
    for path, module in captured.model.named_modules():
        if is_known(module) and any(id(tensor) in shapes for tensor in tensors_of(module).values()):
            for name in _SIZES:
                if hasattr(module, name) and not isinstance(getattr(module, name), torch.Tensor):
                    found.setdefault(path, {})[name] = getattr(module, name)
    for norm in (norm for space in start.spaces for norm in space.normalisations):
        module = captured.model.get_submodule(norm.owner)
        for name, value in vars(module).items():
            if isinstance(value, float) and ("eps" in name or "epsilon" in name):
                found.setdefault(norm.owner, {})[name] = value
    for setting in settings:
        path, _, name = setting.rpartition(".")
        found.setdefault(path, {})[name] = getattr(captured.model.get_submodule(path), name)
    return found
