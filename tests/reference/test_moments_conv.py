"""Moments of convolutions against loops over samples, positions and kernel offsets."""

import itertools

import numpy as np
import pytest
import reference_loops as loops
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference_checks import case, check_nodes, check_site, close, collected
from reference_network import graph, normal, squared, stream
from torch.nn import functional

from dagrow.ops import ShapeError, find_op


def conv(**fields):
    return {"op": "conv2d", **fields}


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
steps = st.tuples(st.integers(1, 2), st.integers(1, 2))


@st.composite
def convolutions(draw):
    """Any convolution: unequal kernel sides, strides and dilations, padding beyond the kernel, 'same', transposed."""
    case = draw(st.sampled_from(["plain", "same", "transposed"]))
    if case == "transposed":
        stride = draw(steps)
        return find_op("conv_transpose2d")(
            kernel=draw(pairs),
            stride=stride,
            padding=draw(st.tuples(st.integers(0, 2), st.integers(0, 2))),
            output_padding=tuple(draw(st.integers(0, s - 1)) for s in stride),
            dilation=draw(steps),
            bias=draw(st.booleans()),
        )
    if case == "same":
        odd = st.sampled_from([1, 3])
        return find_op("conv2d")(
            kernel=(draw(odd), draw(odd)), dilation=draw(steps), padding="same", bias=draw(st.booleans())
        )
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    return find_op("conv2d")(
        kernel=draw(pairs),
        stride=draw(steps),
        dilation=draw(steps),
        padding=padding,
        bias=draw(st.booleans()),
    )


maps = st.tuples(st.integers(1, 2), st.integers(3, 5), st.integers(3, 6))


def fitting(op, shape):
    """The output shape, with the example thrown away if the kernel does not fit."""
    try:
        return op.output_shape(shape, 2)
    except ShapeError:
        assume(False)


@settings(max_examples=40)
@given(first=convolutions(), second=convolutions(), shape=maps, pointwise=st.booleans(), seed=st.integers(0, 99))
def test_two_convolutions_with_anything_unequal(first, second, shape, pointwise, seed):
    fitting(second, fitting(first, shape))
    nodes = {"h": {"size": 2, "activation": "selu"}, "y": 2}
    spec = graph({"x": shape}, nodes, {"x->h": first, "h->y": second})
    with pytest.MonkeyPatch.context() as patch:
        check_site(patch, spec, samples=2, seed=seed, pointwise=pointwise)
    check_nodes(spec, samples=2, seed=seed)


@st.composite
def read(draw):
    """A convolution over one, two or three axes and the shape of what it reads."""
    dims = draw(st.sampled_from([1, 2, 3]))
    if dims == 2:
        op, shape = draw(convolutions()), draw(maps)
    else:
        fields = {name: tuple(draw(st.integers(1, 2)) for _ in range(dims)) for name in ("stride", "dilation")}
        fields["kernel"] = tuple(draw(st.integers(1, 3)) for _ in range(dims))
        fields["padding"] = tuple(draw(st.integers(0, 2)) for _ in range(dims))
        op = find_op(f"conv{dims}d")(**fields, bias=draw(st.booleans()))
        shape = (draw(st.integers(1, 2)), *(draw(st.integers(2, 5)) for _ in range(dims)))
    fitting(op, shape)
    return op, shape


@settings(max_examples=60)
@given(case=read(), seed=st.integers(0, 99))
def test_features_are_unfolded_patches(case, seed):
    op, shape = case
    x = normal(2, *shape, seed=seed)
    found = op.features(x)
    if op.name == "conv2d":
        stride, dilation, kernel = op.stride, op.dilation, op.kernel
        expected = functional.unfold(x, kernel, dilation, loops.margins(op), stride).transpose(1, 2)
    else:
        out = itertools.product(*map(range, op.output_shape(shape, 1)[1:]))
        patches = [[loops.edge_features(op, sample, j) for sample in x.numpy()] for j in out]
        expected = torch.tensor(np.array(patches)).transpose(0, 1)
    assert torch.equal(found, expected)
    weight = normal(3, op.feature_count(shape), seed=seed + 1)
    run = op.functional(x, op.rows_to_weight(weight, shape), None)
    torch.testing.assert_close(found @ weight.T, run.flatten(2).transpose(1, 2))
    # A view with strides of its own, as a slice of a batch or channels last, gives the same.
    for view in (torch.cat([x, x])[2:], x.movedim(1, -1).contiguous().movedim(-1, 1)):
        assert torch.equal(op.features(view), expected)


