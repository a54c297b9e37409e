"""A grown module on disk: weights, what growth has set, and a file that needs only torch to put them together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as as_safetensors
from torch import nn

from dagrow.capture import CapturedModule, named_tensors
from dagrow.errors import ExportError
from dagrow.files import replace_file
from dagrow.resize import plain_attention, reload

FORMAT = 1
WEIGHTS, GROWTH, RESIZE = "weights.safetensors", "growth.json", "resize.py"
"""Names of the files."""


def save_module(captured: CapturedModule, folder: str | Path) -> Path:
    """Writes ``weights.safetensors``, ``growth.json`` and ``resize.py``, which needs torch and the module's class only.

    Args:
        captured: the module, as it was captured before it grew.
        folder: is made if it is not there.

    Raises:
        ExportError: if an attribute that growth has set is none that JSON can hold.
    """
    folder = Path(folder)
    files = module_files(captured)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        replace_file(folder / name, data)
    return folder


def module_files(captured: CapturedModule) -> dict[str, bytes]:
    """The files of `save_module` by their names.

    Args:
        captured: the module.

    Raises:
        ExportError: if an attribute that growth has set is none that JSON can hold.
    """
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
        "class": class_name(model),
        "attributes": {
            path: {k: _plain(path, k, v) for k, v in own.items()} for path, own in captured.attributes.items()
        },
        "plain_attention": any(isinstance(part, plain_attention.PlainAttention) for part in model.modules()),
        "tensors": {name: list(tensor.shape) for name, tensor in tensors.items()},
    }
    return {
        WEIGHTS: as_safetensors(tensors),
        GROWTH: (json.dumps(growth, indent=1) + "\n").encode(),
        RESIZE: _without_imports().encode(),
    }


def _without_imports() -> str:
    """The text of `reload`, with that of the one module of this package that it needs in the place of its import."""
    text = Path(reload.__file__).read_text(encoding="utf-8")
    taken = Path(plain_attention.__file__).read_text(encoding="utf-8")
    imports = f"from {plain_attention.__name__} import {plain_attention.attention_written_out.__name__}\n"
    return text.replace(imports, taken.split('"""\n', 1)[1].strip() + "\n")


def class_name(model: nn.Module) -> str:
    """Module and name of a module's class."""
    return f"{type(model).__module__}.{type(model).__qualname__}"


def _plain(path: str, name: str, value: Any) -> Any:
    if isinstance(value, (tuple, list)) and all(isinstance(each, (int, float)) for each in value):
        return list(value)
    if isinstance(value, (int, float)):
        return value
    raise ExportError(f"{path}.{name} is {type(value).__name__}, which growth.json cannot hold")
