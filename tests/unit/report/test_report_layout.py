"""The layout of a picture: layers go down, boxes keep apart, edges go around boxes and join their ends."""

from itertools import combinations, pairwise

import graphlay
from hypothesis import given, settings
from hypothesis import strategies as st
from report_graphs import LONG, WIDE, graphs, histories, over_x

from dagrow.report import History
from dagrow.report.picture.boxes import box
from dagrow.report.picture.layout import Layout, Rectangle, place
from dagrow.report.picture.network import Drawing
from dagrow.spec.graph import EdgeId

NEAR = 1e-6


def overlap(one: Rectangle, two: Rectangle) -> bool:
    across = min(one.right, two.right) - max(one.left, two.left)
    return across > NEAR and min(one.bottom, two.bottom) - max(one.top, two.top) > NEAR


def segments(points):
    """The straight parts of a route as rectangles; all run along an axis, but for what nobody sees."""
    for (x0, y0), (x1, y1) in pairwise(points):
        assert min(abs(x0 - x1), abs(y0 - y1)) < 1
        yield Rectangle(min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0))


def enters(segment: Rectangle, at: Rectangle) -> bool:
    """Whether a segment comes inside a box; along its border does not count."""
    across = min(segment.right, at.right - NEAR) >= max(segment.left, at.left + NEAR)
    return across and min(segment.bottom, at.bottom - NEAR) >= max(segment.top, at.top + NEAR)


def on_border(point, at: Rectangle) -> bool:
    x, y = point
    inside = at.left - NEAR <= x <= at.right + NEAR and at.top - NEAR <= y <= at.bottom + NEAR
    sides = (abs(x - at.left), abs(x - at.right), abs(y - at.top), abs(y - at.bottom))
    return inside and min(sides) < NEAR


def check(layout: Layout) -> None:
    for one, two in combinations(layout.boxes.values(), 2):
        assert not overlap(one, two)
    for edge, route in layout.routes.items():
        assert on_border(route.points[0], layout.boxes[edge.source])
        assert on_border(route.points[-1], layout.boxes[edge.target])
        for segment in segments(route.points):
            assert not [name for name, at in layout.boxes.items() if enters(segment, at)]
        assert not [name for name, at in layout.boxes.items() if overlap(route.label, at)]
    for one, two in combinations([route.label for route in layout.routes.values()], 2):
        assert not overlap(one, two)
    for at in (*layout.boxes.values(), *(route.label for route in layout.routes.values())):
        assert at.left >= -NEAR
        assert at.top >= -NEAR
        assert at.right <= layout.width + NEAR
        assert at.bottom <= layout.height + NEAR


def check_layers(layout: Layout) -> None:
    for edge in layout.routes:
        assert layout.layers[edge.source] < layout.layers[edge.target]
        assert layout.boxes[edge.source].bottom < layout.boxes[edge.target].top


@given(graphs(WIDE))
@settings(max_examples=60, deadline=None)
def test_any_graph(spec):
    layout = Drawing.of(History(spec)).layout
    assert layout.boxes.keys() == {*spec.inputs, *spec.nodes}
    assert layout.routes.keys() == spec.edges.keys()
    check(layout)
    check_layers(layout)


@given(histories())
@settings(max_examples=60, deadline=None)
def test_any_history_even_where_old_and_new_edges_make_a_cycle(history):
    check(Drawing.of(history).layout)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_sizes(data):
    spec = data.draw(graphs(WIDE[:20]))
    extent = st.floats(1, 400)
    boxes = {name: data.draw(st.tuples(extent, extent)) for name in (*spec.inputs, *spec.nodes)}
    layout = place(boxes, dict.fromkeys(spec.edges, (30.0, 10.0)))
    assert {name: (at.width, at.height) for name, at in layout.boxes.items()} == boxes
    check_layers(layout)
    for one, two in combinations(layout.boxes.values(), 2):
        assert not overlap(one, two)


def test_a_chain_is_straight():
    spec = over_x({name: {"size": 2} for name in "abcy"}, {f"{u} -> {v}": "linear" for u, v in pairwise("xabcy")})
    layout = Drawing.of(History(spec)).layout
    assert layout.layers == {name: layer for layer, name in enumerate("xabcy")}
    assert len({at.centre[0] for at in layout.boxes.values()}) == 1
    assert all(len(route.points) == 2 for route in layout.routes.values())


def test_the_layout_depends_on_nothing_but_the_graph():
    spec = over_x(
        {name: {"size": 2} for name in "abcy"},
        {f"{u} -> {v}": "linear" for u, v in [*pairwise("xabcy"), ("x", "c"), ("a", "y"), ("x", "y")]},
    )
    assert Drawing.of(History(spec)).layout == Drawing.of(History(spec)).layout


def test_text_stays_inside_its_box():
    nodes = {LONG: {"size": 2, "norm": "batch", "activation": "softplus", "dropout": 0.25}, "y": {"size": 2}}
    drawing = Drawing.of(History(over_x(nodes, {f"x -> {LONG}": "linear", f"{LONG} -> y": "linear"})))
    found = box(drawing.lives.nodes[LONG], None, 1)
    assert len(LONG) == 80
    assert "".join(line.text for line in found.lines if line.bold) == LONG
    width, height = found.size
    assert all(line.width < width - 10 for line in found.lines)
    assert found.text_height < height
    assert width < 300


def test_graphs_of_many_edges_are_laid_out_once(monkeypatch):
    names = [f"n{index}" for index in range(24)]
    edges = [EdgeId(one, two) for one, two in combinations(names, 2)]
    tried, laid_out = [], graphlay.layout

    def counted(graph, **options):
        tried.append(len(graph.edges))
        return laid_out(graph, **options)

    monkeypatch.setattr(graphlay, "layout", counted)
    layout = place(dict.fromkeys(names, (80.0, 40.0)), dict.fromkeys(edges, (30.0, 10.0)))
    assert tried == [len(edges)] == [276]
    assert layout.routes.keys() == {*edges}
    check_layers(layout)
