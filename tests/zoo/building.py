"""Graphs with every feature that a network can have."""

from dagrow.spec import GraphSpec
from zoo.graphs import conv, graph

BUILDING: dict[str, GraphSpec] = {
    "mlp": graph(
        {"x": [4]},
        {"h": {"size": 3, "activation": "tanh"}, "y": {"size": 2}},
        {"x -> h": "linear", "h -> y": "linear"},
        "y",
    ),
    "sum and skip": graph(
        {"x": [4]},
        {
            "h": {"size": 3, "activation": "relu", "norm": "layer"},
            "k": {"size": 3, "activation": "selu"},
            "y": {"size": 2},
        },
        {
            "x -> h": "linear",
            "h -> k": {"op": "linear", "bias": False},
            "x -> k": "linear",
            "k -> y": "linear",
            "h -> y": "linear",
        },
        "y",
    ),
    "residual": graph(
        {"x": [4]},
        {
            "h": {"size": 4, "activation": "gelu"},
            "r": {"size": 4},
            "s": {"activation": "tanh"},
            "y": {"size": 2},
        },
        {
            "x -> h": "linear",
            "h -> r": "linear",
            "h -> s": "identity",
            "r -> s": "identity",
            "s -> y": "linear",
        },
        "y",
    ),
    "lone identities": graph(
        {"x": [4]},
        {"h": {"size": 3}, "k": {"activation": "tanh"}, "l": {"merge": "concat"}, "y": {"size": 2}},
        {
            "x -> h": "linear",
            "h -> k": "identity",
            "k -> l": "identity",
            "l -> y": "linear",
            "h -> y": "linear",
            "k -> y": "linear",
        },
        "y",
    ),
    "concat": graph(
        {"x": [4]},
        {
            "h": {"size": 3, "activation": "elu"},
            "c": {"merge": "concat", "norm": "batch", "activation": "silu"},
            "y": {"size": 2},
        },
        {"h -> c": "identity", "x -> c": {"op": "linear", "size": 2}, "x -> h": "linear", "c -> y": "linear"},
        "y",
    ),
    "two in, two out": graph(
        {"x": [4], "z": [2, 5, 5]},
        {
            "f": {"size": 3, "activation": "relu", "flatten": True},
            "h": {"size": 3, "activation": "leaky_relu", "dropout": 0.5},
            "y": {"size": 2},
            "w": {"size": 1, "activation": "softplus"},
        },
        {
            "z -> f": conv(),
            "x -> h": "linear",
            "f -> h": "linear",
            "h -> y": "linear",
            "f -> w": "linear",
            "h -> w": "linear",
        },
        ["y", "w"],
    ),
    "convolutions": graph(
        {"x": [2, 6, 6]},
        {
            "h": {"size": 4, "norm": "batch", "activation": "relu", "pool": {"kind": "max"}},
            "g": {
                "size": 2,
                "norm": "layer",
                "pool": {"kind": "average", "kernel": 3, "stride": 2, "padding": 1},
            },
            "c": {"merge": "concat", "flatten": True},
            "p": {"size": 3, "pool": "global_average", "activation": "tanh"},
            "y": {"size": 2},
        },
        {
            "x -> h": conv(padding="same"),
            "h -> g": conv((3, 1), padding=(1, 0), groups=2),
            "x -> c": conv(2, stride=3, size=1, bias=False),
            "g -> c": "identity",
            "h -> p": conv(2, dilation=2),
            "p -> y": "linear",
            "c -> y": "linear",
        },
        "y",
    ),
    "down and up": graph(
        {"x": [2, 4, 6]},
        {
            "h": {"size": 3, "norm": "batch", "activation": "relu", "pool": {"kind": "max"}},
            "u": {"size": 2, "activation": "tanh"},
            "v": {"size": 2, "activation": "selu", "pool": {"kind": "upsample", "kernel": 2}},
            "c": {"merge": "concat"},
            "y": {"size": 2},
        },
        {
            "x -> h": conv(padding="same"),
            "h -> u": "conv_transpose2d",
            "h -> v": conv(1),
            "u -> c": "identity",
            "v -> c": "identity",
            "x -> c": conv(1, size=1),
            "c -> y": {
                "op": "conv_transpose2d",
                "kernel": [3, 2],
                "stride": [2, 1],
                "padding": [1, 0],
                "output_padding": [1, 0],
                "dilation": [1, 2],
                "bias": False,
            },
        },
        "y",
    ),
    "tokens": graph(
        {"x": [5, 3]},
        {
            "h": {"size": 4, "activation": "gelu", "norm": "layer"},
            "k": {"merge": "concat"},
            "m": {"size": 2, "pool": "global_average"},
            "f": {"size": 2, "flatten": True},
            "y": {"size": 2},
        },
        {
            "x -> h": "linear",
            "h -> k": "identity",
            "x -> k": "identity",
            "k -> m": "linear",
            "k -> f": "linear",
            "m -> y": "linear",
            "f -> y": "linear",
        },
        "y",
    ),
    "an output inside": graph(
        {"x": [4]},
        {"h": {"size": 2, "activation": "tanh"}, "k": {"size": 2, "activation": "tanh"}, "y": {"size": 2}},
        {"x -> h": "linear", "h -> k": "linear", "k -> y": "linear", "x -> y": "linear"},
        ["h", "y"],
    ),
}
