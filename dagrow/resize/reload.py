"""Builds a grown module again: sizes from growth.json, weights from weights.safetensors. Needs torch and nothing else.

from resize import load
model = load(MyModel(), "the folder of this file")
"""

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dagrow.resize.plain_attention import attention_written_out

_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


def load(model: nn.Module, folder: str | Path | None = None) -> nn.Module:
    """Gives a module the sizes and weights that growth has given it.

    Args:
        model: made by its own class, as before growth.
        folder: of growth.json and weights.safetensors; that of this file if left out.

    Raises:
        ValueError: if the module is not one of the kind that was saved.
    """
    folder = Path(folder) if folder is not None else Path(__file__).parent
    growth = json.loads((folder / "growth.json").read_text(encoding="utf-8"))
    return resized(model, growth, read_tensors(folder / "weights.safetensors"))


def resized(model: nn.Module, growth: dict[str, Any], weights: dict[str, torch.Tensor]) -> nn.Module:
    """Gives a module attributes and tensors.

    Args:
        model: made by its own class, as before growth.
        growth: what growth.json holds.
        weights: by the names that it lists.

    Raises:
        ValueError: if the module is not one of the kind that was saved.
    """
    if growth.get("plain_attention"):
        model = attention_written_out(model)
    names = [*dict(model.named_parameters()), *dict(model.named_buffers())]
    if missing := [name for name in growth["tensors"] if name not in names]:
        raise ValueError(f"{type(model).__name__} has no tensor {missing[0]}, which {growth['class']} has")
    for path, attributes in growth["attributes"].items():
        part = model.get_submodule(path)
        for name, value in attributes.items():
            if name.startswith("_") or not hasattr(part, name):
                raise ValueError(f"{path or type(model).__name__} has no attribute {name}")
            setattr(part, name, tuple(value) if isinstance(getattr(part, name), tuple) else value)
    for name in growth["tensors"]:
        _replace(model, name, weights[name])
    return model


def _replace(model: nn.Module, name: str, value: torch.Tensor) -> None:
    """Puts a tensor in place of the one of that name, wherever it is held."""
    path, _, leaf = name.rpartition(".")
    old = getattr(model.get_submodule(path), leaf)
    value = value.to(old.device)
    new = nn.Parameter(value, requires_grad=old.requires_grad) if isinstance(old, nn.Parameter) else value
    for part in model.modules():
        tables: tuple[dict[str, Any], ...] = (part._parameters, part._buffers)
        for table in tables:
            for key, tensor in table.items():
                if tensor is old:
                    table[key] = new


def read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file."""
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), bytearray(data[8 + length :])
    found = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        dtype, (start, stop) = _DTYPES[entry["dtype"]], entry["data_offsets"]
        count = math.prod(entry["shape"])
        tensor = (
            torch.frombuffer(body, dtype=dtype, count=count, offset=start) if count else torch.empty(0, dtype=dtype)
        )
        if count * dtype.itemsize != stop - start:
            raise ValueError(f"{file} is damaged at {name}")
        found[name] = tensor.reshape(entry["shape"]).clone()
    return found