@settings(max_examples=60)
@given(case=read(), pointwise=st.booleans(), seed=st.integers(0, 99))
def test_what_is_carried_back_and_how_often_a_position_is_read(case, pointwise, seed):
    op, shape = case
    out = fitting(op, shape)
    used = [loops.centre(op)] if pointwise else loops.offsets(op)
    children = list(itertools.product(*map(range, out[1:])))
    v = normal(2, len(children), 2, seed=seed)
    back, counts = np.zeros((2, len(used), 2, *shape[1:])), np.zeros(shape[1:])
    for (j, child), (k, offset) in itertools.product(enumerate(children), enumerate(used)):
        q = loops.read_position(op, child, offset)
        if all(0 <= index < extent for index, extent in zip(q, shape[1:], strict=True)):
            back[(slice(None), k, slice(None), *q)] += v[:, j].numpy()
            counts[q] += 1
    reads = op.fan_out_layout(shape, pointwise)
    assert reads.fan_out == len(used)
    assert np.array_equal(reads.counts.numpy(), counts.reshape(-1))
    image, weights = normal(2, counts.size, 3, seed=seed + 1), normal(2, 2, seed=seed + 2)
    moment = np.einsum("wn,nqf,nkmq->wfkm", weights, image, back.reshape(2, len(used), 2, -1))
    close(op.fan_out_moment(image, v, shape, pointwise, weights), moment, scale=10.0)


@settings(max_examples=60)
@given(case=read(), pointwise=st.booleans(), seed=st.integers(0, 99))
def test_fan_out_weights_read_a_new_channel_as_the_loops_do(case, pointwise, seed):
    """omega . B^t_j is what the kernel made of omega writes at child position j."""
    op, shape = case
    out = fitting(op, shape)
    channel = normal(1, 1, *shape[1:], seed=seed)
    omega = normal(1, op.fan_out_layout(shape, pointwise).fan_out, 2, seed=seed + 1)
    run = op.functional(channel, op.fan_out_weight(omega, pointwise), None)
    for j in itertools.product(*map(range, out[1:])):
        t = loops.fed(op, channel[0].numpy(), False, j, pointwise)
        close(run[(0, slice(None), *j)], omega[0].numpy().T @ t[:, 0], scale=1.0)


POOLS = {
    "max": {"kind": "max", "kernel": 2},
    "average": {"kind": "average", "kernel": 2},
    "overlapping": {"kind": "average", "kernel": 3, "stride": 2, "padding": 1},
    "upsampling": {"kind": "upsample", "kernel": 2},
    "max with padding": {"kind": "max", "kernel": 2, "stride": 1, "padding": 1},
}


def mixed(hidden, edge="linear", inputs=(2, 4, 5)):
    nodes = {"h": {"size": 2, "activation": "relu", **hidden}, "y": 2}
    return graph({"x": inputs}, nodes, {"x->h": conv(kernel=(3, 2), padding=(1, 0)), "h->y": edge})


