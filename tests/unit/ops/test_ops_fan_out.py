"""How an op reads new features, what it learns from, and what leads from one shape to another."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_ops_layout import convolutions, linears, transposed, values

from dagrow.ops import TensorLayout, op_between
from dagrow.ops.linear import Linear

CASES = st.one_of(convolutions(groups=False), transposed(), linears())


def drawn(*shape, seed=1):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=150, deadline=None)
@given(CASES, st.booleans(), st.integers(1, 3))
def test_fan_out_features_are_what_the_fan_out_weight_reads(case, pointwise, count):
    """``run(x, fan_out_weight(omega))`` is the features times omega, for new channels and any fields."""
    op, source, size = case
    widened = TensorLayout.of(source).with_channels(count)
    x = values(widened)
    fan_out = op.fan_out_layout(widened, pointwise).fan_out
    features = op.fan_out_features(x, count, pointwise)
    omega = drawn(count, fan_out, size)
    target = op.written_layout(widened, size)
    done = target.to_positions(op.functional(x, op.fan_out_weight(omega, pointwise), None))
    assert features.shape == (len(x), done.shape[1], count, fan_out)
    torch.testing.assert_close(torch.einsum("nqkf,kfm->nqm", features, omega), done, rtol=1e-9, atol=1e-9)


@settings(max_examples=150, deadline=None)
@given(st.one_of(convolutions(), transposed(), linears()))
def test_gradients_are_those_of_autograd(case):
    op, source, size = case
    x = values(source).requires_grad_()
    layer = op.module(source, op.output_shape(source, size))
    weight = drawn(*layer.weight.shape).movedim(op.weight_axes, (0, 1)).requires_grad_()
    done = op.functional(x, weight, None)
    v = drawn(*done.shape, seed=2)
    by_weight, by_input = torch.autograd.grad((v * done).sum(), (weight, x))
    for found, expected in (
        (op.weight_gradient(x.detach(), v, weight.detach()), by_weight),
        (op.input_gradient(x.detach(), v, weight.detach()), by_input),
    ):
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@settings(max_examples=150, deadline=None)
@given(CASES)
def test_rows_undo_weight(case):
    op, source, size = case
    rows = drawn(size, op.feature_count(source))
    assert torch.equal(op.weight_to_rows(op.rows_to_weight(rows, source)), rows)


sizes = st.integers(1, 12)
few = st.integers(1, 4)
extents = st.one_of(
    st.tuples(sizes),
    st.tuples(sizes, sizes),
    st.tuples(sizes, sizes, sizes),
    st.tuples(sizes, st.just(8), st.just(8)),
    st.tuples(few, few, few, few),
)
shapes = st.builds(TensorLayout.of, extents, st.sampled_from([None, "channels_first"]))


@settings(max_examples=400, deadline=None)
@given(shapes, shapes, st.integers(1, 5))
def test_an_op_between_two_shapes_writes_exactly_the_second(source, target, kernel):
    op = op_between(source, target, kernel)
    if op is None:
        # Vectors to vectors, tokens to as many tokens and, by odd kernels, maps to maps of their size: always.
        alike = source.with_channels(1) == target.with_channels(1)
        assert not alike or (source.order == "channels_first" and kernel % 2 == 0)
        return
    assert not op.has_bias
    assert op.written_layout(source, target.channels) == target
    assert tuple(op.module(source, target).double()(values(source)).shape[1:]) == target


@pytest.mark.parametrize(
    ("source", "target", "name"),
    [
        ((3,), (5,), "linear"),
        ((4, 3), (4, 5), "linear"),
        ((4, 3), (5, 3), None),
        ((3,), (3, 4, 4), None),
        ((2, 8, 8), (3,), None),
        ((2, 8, 8), (3, 8, 8), "conv2d"),
        ((2, 8, 8), (3, 4, 4), "conv2d"),
        ((2, 8, 6), (3, 4, 3), "conv2d"),
        ((2, 4, 4), (3, 8, 8), "conv_transpose2d"),
        ((2, 2, 4), (3, 6, 4), "conv_transpose2d"),
        ((2, 3, 3), (3, 7, 7), None),
        ((2, 4, 4, 4), (3, 4, 2, 4), "conv3d"),
        (TensorLayout((2, 8), 0), TensorLayout((3, 4), 0), "conv1d"),
        (TensorLayout((8, 8), 0), (8, 8), None),
        (TensorLayout((6, 6, 2), 2), TensorLayout((6, 6, 3), 2), "linear"),
    ],
)
def test_what_leads_where(source, target, name):
    op = op_between(source, target, 3)
    assert (op and op.name) == name


def test_a_new_edge_has_the_kernel_asked_for():
    for kernel in (1, 3, 5):
        op = op_between((2, 8, 8), (3, 8, 8), kernel)
        assert op is not None
        assert op.model_dump()["kernel"] == kernel
    # An even kernel has no centre, and would shift the map.
    assert op_between((2, 8, 8), (3, 8, 8), 2) is None
    assert isinstance(op_between((4,), (2,), 3), Linear)
