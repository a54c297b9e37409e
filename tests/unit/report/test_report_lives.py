"""`lives`: when nodes and edges came and went, from the graphs alone; and how changes are told in short."""

from hypothesis import given, settings
from report_graphs import histories, over_x, sized

from dagrow.graph import Dag, changes
from dagrow.report import GrowthStep, History
from dagrow.report.labels import brief
from dagrow.report.provenance import Part, lives
from dagrow.spec import EdgeId

TWO = {"h": {"size": 2}, "y": {"size": 2}}
PATH = {"x -> h": "linear", "h -> y": "linear"}


def followed(*graphs):
    first, *others = graphs
    return lives(History(first, tuple(GrowthStep(number, spec) for number, spec in enumerate(others, start=1))))


def test_a_node_that_grows_keeps_account_of_each_step():
    found = followed(sized(2), sized(6), sized(6), sized(7))
    assert found.nodes["h"].parts == (Part(0, 2), Part(1, 4), Part(3, 1))
    assert found.nodes["h"].born == 0
    assert all((life.born, life.gone) == (0, None) for life in found.edges.values())


def test_what_is_lost_is_taken_from_the_youngest():
    assert followed(sized(2), sized(6), sized(7), sized(3)).nodes["h"].parts == (
        Part(0, 2),
        Part(1, 1),
    )
    assert followed(sized(3), sized(6), sized(1)).nodes["h"].parts == (Part(0, 1),)
    assert followed(sized(3), sized(6), sized(3), sized(5)).nodes["h"].parts == (
        Part(0, 3),
        Part(3, 2),
    )


def test_nodes_and_edges_come_and_go():
    small = over_x(TWO, PATH)
    skip = over_x(TWO, {**PATH, "x -> y": "linear"})
    deep = over_x({**TWO, "k": {"size": 4}}, {"x -> h": "linear", "h -> k": "linear", "k -> y": "linear"})
    found = followed(small, skip, deep, small)
    node = found.nodes["k"]
    assert (node.born, node.gone, node.parts, node.dag) == (2, 3, (Part(2, 4),), Dag.of(deep))
    ends = {str(edge): (life.born, life.gone) for edge, life in found.edges.items()}
    assert ends == {"x -> h": (0, None), "h -> y": (3, None), "x -> y": (1, 2), "h -> k": (2, 3), "k -> y": (2, 3)}


def test_an_edge_with_another_op_is_born_again():
    bare = over_x(TWO, {**PATH, "h -> y": {"op": "linear", "bias": False}})
    life = followed(over_x(TWO, PATH), bare).edges[EdgeId("h", "y")]
    assert (life.born, life.gone, life.op.has_bias) == (1, None, False)


@given(histories())
@settings(max_examples=150, deadline=None)
def test_at_the_end_there_is_what_is_alive(history):
    found, last = lives(history), Dag.of(history.end)
    alive = {name: life for name, life in found.nodes.items() if life.gone is None}
    assert alive.keys() == {*history.end.nodes, *history.end.inputs}
    for name, life in alive.items():
        assert life.dag is last
        assert sum(part.features for part in life.parts) == last.size(name)
        assert all(part.features > 0 for part in life.parts)
        assert [part.step for part in life.parts] == sorted({part.step for part in life.parts})
        assert life.parts[0].step >= life.born
    edges = {edge: life.op for edge, life in found.edges.items() if life.gone is None}
    assert edges == history.end.edges
    for life in (*found.nodes.values(), *found.edges.values()):
        assert life.gone is None or life.born < life.gone <= len(history.steps)


def test_changes_in_short():
    small = over_x(TWO, PATH)
    deep = over_x({**TWO, "k": {"size": 4}}, {"x -> h": "linear", "h -> k": "linear", "k -> y": "linear"})
    other = over_x({**TWO, "h": {"size": 2, "activation": "relu"}}, {**PATH, "x -> y": {"op": "linear", "bias": False}})
    assert brief(changes(small, small)) == ""
    assert brief(changes(sized(2), sized(6))) == "h +4"
    assert brief(changes(sized(6), sized(2))) == "h −4"
    assert brief(changes(small, deep)) == "new k, removed h → y"
    assert brief(changes(deep, small)) == "new h → y, removed k"
    assert brief(changes(small, other)) == "new x → y, changed h"
    bias = over_x({**TWO, "h": {"size": 2, "activation": "relu"}}, {**PATH, "x -> y": "linear"})
    assert brief(changes(other, bias)) == "changed x → y"


def test_steps_without_an_effect():
    steps = (
        GrowthStep(1, sized(2)),
        GrowthStep(2, sized(2), gain=0.5),
        GrowthStep(3, sized(4)),
        GrowthStep(4, sized(4)),
    )
    assert History(sized(2), steps).effects == (False, True, True, False)
