"""The two files of a checkpoint: what they hold, and whether they hold it still."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from dagrow.errors import RunError
from dagrow.files import read_file, sha256

CONTENT, TENSORS = "checkpoint.json", "tensors.safetensors"
FILES = (CONTENT, TENSORS)
SCHEMA = 1
_FORMAT = "dagrow checkpoint"
_MAX_CONTENT = 64 * 2**20
"""Bytes of the file that is no tensors: what stands in it, random numbers above all, has some 50 kB."""


class CheckpointError(RunError):
    """A checkpoint is damaged, cut off or none at all."""


class NewerCheckpointError(RunError):
    """A checkpoint was written by a newer version, which alone can go on."""


def encode(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, bytes]:
    """The files of a checkpoint by their names."""
    stored, text = save(dict(tensors)), _canonical(content)
    head = {
        "format": _FORMAT,
        "schema": SCHEMA,
        "sha256": {"content": sha256(text), "tensors": sha256(stored)},
        "content": content,
    }
    return {CONTENT: (json.dumps(head, allow_nan=False) + "\n").encode("utf-8"), TENSORS: stored}


def decode(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What `encode` was given.

    Raises:
        CheckpointError: if a file is missing, cut off, changed or of another kind.
        NewerCheckpointError: if the files follow a later schema.
    """
    try:
        head = json.loads(read_file(folder / CONTENT, _MAX_CONTENT, follow=False))
        stored = read_file(folder / TENSORS, follow=False)
    except OSError as error:
        raise CheckpointError(f"{error.filename}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{folder / CONTENT}: damaged or cut off") from error
    if not isinstance(head, dict) or head.get("format") != _FORMAT:
        raise CheckpointError(f"{folder / CONTENT}: not a checkpoint of dagrow")
    schema = head.get("schema")
    if type(schema) is int and schema > SCHEMA:
        raise NewerCheckpointError(
            f"{folder}: written by a newer dagrow (schema {schema}, this one reads up to {SCHEMA}); continue with that"
        )
    content, sums = head.get("content"), head.get("sha256")
    if schema != SCHEMA or not isinstance(content, dict) or not isinstance(sums, dict):
        raise CheckpointError(f"{folder / CONTENT}: not a checkpoint of schema {SCHEMA}")
    if sums.get("content") != sha256(_canonical(content)):
        raise CheckpointError(f"{folder / CONTENT}: damaged, its checksum does not fit")
    if sums.get("tensors") != sha256(stored):
        raise CheckpointError(f"{folder / TENSORS}: damaged or cut off, its checksum does not fit")
    try:
        return content, load(stored)
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{folder / TENSORS}: not a safetensors file ({error})") from error


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True).encode("utf-8")
