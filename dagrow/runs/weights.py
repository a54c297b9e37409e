"""The file of weights of a run: plain safetensors, with checksums of the weights and of their graph in its metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from dagrow.build import build
from dagrow.errors import RunError
from dagrow.files import open_file, read_file
from dagrow.spec import GraphSpec, graph_hash

_KEY = "dagrow"
"""The one key of the metadata (safetensors writes several in any order), for a JSON object with `_SUM` and `_GRAPH`.

Files of earlier versions have none, and are read all the same.
"""
_SUM, _GRAPH = "sha256", "graph_hash"


def weights_file(weights: Mapping[str, Tensor], graph: GraphSpec) -> bytes:
    """The content of the file."""
    state = {key: value.detach().cpu().contiguous() for key, value in weights.items()}
    return save(state, metadata={_KEY: json.dumps({_SUM: _digest(state), _GRAPH: graph_hash(graph)})})


def read_weights(path: Path, graph: GraphSpec, graph_path: Path) -> dict[str, Tensor]:
    """The weights that fit a graph, on the CPU.

    Args:
        path: of the file.
        graph: to which they belong.
        graph_path: where it was read from, for the message.

    Raises:
        RunError: if they belong to another graph, or either file was damaged.
    """
    try:
        _check_shapes(graph, path)
        content = read_file(path, follow=False)
        weights = load(content)
    except OSError as error:
        raise RunError(f"{path}: {error.strerror or error}") from error
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise RunError(f"{path} does not fit {graph_path}: {error}") from error
    told = _metadata(content, path)
    if told.get(_SUM, (found := _digest(weights))) != found:
        raise RunError(f"{path}: damaged, its checksum does not fit")
    _check_hash(told, path, graph, graph_path)
    return weights


def check_graph(path: Path, graph: GraphSpec, graph_path: Path) -> None:
    """Compares a graph with the one that the weights were written for, without reading the weights.

    Args:
        path: of the weights.
        graph: that should be theirs.
        graph_path: where it was read from, for the message.

    Raises:
        RunError: if it is another one, or the file of weights cannot be read.
    """
    try:
        with open_file(path, follow=False), safe_open(path, framework="pt") as file:
            told = _told((file.metadata() or {}).get(_KEY, "{}"), path)
    except OSError as error:
        raise RunError(f"{path}: {error.strerror or error}") from error
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise RunError(f"{path}: damaged ({error})") from error
    _check_hash(told, path, graph, graph_path)


def _check_hash(told: Mapping[str, Any], path: Path, graph: GraphSpec, graph_path: Path) -> None:
    if told.get(_GRAPH, (own := graph_hash(graph))) != own:
        raise RunError(
            f"{graph_path} does not match {path}: it was damaged or changed, or the run was stopped between the two"
        )


def _check_shapes(graph: GraphSpec, path: Path) -> None:
    """Compares the head of the file with a graph, before memory is taken for either.

    Raises:
        ValueError: if the graph has other weights.
    """
    with torch.device("meta"):
        expected = {name: list(value.shape) for name, value in build(graph, seed=0).state_dict().items()}
    with open_file(path, follow=False), safe_open(path, framework="pt") as file:
        stored = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    for name in (*expected, *stored):
        if expected.get(name) != stored.get(name):
            raise ValueError(f"{name} is {stored.get(name, 'not there')}, not {expected.get(name, 'there')}")


def _metadata(content: bytes, path: Path) -> dict[str, Any]:
    """What we wrote beside the tensors of a file that could be loaded."""
    head = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return _told((head.get("__metadata__") or {}).get(_KEY, "{}"), path)


def _told(text: str, path: Path) -> dict[str, Any]:
    """What is written under our key."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RunError(f"{path}: damaged, its checksum cannot be read")
    return found


def _digest(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, number formats, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
