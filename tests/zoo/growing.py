"""Graphs that are hard to grow, for properties that hold of every graph."""

from zoo.graphs import conv, graph, node, transposed

BARE = {"op": "linear", "bias": False}
MAX = {"kind": "max", "kernel": 2}

GROWING = {
    "mlp": graph(
        {"x": [5]},
        {"h": node(2, "selu"), "k": node(2, "gelu"), "y": 3},
        {"x->h": "linear", "h->k": "linear", "k->y": "linear"},
    ),
    "skip": graph(
        {"x": [5]},
        {"h": node(2, "relu"), "k": node(2, "tanh"), "y": 3},
        {"x->h": "linear", "h->k": "linear", "x->k": BARE, "k->y": "linear", "h->y": "linear"},
    ),
    "concat": graph(
        {"x": [5]},
        {"h": node(2, "relu"), "k": node(2), "c": {"merge": "concat", "activation": "selu"}, "y": 3},
        {
            "x->h": "linear",
            "x->k": "linear",
            "k->c": "identity",
            "h->c": "identity",
            "c->y": "linear",
            "h->y": BARE,
        },
    ),
    "batch norm": graph(
        {"x": [5]},
        {"h": node(2, "relu", norm="batch"), "k": node(2, "tanh"), "y": 3},
        {"x->h": "linear", "h->k": "linear", "x->k": BARE, "k->y": "linear", "h->y": "linear"},
    ),
    "cap norm": graph(
        {"x": [5]},
        {"h": node(2, "relu", norm="cap_batch"), "k": node(2, "tanh", norm="cap_batch"), "y": 3},
        {"x->h": "linear", "h->k": "linear", "x->k": BARE, "k->y": "linear", "h->y": "linear"},
    ),
    "batch norm behind a concat": graph(
        {"x": [5]},
        {
            "h": node(2, "relu"),
            "k": node(2),
            "c": {"merge": "concat", "norm": "batch", "activation": "tanh"},
            "y": 3,
        },
        {"x->h": "linear", "x->k": "linear", "k->c": "identity", "h->c": "identity", "c->y": "linear"},
    ),
    "layer norm beside": graph(
        {"x": [5]},
        {"h": node(2, "selu"), "k": node(3, "relu", norm="layer"), "y": 3},
        {"x->h": "linear", "h->k": "linear", "k->y": "linear"},
    ),
    "tokens": graph(
        {"x": [3, 4]},
        {"h": node(2, "gelu"), "k": node(2, "tanh", pool="global_average"), "y": 3},
        {"x->h": "linear", "h->k": "linear", "k->y": "linear"},
    ),
    "embedded tokens": graph(
        {"x": {"shape": [3], "vocabulary": 5}, "z": [3, 2]},
        {"h": node(2, "gelu"), "k": node(2, "tanh"), "y": node(3, pool="global_average")},
        {"x->h": "embedding", "z->h": "position", "h->k": "linear", "z->k": "linear", "k->y": "linear"},
    ),
    "attention": graph(
        {"x": [3, 4]},
        {
            "h": node(2, "gelu"),
            "qkv": node(12, attention={"heads": 2, "causal": True}),
            "k": node(2, "tanh"),
            "y": node(3, pool="global_average"),
        },
        {"x->h": "linear", "h->qkv": "linear", "qkv->k": "linear", "k->y": "linear"},
    ),
    "maps as tokens": graph(
        {"x": [1, 4, 4]},
        {
            "h": node(2, "relu", norm="batch", pool=MAX, tokens=True),
            "k": node(2, "gelu"),
            "c": {"merge": "concat"},
            "y": node(3, pool="global_average"),
        },
        {"x->h": conv(padding=1), "h->k": "linear", "h->c": "identity", "k->c": "identity", "c->y": "linear"},
    ),
    "two inputs, two outputs": graph(
        {"x": [4], "z": [3]},
        {"h": node(2, "selu"), "k": node(2, "tanh"), "y": 2, "w": 3},
        {
            "x->h": "linear",
            "z->h": "linear",
            "z->k": "linear",
            "h->k": "linear",
            "k->w": "linear",
            "h->y": "linear",
        },
        ["y", "w"],
    ),
    "convolution, pool, flatten": graph(
        {"x": [2, 6, 6]},
        {"h": node(2, "relu", pool=MAX), "k": node(2, "selu", flatten=True), "y": 3},
        {"x->h": conv(padding=1), "h->k": conv(kernel=2), "k->y": "linear"},
    ),
    "convolution, global average": graph(
        {"x": [2, 5, 5]},
        {"h": node(2, "relu", norm="batch"), "k": node(2, "tanh", pool="global_average"), "y": 3},
        {"x->h": conv(padding="same"), "h->k": conv(padding=1), "k->y": "linear"},
    ),
    "strides and dilation": graph(
        {"x": [1, 9, 8]},
        {"h": node(2, "selu"), "k": node(2, "relu", pool="global_average"), "y": 3},
        {
            "x->h": conv(kernel=(3, 2), stride=(2, 1), padding=(1, 1), dilation=(1, 2)),
            "h->k": conv(kernel=2, dilation=(2, 1), stride=(1, 2), padding=1),
            "k->y": "linear",
        },
    ),
    "down and up again": graph(
        {"x": [1, 5, 4]},
        {
            "h": node(2, "relu", pool=MAX),
            "k": node(2, "selu", norm="batch"),
            "c": {"merge": "concat", "activation": "tanh", "pool": {"kind": "upsample", "kernel": 2}},
            "y": node(3, pool="global_average"),
        },
        {
            "x->h": conv(padding=1),
            "h->k": transposed(kernel=(3, 2), padding=(1, 0), output_padding=1),
            "k->c": transposed(kernel=3, stride=(1, 2), padding=1, output_padding=(0, 1), bias=False, size=2),
            "h->c": transposed(kernel=(2, 1), stride=(2, 5), output_padding=(0, 4), size=1),
            "c->y": conv(kernel=3, stride=2),
        },
    ),
    "series": graph(
        {"x": {"shape": [2, 7], "layout": "channels_first"}},
        {
            "h": node(2, "relu", norm="batch", pool=MAX),
            "k": node(2, "selu", pool={"kind": "upsample", "kernel": 2}),
            "c": {"merge": "concat", "activation": "tanh", "flatten": True},
            "w": node(2, "tanh", pool="global_average"),
            "y": 3,
        },
        {
            "x->h": {"op": "conv1d", "kernel": 3, "stride": 2, "padding": 2, "dilation": 2},
            "h->k": {"op": "conv1d", "kernel": 2, "padding": 1},
            "k->c": "identity",
            "k->w": {"op": "conv1d", "padding": "same"},
            "w->y": "linear",
            "c->y": "linear",
        },
    ),
    "volumes": graph(
        {"x": [1, 5, 3, 3]},
        {"h": node(2, "relu", norm="batch"), "k": node(2, "selu", pool=MAX, flatten=True), "y": 3},
        {
            "x->h": {"op": "conv3d", "kernel": [3, 2, 1], "stride": [2, 1, 1], "padding": 1},
            "h->k": {"op": "conv3d", "kernel": 2, "dilation": [1, 2, 1]},
            "k->y": "linear",
        },
    ),
    "concat of maps, pool, flatten": graph(
        {"x": [1, 6, 6]},
        {
            "h": node(2, "relu"),
            "k": node(1),
            "c": {"merge": "concat", "activation": "tanh", "pool": MAX, "flatten": True},
            "y": 3,
        },
        {
            "x->h": conv(padding=1),
            "x->k": conv(padding=1),
            "k->c": "identity",
            "h->c": "identity",
            "c->y": "linear",
        },
    ),
}
