"""Shape inference: what comes out, and what does not fit, with place and message."""

import pytest
from graph_cases import problems
from zoo import conv, graph

from dagrow.graph import Dag
from dagrow.spec.graph import EdgeId

VECTOR, MAP, TOKENS = [4], [2, 5, 6], [3, 4]


def one(shape, op, **node):
    """Problems of a graph of one node."""
    return problems({"x": shape}, {"y": node}, {"x -> y": op}, "y")


LAYER_NORM_OF_ONE = (
    "norm 'layer' over a single value is 0 for every sample; give the node more features or another norm"
)
EDGE, NODE = "graph / edges / x -> y", "graph / nodes / y"


@pytest.mark.parametrize(
    ("shape", "op", "node", "path", "message"),
    [
        (
            VECTOR,
            "conv2d",
            {"size": 2},
            EDGE,
            "'conv2d' reads maps [channels, height, width], not [4]; use linear",
        ),
        (
            TOKENS,
            "conv2d",
            {"size": 2},
            EDGE,
            "'conv2d' reads maps [channels, height, width], not [3, 4]; use linear",
        ),
        (
            MAP,
            "linear",
            {"size": 2},
            EDGE,
            "'linear' reads vectors or tokens, not maps [2, 5, 6]: give the parent 'flatten: true' or "
            "'pool: global_average', or use conv2d",
        ),
        (MAP, conv(6), {"size": 2}, EDGE, "kernel [6, 6] is larger than the padded map [2, 5, 6]"),
        (
            MAP,
            conv((3, 2), dilation=(1, 6)),
            {"size": 2},
            EDGE,
            "kernel [3, 2] is larger than the padded map [2, 5, 6]",
        ),
        (MAP, conv(groups=3), {"size": 3}, EDGE, "'groups: 3' does not divide the 2 input channels"),
        (MAP, conv(groups=2), {"size": 3}, EDGE, "'groups: 2' does not divide the 3 output channels"),
        (
            TOKENS,
            "linear",
            {"size": 2, "norm": "batch"},
            f"{NODE} / norm",
            "norm 'batch' takes vectors or maps, not tokens; use 'layer'",
        ),
        *(
            (shape, op, {"size": 1, "norm": "layer"}, f"{NODE} / norm", LAYER_NORM_OF_ONE)
            for shape, op in ((VECTOR, "linear"), (TOKENS, "linear"), (MAP, conv((5, 6))))
        ),
        (VECTOR, "linear", {}, NODE, "field 'size' is missing: it says how many features the edges write"),
        (
            VECTOR,
            "identity",
            {"size": 3},
            f"{NODE} / size",
            "size 3 does not match what its edges write: x -> y writes 4",
        ),
        (
            VECTOR,
            {"op": "linear", "size": 3},
            {"size": 2},
            f"{EDGE} / size",
            "'size' is for edges into a concat node; 'y' is a sum, its edges write the node's size",
        ),
        (
            VECTOR,
            "linear",
            {"size": 2, "pool": "global_average"},
            f"{NODE} / pool",
            "nothing to pool: the node holds a vector, not maps or tokens",
        ),
        (
            TOKENS,
            "linear",
            {"size": 2, "pool": {"kind": "max"}},
            f"{NODE} / pool",
            "pool 'max' takes maps [channels, height, width], not [3, 2]",
        ),
        (
            MAP,
            conv(),
            {"size": 2, "pool": {"kind": "average", "kernel": 5, "padding": 0}},
            f"{NODE} / pool",
            "pool kernel 5 is larger than the map [2, 3, 4]",
        ),
        (
            VECTOR,
            "linear",
            {"merge": "concat"},
            EDGE,
            "give this edge a 'size', or give the concat node 'y' one",
        ),
        (
            [1, 50000, 50000],
            conv(1),
            {"size": 1},
            NODE,
            "2500000000 values per sample are more than the 2147483648 that a node may hold",
        ),
    ],
)
def test_what_does_not_fit(shape, op, node, path, message):
    assert one(shape, op, **node) == [(path, message)]


def two(first, second, **node):
    return problems({"x": first[0], "z": second[0]}, {"y": node}, {"x -> y": first[1], "z -> y": second[1]}, "y")


def test_a_sum_of_unequal_shapes():
    assert two((VECTOR, "identity"), ([5], "identity")) == [
        (NODE, "a sum needs equal shapes: x -> y writes [4], z -> y writes [5]")
    ]
    assert two((MAP, conv()), (MAP, conv(1)), size=2) == [
        (NODE, "a sum needs equal shapes: x -> y writes [2, 3, 4], z -> y writes [2, 5, 6]")
    ]
    assert two((TOKENS, "linear"), (VECTOR, "linear"), size=2) == [
        (NODE, "a sum needs equal shapes: x -> y writes [3, 2], z -> y writes [2]")
    ]


