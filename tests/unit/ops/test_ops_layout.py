"""Ops against the ``nn`` layers that they stand for, for drawn shapes and fields."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dagrow.ops import ShapeError, TensorLayout, find_op
from dagrow.ops.conv1d import Conv1d
from dagrow.ops.conv2d import Conv2d
from dagrow.ops.conv3d import Conv3d
from dagrow.ops.conv_transpose2d import ConvTranspose2d
from dagrow.ops.convolution import Convolution
from dagrow.ops.identity import Identity
from dagrow.ops.linear import Linear

small = st.integers(1, 3)


@st.composite
def convolutions(draw: st.DrawFn, groups: bool = True) -> tuple[Convolution, TensorLayout, int]:
    """An op with any fields over one, two or three axes, what it can read, and a number of output channels."""
    factor = draw(st.integers(1, 3)) if groups else 1
    dims = draw(st.integers(1, 3))

    def each(numbers: st.SearchStrategy[int]) -> tuple[int, ...]:
        return tuple(draw(numbers) for _ in range(dims))

    fields = {"kernel": each(st.integers(1, 4)), "dilation": each(small), "groups": factor, "bias": draw(st.booleans())}
    if draw(st.booleans()):
        assume(all(d * (k - 1) % 2 == 0 for k, d in zip(fields["kernel"], fields["dilation"], strict=True)))
        fields["padding"] = "same"
    else:
        fields["padding"] = each(st.integers(0, 3))
        fields["stride"] = each(small)
    op = find_op(f"conv{dims}d")(**fields)
    source = TensorLayout((factor * draw(small), *each(st.integers(1, 7))), 0)
    assume(min(op.extents(source)) >= 1)
    return op, source, factor * draw(small)


@st.composite
def transposed(draw: st.DrawFn) -> tuple[ConvTranspose2d, tuple[int, int, int], int]:
    stride = (draw(small), draw(small))
    op = ConvTranspose2d(
        kernel=(draw(st.integers(1, 4)), draw(st.integers(1, 4))),
        stride=stride,
        padding=(draw(st.integers(0, 3)), draw(st.integers(0, 3))),
        output_padding=tuple(draw(st.integers(0, s - 1)) for s in stride),
        dilation=(draw(small), draw(small)),
        bias=draw(st.booleans()),
    )
    source = (draw(small), draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    try:
        op.output_shape(source, None)
    except ShapeError:
        assume(False)
    return op, source, draw(small)


@st.composite
def linears(draw: st.DrawFn) -> tuple[Linear, tuple[int, ...], int]:
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=2)))
    return Linear(bias=draw(st.booleans())), shape, draw(st.integers(1, 5))


def values(shape: tuple[int, ...], count: int = 2) -> Tensor:
    return torch.randn(count, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@settings(max_examples=150, deadline=None)
@given(st.one_of(convolutions(), transposed(), linears()))
def test_shapes_costs_and_lines_are_those_of_the_layer(case):
    op, source, size = case
    target = op.written_layout(TensorLayout.of(source), size)
    layer = op.module(source, target).double()
    assert tuple(layer(values(source)).shape[1:]) == target
    assert op.parameter_count(source, target) == sum(p.numel() for p in layer.parameters())
    assert op.has_bias == (layer.bias is not None)
    assert repr(eval(op.export_line(source, target), {"nn": nn})) == repr(layer)
    # Each weight works once per position of the output, of the input where the convolution is transposed.
    positions = (TensorLayout.of(source) if op.name == "conv_transpose2d" else target).position_count
    assert op.multiply_adds(source, target) == layer.weight.numel() * positions


@settings(max_examples=150, deadline=None)
@given(st.one_of(convolutions(groups=False), transposed(), linears()))
def test_the_edge_is_features_times_weight(case):
    op, source, size = case
    target = op.written_layout(TensorLayout.of(source), size)
    layer = op.module(source, target).double()
    x = values(source)
    features = op.features(x)
    assert features.shape == (2, target.position_count, op.feature_count(source))
    rows = values((size, op.feature_count(source)), 1).squeeze(0)
    weight = op.rows_to_weight(rows, source)
    with torch.no_grad():
        layer.weight.copy_(op.to_layer_layout(weight))
    expected = layer(x)
    product = features @ rows.T + (0 if layer.bias is None else layer.bias)
    torch.testing.assert_close(target.from_positions(product), expected, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(op.functional(x, weight, layer.bias), expected, rtol=1e-11, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(convolutions())
def test_groups_read_their_slice_of_the_features(case):
    op, source, size = case
    target = op.written_layout(TensorLayout.of(source), size)
    layer = op.module(source, target).double()
    x = values(source)
    inputs = op.features(x).chunk(op.output_groups, dim=2)
    weights = layer.weight.detach().flatten(1).chunk(op.output_groups)
    product = torch.cat([f @ w.T for f, w in zip(inputs, weights, strict=True)], dim=2)
    if layer.bias is not None:
        product = product + layer.bias
    torch.testing.assert_close(target.from_positions(product), layer(x), rtol=1e-11, atol=1e-12)
    assert (op.fixed_sizes is None) == (op.groups == 1)


@settings(max_examples=60, deadline=None)
@given(st.one_of(convolutions(groups=False), transposed()), st.sampled_from(["transposed", "channels last", "slice"]))
def test_features_of_any_memory_layout(case, layout):
    op, source, _ = case
    x = values(source, 3)
    expected = op.features(x)
    if layout == "transposed":
        x = x.transpose(2, -1).contiguous().transpose(2, -1)
    elif layout == "channels last":
        x = x.movedim(1, -1).contiguous().movedim(-1, 1)
    else:
        x = torch.cat([x, x], dim=1)[:, source[0] :]
    assert torch.equal(op.features(x), expected)


@settings(max_examples=60, deadline=None)
@given(st.one_of(convolutions(), transposed(), linears()))
def test_features_of_no_samples(case):
    """Of a batch of which no sample is drawn."""
    op, source, size = case
    target = op.written_layout(TensorLayout.of(source), size)
    assert op.features(values(source, 0)).shape == (0, target.position_count, op.feature_count(source))


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_the_identity(shape):
    op, x = Identity(), values(tuple(shape))
    assert op.output_shape(tuple(shape), None) == tuple(shape)
    assert op.module(tuple(shape), tuple(shape))(x) is x
    assert (op.parameter_count(tuple(shape), tuple(shape)), op.parametrised) == (0, False)
    for ask in (
        lambda: op.features(x),
        lambda: op.feature_count(tuple(shape)),
        lambda: op.fan_out_layout(tuple(shape), True),
    ):
        with pytest.raises(ShapeError, match="'identity' has no weights"):
            ask()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"padding": "same", "kernel": 2},
            "padding 'same' needs an odd kernel; give the padding as a number",
        ),
        ({"padding": "same", "stride": 2}, "padding 'same' needs stride 1; give the padding as a number"),
        ({"padding": "valid"}, "padding"),
        ({"kernel": 0}, "kernel"),
        ({"kernel": (1, 2, 3)}, "kernel"),
        ({"kernel": True}, "kernel"),
        ({"stride": 0}, "stride"),
        ({"padding": -1}, "padding"),
        ({"dilation": 0}, "dilation"),
        ({"groups": 0}, "groups"),
        ({"size": 0}, "size"),
        ({"kernels": 3}, "kernels"),
    ],
)
def test_fields_that_make_no_convolution(fields, message):
    with pytest.raises(ValueError, match=message):
        Conv2d(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"output_padding": 2}, r"output_padding \[2, 2\] must be less than stride \[2, 2\]"),
        ({"stride": (2, 1), "output_padding": (0, 1)}, "must be less than stride"),
        ({"padding": "same"}, "padding"),
        ({"groups": 2}, "groups"),
        ({"kernel": 0}, "kernel"),
    ],
)
def test_fields_that_make_no_transposed_convolution(fields, message):
    with pytest.raises(ValueError, match=message):
        ConvTranspose2d(**fields)


def test_maps_that_a_transposed_convolution_cannot_make():
    with pytest.raises(ShapeError, match=r"padding \[2, 2\] leaves nothing of the map \[1, 1, 1\]"):
        ConvTranspose2d(padding=2).output_shape((1, 1, 1), 1)
    with pytest.raises(ShapeError, match=r"'conv_transpose2d' reads maps \[channels, height, width\], not \[4\]"):
        ConvTranspose2d().output_shape((4,), 1)


def test_short_forms():
    assert Conv2d(kernel=3) == Conv2d(kernel=(3, 3)) == Conv2d()
    assert Conv2d(kernel=(1, 3), stride=2).model_dump(exclude_defaults=True) == {
        "kernel": (1, 3),
        "stride": 2,
    }
    assert find_op("conv2d") is Conv2d
    even = Conv2d(kernel=2, dilation=2, padding="same")
    assert even.output_shape((1, 4, 5), 3) == (3, 4, 5)


@settings(max_examples=200)
@given(convolutions())
def test_the_gram_is_that_of_the_features(drawn):
    op, source, _ = drawn
    x = values(source, 3)
    B = op.features(x).flatten(0, 1)
    torch.testing.assert_close(op.gram(x), B.T @ B, rtol=0, atol=1e-11 * max(1.0, float((B.T @ B).abs().max())))


@pytest.mark.parametrize(
    ("op", "shape"),
    [
        (Conv1d(kernel=3, padding=2, dilation=2), (2, 17)),
        (Conv2d(kernel=(3, 2), padding=(1, 0), dilation=(1, 2)), (2, 12, 11)),
        (Conv3d(kernel=(3, 2, 2), padding=(1, 0, 1)), (2, 9, 8, 7)),
    ],
)
def test_the_gram_of_a_map_with_an_interior_is_made_by_lags(op, shape):
    x = values(shape, 3)
    B = op.features(x).flatten(0, 1)
    assert op.has_gram
    torch.testing.assert_close(op.gram(x), B.T @ B, rtol=1e-12, atol=1e-11)
    assert not Conv2d(kernel=(3, 3), stride=(2, 2)).has_gram
    assert not Linear().has_gram
