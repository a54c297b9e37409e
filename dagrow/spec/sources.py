"""The entries of ``data:`` of which a run file gives one, and the paths in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dagrow.spec.array_source import ArraysSpec
from dagrow.spec.image_source import ImagesSpec
from dagrow.spec.table_source import TableSpec

SOURCES = ("dataset", "npz", "csv", "table", "images", "arrays")

_FILES = ("npz", "csv")
_SECTIONS = {"table": TableSpec.paths, "images": ImagesSpec.paths, "arrays": ArraysSpec.paths}


def path_entries(section: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str, tuple[str, ...]]]:
    """Where a ``data:`` section, as read, holds paths: the mapping, the key in it, and the keys that lead there."""
    for name in _FILES:
        yield section, name, (name,)
    for name, keys in _SECTIONS.items():
        inner = section.get(name)
        if not isinstance(inner, dict):
            continue
        for key in keys:
            if isinstance(files := inner.get(key), dict):
                yield from ((files, each, (name, key, each)) for each in files)
            else:
                yield inner, key, (name, key)
