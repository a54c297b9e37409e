"""Distributions that are installed as far as Python can tell: a folder of metadata on the path, nothing built."""

import sys
import tomllib
from pathlib import Path

from command_tools import ROOT

import dagrow.registry.plugins as plugins

EXAMPLE = ROOT / "examples" / "plugins"


def distribution(folder: Path, name: str, points: dict[str, str], version: str = "1.0") -> Path:
    """Makes the metadata of a distribution with these entry points; what has to be on the path."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{point} = {target}\n" for point, target in points.items()]
    (info / "entry_points.txt").write_text(f"[{plugins.GROUP}]\n{''.join(lines)}")
    return folder


def example_distribution(folder: Path) -> list[str]:
    """As ``pip install examples/plugins`` would make it; the folders that have to be on the path."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    points = project["entry-points"][plugins.GROUP]
    return [str(distribution(folder, project["name"], points, project["version"])), str(EXAMPLE)]


def forget(*names: str) -> None:
    """Modules of plugins are imported anew next time."""
    for module in [module for module in sys.modules if module.partition(".")[0] in names]:
        del sys.modules[module]
