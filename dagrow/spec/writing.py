"""Specs as YAML text: sections in block style, one line for each node and edge, order kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from dagrow.errors import DagrowError
from dagrow.files import replace_file
from dagrow.spec.document import plain_scalar
from dagrow.spec.graph import GraphSpec
from dagrow.spec.loaders import VERSION
from dagrow.spec.run import RunSpec


def dump_graph(spec: GraphSpec) -> str:
    """The text of a graph file; fields at their default are left out."""
    return _text({"version": VERSION, "graph": _graph_sections(spec)})


def plain_graph(spec: GraphSpec) -> dict[str, Any]:
    """The graph section of such a file as plain data, for JSON; ``GraphSpec.model_validate`` takes it back."""
    return _compact(spec)


def dump_run(run: RunSpec) -> str:
    """The text of a run file with every default of data, training and growth written out."""
    sections = run.model_dump(mode="json", exclude_none=True)
    sections["graph"] = _graph_sections(run.graph)
    for name in ("training", "growth"):
        sections[name] = {
            key: _Line(value) if isinstance(value, dict) else value for key, value in sections[name].items()
        }
    return _text({"version": VERSION, **sections})


def save_graph(spec: GraphSpec, path: str | Path) -> None:
    """Writes a graph file; whoever reads it meanwhile finds the old one or the new one, whole.

    Raises:
        DagrowError: if it cannot be written there.
    """
    write_atomically(dump_graph(spec), path)


def write_atomically(content: str | bytes, path: str | Path) -> None:
    """Writes a file through a temporary one in the same folder; text as UTF-8.

    Raises:
        DagrowError: if it cannot be written there.
    """
    try:
        # Where a link leads, so that the link stays.
        replace_file(Path(os.path.realpath(path)), content.encode("utf-8") if isinstance(content, str) else content)
    except OSError as error:
        raise DagrowError(f"{path}: cannot be written: {error.strerror or error}") from None


class _Line(dict[str, Any]):
    """A mapping that is written on one line."""


class _Dumper(yaml.SafeDumper):
    """Writes what `read_document` reads back equal; other YAML readers understand the same."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # PyYAML quotes what YAML 1.1 would misread, such as 'on'; 1.2 numbers such as 1e3 come on top.
    style = None if isinstance(plain_scalar(text), str) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style if text.isprintable() else '"')


def _represent_list(dumper: _Dumper, items: list[Any]) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)


def _represent_line(dumper: _Dumper, entries: _Line) -> yaml.MappingNode:
    return dumper.represent_mapping("tag:yaml.org,2002:map", entries, flow_style=True)


_REPRESENTERS: dict[type, Callable[[Any, Any], yaml.Node]] = {
    str: _represent_text,
    list: _represent_list,
    _Line: _represent_line,
}
for _kind, _represent in _REPRESENTERS.items():
    _Dumper.add_representer(_kind, _represent)


def _graph_sections(spec: GraphSpec) -> dict[str, Any]:
    sections = _compact(spec)
    for name in ("inputs", "nodes", "edges"):
        sections[name] = {
            key: _Line(value) if isinstance(value, dict) else value for key, value in sections[name].items()
        }
    return sections


def _compact(spec: BaseModel) -> dict[str, Any]:
    return spec.model_dump(mode="json", exclude_defaults=True)


def _text(data: dict[str, Any]) -> str:
    try:
        return yaml.dump(
            data, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=2**31
        )
    except yaml.YAMLError as error:
        raise DagrowError(f"cannot be written as YAML: {str(error)[:200]}") from None
