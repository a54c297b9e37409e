"""Large graphs on a page: repeated blocks are folded, the rest lies in rows, and nothing is lost or covered."""

from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from report_graphs import WIDE, graphs, over_x

import dagrow
from dagrow.graph import Dag
from dagrow.report import GrowthStep, History
from dagrow.report.folded import blocks_of, folded
from dagrow.report.picture.network import Drawing
from dagrow.report.picture.sheet import PAGE

SPECS = sorted((Path(__file__).parents[3] / "specs").glob("*.yaml"))
NEAR = 1e-6


def overlap(one, two):
    across = min(one.right, two.right) - max(one.left, two.left)
    return across > NEAR and min(one.bottom, two.bottom) - max(one.top, two.top) > NEAR


def enters(points, at):
    for (x0, y0), (x1, y1) in pairwise(points):
        across = min(max(x0, x1), at.right - NEAR) >= max(min(x0, x1), at.left + NEAR)
        if across and min(max(y0, y1), at.bottom - NEAR) >= max(min(y0, y1), at.top + NEAR):
            return True
    return False


def check(drawing, spec):
    """Boxes and marks keep apart, each edge of the graph goes around all but its own."""
    layout = drawing.layout
    assert layout.boxes.keys() == {*spec.nodes, *spec.inputs}
    assert layout.routes.keys() == spec.edges.keys()
    shown = [*layout.boxes.values(), *(at for _, at in drawing.marks)]
    assert not [pair for pair in combinations(shown, 2) if overlap(*pair)]
    for route in layout.routes.values():
        assert not [name for name, at in layout.boxes.items() if enters(route.points, at)]
        assert not [name for name, at in layout.boxes.items() if overlap(route.label, at)]
    assert all(at.right <= layout.width + NEAR and at.bottom <= layout.height + NEAR for at in shown)


def residual(count, size=4):
    """A stream with so many equal blocks, and an output."""
    nodes, edges, stream = {"s0": {"size": size}}, {"x -> s0": "linear"}, "s0"
    for i in range(1, count + 1):
        nodes |= {f"h{i}": {"size": 2, "activation": "relu"}, f"r{i}": {"size": size}, f"s{i}": {}}
        edges |= {f"{stream} -> h{i}": "linear", f"h{i} -> r{i}": "linear"}
        edges |= {f"{stream} -> s{i}": "identity", f"r{i} -> s{i}": "identity"}
        stream = f"s{i}"
    return over_x({**nodes, "y": {"size": 2}}, {**edges, f"{stream} -> y": "linear"})


def test_blocks_are_cut_where_everything_passes():
    assert blocks_of(Dag.of(residual(2))) == (
        ("x",),
        ("s0",),
        ("h1", "r1", "s1"),
        ("h2", "r2", "s2"),
        ("y",),
    )


def test_equal_blocks_are_folded_into_one():
    found = folded(residual(4))
    assert [*found.graph.nodes] == ["s0", "h1", "r1", "s1", "y"]
    assert found.notes["s1"] == "× 4, also s2, s3, s4"
    assert {str(edge) for edge in found.graph.edges} >= {"s1 -> y", "s0 -> h1", "s0 -> s1"}
    Dag.of(found.graph)
    assert folded(residual(6)).notes["h1"] == "× 6, also h2, h3, h4, ..."


def test_blocks_that_differ_are_not():
    spec = residual(3)
    nodes = {name: node.model_dump(exclude_defaults=True) for name, node in spec.nodes.items()}
    edges = {str(edge): op.name for edge, op in spec.edges.items()}
    for change in ({"h2": {"size": 3, "activation": "relu"}}, {"h2": {"size": 2, "activation": "tanh"}}):
        assert folded(over_x({**nodes, **change}, edges)).notes == {}
    assert folded(over_x(nodes, edges, outputs=["s1", "s2", "s3", "y"])).notes == {}
    assert folded(residual(1)).graph == residual(1)


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_every_spec_fits_a_page(spec):
    drawing = Drawing.on_a_page(History(dagrow.load_graph(spec)))
    shown = {life.name for life in drawing.lives.nodes.values()}
    check(drawing, drawing.lives.nodes[next(iter(shown))].dag.spec)
    # Landscape, or portrait: a sheet of A4 has sides of 842 and 595 points, so that small letters have 5 points there.
    assert drawing.layout.width <= 1.2 * PAGE
    assert drawing.layout.height <= 1.2 * PAGE


def test_a_u_net_looks_like_a_u():
    at = Drawing.on_a_page(History(dagrow.load_graph(SPECS[0].parent / "unet.yaml"))).layout.boxes
    down, up = (
        ["x", "in1", "down1", "pooled1", "in2", "down2", "pooled2", "in3", "bottom"],
        ["rise2", "skip2", "up2", "rise1", "skip1", "up1", "y"],
    )
    assert [at[name].top for name in down] == sorted(at[name].top for name in down)
    assert [at[name].top for name in ["bottom", *up]] == sorted(
        (at[name].top for name in ["bottom", *up]), reverse=True
    )
    order = [*down, *up]
    assert [at[name].centre[0] for name in order] == sorted(at[name].centre[0] for name in order)
    assert len({at[name].centre[0] for name in order}) == 5


@given(graphs(WIDE))
@settings(max_examples=10, deadline=None)
def test_any_graph(spec):
    drawing = Drawing.on_a_page(History(spec))
    check(drawing, next(iter(drawing.lives.nodes.values())).dag.spec)


def test_small_graphs_and_growth_stay_as_they_are():
    small, tall = residual(1), residual(6)
    assert Drawing.on_a_page(History(small)) == Drawing.of(History(small))
    grown = History(tall, (GrowthStep(1, tall),))
    assert Drawing.on_a_page(grown) == Drawing.of(grown)
