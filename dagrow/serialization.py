"""Nested plain data with tensors in it, as JSON beside a table of tensors, and back without loss."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from dagrow.errors import RunError

_MARK = "="
"""The one key of a JSON object that stands for what JSON cannot hold."""


def pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Data as JSON takes it.

    Args:
        value: None, truth values, numbers, text, tensors, and lists, tuples and dicts of them with keys of text.
        name: where the value stands; its tensors are named after it.
        tensors: takes the tensors.

    Raises:
        RunError: if something else is in it.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {_MARK: "float", "value": str(value)}
    if isinstance(value, Tensor):
        return _pack_tensor(value.detach(), name, tensors)
    if isinstance(value, (list, tuple)):
        parts = [pack(part, f"{name}/{index}", tensors) for index, part in enumerate(value)]
        return parts if isinstance(value, list) else {_MARK: "tuple", "value": parts}
    if isinstance(value, Mapping) and all(isinstance(key, str) and key != _MARK for key in value):
        return {key: pack(part, f"{name}/{key}", tensors) for key, part in value.items()}
    raise RunError(f"{name}: a {type(value).__name__} cannot be kept: it is neither plain data nor a tensor")


def unpack(packed: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What `pack` was given; tensors on the CPU, in the memory order that they had.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: if it is not of that form.
    """
    if isinstance(packed, list):
        return [unpack(part, tensors) for part in packed]
    if not isinstance(packed, dict):
        return packed
    kind = packed.get(_MARK)
    if kind is None:
        return {key: unpack(part, tensors) for key, part in packed.items()}
    return _UNPACKED[kind](packed, tensors)


def to_bytes(value: Any) -> bytes:
    """What `pack` takes, as one string of bytes."""
    tensors: dict[str, Tensor] = {}
    head = json.dumps(pack(value, "", tensors)).encode()
    return len(head).to_bytes(8, "big") + head + save(tensors)


def from_bytes(content: bytes) -> Any:
    """What `to_bytes` was given; tensors on the CPU."""
    end = 8 + int.from_bytes(content[:8], "big")
    return unpack(json.loads(content[8:end]), load(content[end:]))


def _pack_tensor(tensor: Tensor, name: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    packed: dict[str, Any] = {_MARK: "tensor", "name": name}
    if not tensor.is_contiguous() and _is_dense(tensor.shape, tensor.stride()):
        # The order in memory decides in which order a product is summed up, and so its last bits.
        packed["stride"] = list(tensor.stride())
    # A copy of its own: safetensors refuses tensors that share memory.
    tensors[name] = tensor.cpu().clone(memory_format=torch.contiguous_format)
    return packed


def _unpack_tensor(packed: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Tensor:
    stored = tensors[packed["name"]]
    if "stride" not in packed:
        return stored.clone()
    if not _is_dense(stored.shape, packed["stride"]):
        raise ValueError("the memory order of a tensor is not one")
    return torch.empty_strided(stored.shape, packed["stride"], dtype=stored.dtype).copy_(stored)


def _is_dense(shape: Sequence[int], stride: Sequence[int]) -> bool:
    """Whether the entries fill a piece of memory, each its own place."""
    size = 1
    for step, length in sorted(zip(stride, shape, strict=True)):
        if length != 1:
            if step != size:
                return False
            size *= length
    return True


_UNPACKED: dict[str, Any] = {
    "float": lambda packed, _: float(packed["value"]),
    "tuple": lambda packed, tensors: tuple(unpack(packed["value"], tensors)),
    "tensor": _unpack_tensor,
}