GRAPHS = {
    "flatten": mixed({"flatten": True}),
    "flatten of one pixel": mixed({"flatten": True, "pool": {"kind": "max", "kernel": 4}}),
    "global average": mixed({"pool": "global_average"}),
    **{f"{name} pool, flatten": mixed({"pool": pool, "flatten": True}) for name, pool in POOLS.items()},
    **{f"{name} pool, conv": mixed({"pool": pool}, conv(kernel=2, padding=1)) for name, pool in POOLS.items()},
    "two parents": graph(
        {"x": [2, 4, 4], "z": [1, 4, 4]},
        {"h": {"size": 2, "activation": "selu"}, "y": 2},
        {
            "x->h": conv(padding=1),
            "z->h": conv(kernel=1),
            "h->y": conv(kernel=2),
            "x->y": conv(kernel=(2, 2)),
        },
    ),
    "no constant": graph(
        {"x": [2, 4, 4]},
        {"h": {"size": 2, "activation": "selu"}, "y": 2},
        {"x->h": conv(padding=1, bias=False), "h->y": conv(padding=1, bias=False)},
    ),
    "concat, flatten": graph(
        {"x": [2, 3, 3]},
        {"h": 2, "k": 2, "c": {"merge": "concat", "activation": "tanh", "flatten": True}, "y": 2},
        {
            "x->h": conv(kernel=2),
            "x->k": conv(kernel=2),
            "k->c": "identity",
            "h->c": "identity",
            "c->y": "linear",
        },
    ),
    "pool, concat, pool, conv": graph(
        {"x": [1, 8, 8]},
        {
            "h": {"size": 2, "activation": "relu", "pool": {"kind": "max"}},
            "k": {"size": 1, "pool": {"kind": "average"}},
            "c": {"merge": "concat", "activation": "selu", "pool": {"kind": "average"}},
            "y": 2,
        },
        {
            "x->h": conv(padding=1),
            "x->k": conv(padding=1),
            "h->c": "identity",
            "k->c": "identity",
            "c->y": conv(kernel=2),
        },
    ),
    "children behind different images": graph(
        {"x": [1, 4, 4]},
        {
            "h": {"size": 2, "activation": "relu"},
            "c": {"merge": "concat", "pool": "global_average"},
            "y": 2,
            "w": 2,
        },
        {"x->h": conv(padding=1), "h->c": "identity", "c->w": "linear", "h->y": conv(kernel=2)},
        ["y", "w"],
    ),
    "a grouped edge beside": graph(
        {"x": [4, 3, 3]},
        {"h": {"size": 2, "activation": "selu"}, "y": 4},
        {"x->h": conv(padding=1), "h->y": conv(padding=1), "x->y": conv(kernel=1, groups=2)},
    ),
    "groups of two sizes": graph(
        {"x": [6, 3, 3]},
        {"h": 2, "y": 6},
        {"x->h": conv(padding=1), "h->y": conv(padding=1), "x->y": conv(kernel=1, groups=3, bias=False)},
    ),
    "volumes": graph(
        {"x": [1, 3, 2, 3]},
        {"h": {"size": 2, "activation": "relu", "pool": "global_average"}, "k": {"size": 2, "flatten": True}, "y": 2},
        {
            "x->k": {"op": "conv3d", "kernel": [2, 1, 2], "stride": [1, 1, 2], "padding": [0, 1, 1]},
            "x->h": {"op": "conv3d", "kernel": 2, "dilation": [2, 1, 1]},
            "k->y": "linear",
            "h->y": "linear",
        },
    ),
    "volumes read by a convolution": graph(
        {"x": [1, 3, 2, 2]},
        {"h": {"size": 2, "activation": "selu"}, "y": 2},
        {"x->h": {"op": "conv3d", "kernel": [3, 2, 1], "padding": 1}, "h->y": {"op": "conv3d", "kernel": 2}},
    ),
    "into a concat": graph(
        {"x": [2, 3, 3]},
        {"h": 2, "y": {"merge": "concat"}},
        {
            "x->h": conv(padding=1),
            "h->y": conv(padding=1, size=2),
            "x->y": conv(kernel=1, size=2, groups=2, bias=False),
        },
    ),
}


