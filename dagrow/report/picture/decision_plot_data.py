"""A decision in a plane: what the network sees where, the samples, and what is new."""

from __future__ import annotations

import io
from typing import Any

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dagrow.errors import printable
from dagrow.methods import Scene, Straight
from dagrow.report.picture.style import FAINT, INK, MUTED, PAPER, SMALL, TEXT, TINY, as_delivered, tint

_GRID = 300
"""Points along each axis at which the network is asked."""
_MARGIN = 0.08
_LINES: dict[str, dict[str, Any]] = {
    "present": {"color": FAINT, "linewidth": 0.9, "linestyle": ":"},
    "boundary": {"color": INK, "linewidth": 1.2, "linestyle": "--", "zorder": 4},
    "crease": {"color": "#c92a2a", "linewidth": 2.4, "linestyle": "-", "zorder": 3},
}
_CLASSES = (
    "#3b5bdb",
    "#f0b400",
    "#0c8599",
    "#9c36b5",
    "#f76707",
    "#5f6b7a",
    "#e64980",
    "#2b8a3e",
    "#862e9c",
    "#495057",
)
"""In turn, where there are more."""


def draw_scene(scene: Scene, title: str) -> bytes:
    """The picture as a PNG; the same input gives the same bytes."""
    with as_delivered():
        figure = Figure(figsize=(6.4, 5.6), facecolor=PAPER, layout="constrained")
        axes = figure.add_subplot()
        low, high = _frame(scene)
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(low[1], high[1])
        _paint_classes(axes, scene, low, high)
        for line in scene.lines:
            _paint_line(axes, line)
        markers = ("*", "X", "D", "P")
        for (name, point), marker in zip(scene.marks.items(), markers, strict=False):
            style: dict[str, Any] = {"s": 130, "c": PAPER, "edgecolors": INK, "linewidths": 1.2, "zorder": 5}
            axes.scatter(*point.tolist(), marker=marker, label=name, **style)
        axes.tick_params(labelsize=TINY, colors=MUTED)
        figure.legend(loc="outside lower center", ncols=3, fontsize=SMALL, frameon=False)
        axes.set_title(printable(title), fontsize=TEXT, color=INK, loc="left", wrap=True)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=140)
    return file.getvalue()


def _frame(scene: Scene) -> tuple[list[float], list[float]]:
    """The corners: all samples and marks, with a margin."""
    shown = torch.cat([scene.points, *(point.unsqueeze(0) for point in scene.marks.values())])
    low, high = shown.amin(0), shown.amax(0)
    margin = _MARGIN * torch.where(high > low, high - low, 1.0)
    return (low - margin).tolist(), (high + margin).tolist()


def _paint_classes(axes: Axes, scene: Scene, low: list[float], high: list[float]) -> None:
    """What the network sees where, the region that is looked at, and the samples."""
    across, up = (torch.linspace(a, b, _GRID, dtype=scene.points.dtype) for a, b in zip(low, high, strict=True))
    grid = torch.stack(torch.meshgrid(across, up, indexing="xy"), dim=-1).flatten(0, 1).to(scene.points.device)
    seen = scene.classify(grid).reshape(_GRID, _GRID).cpu().numpy()
    inside = scene.region(grid).reshape(_GRID, _GRID).cpu().double().numpy()
    count = max(int(scene.labels.max()), int(seen.max())) + 1
    colours = [_CLASSES[index % len(_CLASSES)] for index in range(count)]
    soft = matplotlib.colors.ListedColormap([tint(colour, 0.25) for colour in colours])
    x, y = across.numpy(), up.numpy()
    axes.pcolormesh(x, y, seen, cmap=soft, vmin=-0.5, vmax=count - 0.5, rasterized=True)
    if 0 < inside.mean() < 1:
        axes.contour(x, y, inside, levels=[0.5], colors=[MUTED], linewidths=1.6)
    axes.plot([], [], color=MUTED, linewidth=1.6, label=scene.region_name)
    for label in range(count):
        of = scene.points[scene.labels == label].cpu().numpy()
        if len(of):
            axes.scatter(of[:, 0], of[:, 1], s=9, color=colours[label], label=f"class {label}", linewidths=0)


def _paint_line(axes: Axes, line: Straight) -> None:
    """A line across the whole picture; nothing where it has no direction."""
    normal, square = line.normal, float(line.normal @ line.normal)
    if square == 0:
        return
    start = -line.offset / square * normal
    along = torch.stack([-normal[1], normal[0]])
    ends = [(float(p[0]), float(p[1])) for p in (start, start + along / square**0.5)]
    axes.axline(ends[0], ends[1], label=line.name or None, **_LINES[line.role])
