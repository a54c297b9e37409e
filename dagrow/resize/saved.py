"""A grown module on disk: weights, what growth has set, and a file that needs only torch to put them together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as as_safetensors

from dagrow.capture import CapturedModule, named_tensors
from dagrow.errors import ExportError
from dagrow.files import replace_file
from dagrow.resize import reload

FORMAT = 1


def save_module(captured: CapturedModule, folder: str | Path) -> Path:
    """Writes ``weights.safetensors``, ``growth.json`` and ``resize.py``, which needs torch and the module's class only.

    Args:
        captured: the module, as it was captured before it grew.
        folder: is made if it is not there.

    Raises:
        ExportError: if an attribute that growth has set is none that JSON can hold.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model = captured.model
    kept = set(model.state_dict(keep_vars=True))
    tensors: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, tensor in named_tensors(model):
        if name in kept and id(tensor) not in seen:
            seen.add(id(tensor))
            tensors[name] = tensor.detach().cpu().contiguous()
    growth = {
        "format": FORMAT,
        "class": f"{type(model).__module__}.{type(model).__qualname__}",
        "attributes": {
            path: {k: _plain(path, k, v) for k, v in own.items()} for path, own in captured.attributes.items()
        },
        "tensors": {name: list(tensor.shape) for name, tensor in tensors.items()},
    }
    for name, data in (
        ("weights.safetensors", as_safetensors(tensors)),
        ("growth.json", (json.dumps(growth, indent=1) + "\n").encode()),
        ("resize.py", Path(reload.__file__).read_bytes()),
    ):
        replace_file(folder / name, data)
    return folder


def _plain(path: str, name: str, value: Any) -> Any:
    if isinstance(value, (tuple, list)) and all(isinstance(each, (int, float)) for each in value):
        return list(value)
    if isinstance(value, (int, float)):
        return value
    raise ExportError(f"{path}.{name} is {type(value).__name__}, which growth.json cannot hold")