@pytest.mark.share(0.35)
@pytest.mark.parametrize("name", GRAPHS)
def test_site_moments_are_those_of_the_loops(name, monkeypatch):
    check_site(monkeypatch, GRAPHS[name], samples=3)
    check_nodes(GRAPHS[name], samples=3)


def test_pointwise_moments_of_a_graph_with_a_pool(monkeypatch):
    check_site(monkeypatch, GRAPHS["max pool, conv"], samples=3, pointwise=True)


@settings(max_examples=15)
@given(ops=st.lists(convolutions(), min_size=2, max_size=3), pointwise=st.booleans(), seed=st.integers(0, 99))
def test_children_that_read_positions_unequally_share_the_larger_weight(ops, pointwise, seed):
    """S weighs each hidden position with the most that any child reads it: it bounds every child at once."""
    shape = (2, 4, 4)
    for op in ops:
        fitting(op, shape)
    names = [f"y{i}" for i in range(len(ops))]
    edges = {f"h->{name}": op for name, op in zip(names, ops, strict=True)}
    spec = graph({"x": [1, 4, 4]}, {"h": 2, **dict.fromkeys(names, 2)}, {"x->h": conv(padding=1), **edges}, names)
    model, x, y, values = case(spec, samples=2, seed=seed)
    weights = np.zeros(16)
    for name, op in zip(names, ops, strict=True):
        used = [(op.kernel[0] // 2, op.kernel[1] // 2)] if pointwise else loops.offsets(op)
        counts = np.zeros((4, 4))
        for j, offset in itertools.product(loops.positions(values[0].a[name]), used):
            row, column = loops.read_position(op, j, offset)
            if 0 <= row < 4 and 0 <= column < 4:
                counts[row, column] += 1
        weights = np.maximum(weights, min(len(used), 10) * counts.reshape(-1))
    S = 0.0
    for one in values:
        for weight, b in zip(weights, loops.node_features(spec, "h", one), strict=True):
            S = S + weight * np.outer(b, b) / len(values)
    found = collected(model, squared, stream(model, x, y), sites=["h"], pointwise=pointwise)
    close(found.sites["h"].S, S)
    for edge in spec.edges:
        if edge.source == "h":
            own = loops.site_metric(model.dag, ("h",), edge, values, pointwise)
            assert np.linalg.eigvalsh(found.sites["h"].S.numpy() - own).min() > -1e-9 * np.abs(own).max()


FIELDS = [{"kernel": 3, "padding": 2, "dilation": 2}, {"kernel": 4, "stride": 2, "padding": 1}]


@pytest.mark.parametrize("pointwise", [False, True])
def test_a_series_is_a_map_of_one_row(pointwise):
    """Moments of conv1d edges are those of conv2d edges over maps of height 1, which the loops have checked."""

    def two(fields):
        return {**{name: [1 if name != "padding" else 0, number] for name, number in fields.items()}, "op": "conv2d"}

    nodes = {"h": {"size": 2, "activation": "selu"}, "y": {"size": 2, "pool": "global_average"}}
    first, second = ({"op": "conv1d", **fields} for fields in FIELDS)
    series = graph({"x": {"shape": [2, 9], "layout": "channels_first"}}, nodes, {"x->h": first, "h->y": second})
    maps = graph({"x": [2, 1, 9]}, nodes, {"x->h": two(FIELDS[0]), "h->y": two(FIELDS[1])})
    one, *_ = case(series, samples=3)
    other, x, y, _ = case(maps, samples=3)
    one.load_state_dict(
        {key: value.squeeze(2) if value.dim() == 4 else value for key, value in other.state_dict().items()}
    )
    found = collected(one, squared, stream(one, tuple(v.squeeze(2) for v in x), y), sites=["h"], pointwise=pointwise)
    expected = collected(other, squared, stream(other, x, y), sites=["h"], pointwise=pointwise)
    for name in ("S", "N_proj", "N_noise"):
        close(getattr(found.sites["h"], name), getattr(expected.sites["h"], name).numpy())