def test_a_concat_of_unequal_shapes():
    start = "a concat needs equal shapes but for the features: x -> y writes"
    assert two((MAP, "identity"), ([7, 4, 6], "identity"), merge="concat") == [
        (NODE, f"{start} [2, 5, 6], z -> y writes [7, 4, 6]")
    ]
    assert two((TOKENS, "identity"), (VECTOR, "identity"), merge="concat") == [
        (NODE, f"{start} [3, 4], z -> y writes [4]")
    ]


def test_shares_of_a_concat():
    linear = (VECTOR, "linear")
    place = f"{NODE} / size"
    assert two(linear, linear, merge="concat", size=5) == [
        (place, "5 of 5 features cannot be shared equally by 2 edges; give the edges a 'size'")
    ]
    assert two(linear, (VECTOR, "identity"), merge="concat", size=4) == [
        (place, "0 of 4 features cannot be shared equally by 1 edges; give the edges a 'size'")
    ]
    sized = (VECTOR, {"op": "linear", "size": 3})
    assert two(sized, sized, merge="concat", size=7) == [
        (place, "size 7 does not match what its edges write: x -> y writes 3, z -> y writes 3")
    ]


def test_several_problems_at_once_and_none_for_what_lies_below():
    nodes = {
        "a": {"size": 2, "norm": "batch"},
        "b": {},
        "c": {"size": 9},
        "y": {"size": 2},
        "w": {"size": 3},
    }
    edges = {
        "x -> a": "linear",
        "z -> b": "linear",
        "z -> c": "identity",
        "a -> y": conv(),
        "b -> y": conv(),
        "z -> w": "linear",
    }
    found = problems({"x": TOKENS, "z": VECTOR}, nodes, edges, ["y", "c", "w"])
    assert [path for path, _ in found] == [
        "graph / nodes / a / norm",
        "graph / nodes / b",
        "graph / nodes / c / size",
    ]


def shapes_of(inputs, nodes, edges, outputs="y"):
    dag = Dag.of(graph(inputs, nodes, edges, outputs))
    return dag, {name: (dag.merged(name), dag.output(name)) for name in dag.order}


def test_shapes_through_convolutions_pools_and_flatten():
    dag, found = shapes_of(
        {"x": [3, 9, 11]},
        {
            "h": {"size": 4, "pool": {"kind": "max", "kernel": 3, "stride": 2, "padding": 1}},
            "g": {"size": 5, "pool": {"kind": "average"}, "flatten": True},
            "p": {"size": 2, "pool": "global_average", "flatten": True},
            "y": {"size": 2},
        },
        {
            "x -> h": conv((3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 3)),
            "h -> g": conv(padding="same"),
            "h -> p": conv(2),
            "g -> y": "linear",
            "p -> y": "linear",
        },
    )
    assert found == {
        "h": ((4, 5, 8), (4, 3, 4)),
        "g": ((5, 3, 4), (10,)),
        "p": ((2, 2, 3), (2,)),
        "y": ((2,), (2,)),
    }
    assert (dag.size("g"), dag.output("x"), dag.written(EdgeId("g", "y"))) == (5, (3, 9, 11), (2,))


def test_shapes_of_tokens_and_concats():
    dag, found = shapes_of(
        {"x": TOKENS},
        {
            "h": {"size": 2},
            "c": {"merge": "concat", "size": 13},
            "m": {"size": 3, "pool": "global_average"},
            "f": {"flatten": True},
            "y": {"merge": "concat"},
        },
        {
            "x -> c": "linear",
            "h -> c": "identity",
            "x -> h": "linear",
            "h -> f": "identity",
            "c -> m": "linear",
            "m -> y": "identity",
            "f -> y": {"op": "linear", "size": 4},
        },
    )
    assert found == {
        "h": ((3, 2), (3, 2)),
        "c": ((3, 13), (3, 13)),
        "f": ((3, 2), (6,)),
        "m": ((3, 3), (3,)),
        "y": ((7,), (7,)),
    }
    assert dag.slots("c") == {EdgeId("x", "c"): slice(0, 11), EdgeId("h", "c"): slice(11, 13)}
    assert dag.slots("m") == {EdgeId("c", "m"): slice(0, 3)}


def test_a_sum_of_identities_needs_no_size():
    _, found = shapes_of({"x": MAP, "z": MAP}, {"y": {}}, {"x -> y": "identity", "z -> y": "identity"})
    assert found["y"] == ((2, 5, 6), (2, 5, 6))
