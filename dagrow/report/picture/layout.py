"""Where boxes and edges go: layers from top to bottom, edges around the boxes (graphlay does the work)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import graphlay

from dagrow.spec.graph import EdgeId

Point = tuple[float, float]
Size = tuple[float, float]

_OPTIONS: dict[str, Any] = {
    "direction": "topbottom",
    "spacing": {"layer_gap": 46.0, "node_gap": 34.0, "dummy_gap": 30.0, "edge_label_margin": 12.0},
    "routing": {"port_sides": "facing_only"},
}
_MORE_BENDS: dict[str, Any] = {"tuning": {"routing": {"step_flatten": 0.0}}}
_TRIED: tuple[dict[str, Any], ...] = (
    {},
    *({**_MORE_BENDS, "seed": seed} for seed in range(4)),
    {**_MORE_BENDS, "coords": {"placement": "brandes_koepf"}},
)
_BESIDE_LABEL = 30.0
"""Of an edge that runs sideways: what is left for its ends and head."""
_MANY_EDGES = 200
_TRIED_FOR_MANY: tuple[dict[str, Any], ...] = ({"effort": "fast", "coords": {"placement": "brandes_koepf"}},)
"""Above so many edges they lie too close for any of the other ways, each of which takes many times as long."""
_CLEARANCE = 5.0
"""graphlay straightens edges until some touch a box that they pass; the next way is tried if one comes so near."""


@dataclass(frozen=True)
class Rectangle:
    """A box; y grows downwards."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right side."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """Its lower side."""
        return self.top + self.height

    @property
    def centre(self) -> Point:
        """Its middle."""
        return self.left + self.width / 2, self.top + self.height / 2


@dataclass(frozen=True)
class Route:
    """An edge from border to border, and where its label stands."""

    points: tuple[Point, ...]
    label: Rectangle


@dataclass(frozen=True)
class Layout:
    """A layered drawing, its upper left corner at 0, 0."""

    boxes: dict[str, Rectangle]
    layers: dict[str, int]
    routes: dict[EdgeId, Route]
    width: float
    height: float


def place(boxes: Mapping[str, Size], labels: Mapping[EdgeId, Size], sideways: bool = False) -> Layout:
    """Lays out a graph.

    Args:
        boxes: width and height of each node.
        labels: of each edge, the width and height of its label.
        sideways: layers go from left to right, not from top to bottom.
    """
    graph = graphlay.Graph()
    for name, (width, height) in boxes.items():
        graph.node(name, width=width, height=height)
    for edge, (width, height) in labels.items():
        graph.edge(edge.source, edge.target, label_size={"width": width, "height": height})
    found = _clear(graph, _sideways(labels) if sideways else {})
    rectangles = [_around(_point(node["center"]), boxes[name]) for name, node in zip(boxes, found.nodes, strict=True)]
    routes = [
        Route(tuple(_point(point) for point in line["points"]), _around(_point(line["label_anchor"]), size))
        for size, line in zip(labels.values(), found.edges, strict=True)
    ]
    corners = list(_corners([*rectangles, *(route.label for route in routes)], routes))
    left, top = (min(corner[axis] for corner in corners) for axis in (0, 1))
    right, bottom = (max(corner[axis] for corner in corners) for axis in (0, 1))
    return Layout(
        boxes={name: _moved(box, left, top) for name, box in zip(boxes, rectangles, strict=True)},
        layers={name: int(node["rank"]) for name, node in zip(boxes, found.nodes, strict=True)},
        routes={
            edge: Route(tuple((x - left, y - top) for x, y in route.points), _moved(route.label, left, top))
            for edge, route in zip(labels, routes, strict=True)
        },
        width=right - left,
        height=bottom - top,
    )


def _sideways(labels: Mapping[EdgeId, Size]) -> dict[str, Any]:
    """Layers so far apart that labels fit between them."""
    gap = max((width for width, _ in labels.values()), default=0.0) + _BESIDE_LABEL
    return {"direction": "leftright", "spacing": {**_OPTIONS["spacing"], "layer_gap": max(46.0, gap)}}


def _clear(graph: graphlay.Graph, direction: dict[str, Any]) -> graphlay.Layout:
    """The first layout whose edges keep away from the boxes that they pass, or the best of all."""
    tried: list[tuple[float, graphlay.Layout]] = []
    for options in _TRIED if len(graph.edges) <= _MANY_EDGES else _TRIED_FOR_MANY:
        found = graphlay.layout(graph, options={**_OPTIONS, **direction, **options})
        distance = found.metrics()["min_edge_node_clearance"]
        tried.append((inf if distance is None else distance, found))
        if tried[-1][0] >= _CLEARANCE:
            break
    return max(tried, key=lambda entry: entry[0])[1]


def _point(value: Mapping[str, float]) -> Point:
    return value["x"], value["y"]


def _around(centre: Point, size: Size) -> Rectangle:
    return Rectangle(centre[0] - size[0] / 2, centre[1] - size[1] / 2, *size)


def _moved(box: Rectangle, left: float, top: float) -> Rectangle:
    return Rectangle(box.left - left, box.top - top, box.width, box.height)


def _corners(boxes: list[Rectangle], routes: list[Route]) -> Iterator[Point]:
    for box in boxes:
        yield box.left, box.top
        yield box.right, box.bottom
    for route in routes:
        yield from route.points
