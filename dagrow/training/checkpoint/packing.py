"""Nested plain data with tensors in it, as JSON beside a table of tensors, and back without loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
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
    raise RunError(f"{name}: a {type(value).__name__} cannot be kept in a checkpoint")


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


def _pack_tensor(tensor: Tensor, name: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    packed: dict[str, Any] = {_MARK: "tensor", "name": name}
    if not tensor.is_contiguous() and _is_dense(tensor):
        # The order in memory decides in which order a product is summed up, and so its last bits.
        packed["stride"] = list(tensor.stride())
    # A copy of its own: safetensors refuses tensors that share memory.
    tensors[name] = tensor.cpu().clone(memory_format=torch.contiguous_format)
    return packed


def _unpack_tensor(packed: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Tensor:
    stored = tensors[packed["name"]]
    if "stride" not in packed:
        return stored.clone()
    stride = sorted(zip(packed["stride"], stored.shape, strict=True))
    value = torch.empty_strided(stored.shape, packed["stride"], dtype=stored.dtype)
    if not _is_dense(value) or stride[0][0] < 0:
        raise ValueError("the memory order of a tensor is not one")
    return value.copy_(stored)


def _is_dense(tensor: Tensor) -> bool:
    """Whether the entries fill a piece of memory, each its own place."""
    size = 1
    for stride, length in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if length != 1:
            if stride != size:
                return False
            size *= length
    return True


_UNPACKED: dict[str, Any] = {
    "float": lambda packed, _: float(packed["value"]),
    "tuple": lambda packed, tensors: tuple(unpack(packed["value"], tensors)),
    "tensor": _unpack_tensor,
}
