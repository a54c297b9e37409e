"""The layout of values: which axis holds the channels, and what follows from it."""

import copy
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dagrow.layout import TensorLayout, channels_last, copied_in_order

EXTENTS = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


@st.composite
def layouts(draw):
    extents = draw(EXTENTS)
    return TensorLayout(extents, draw(st.sampled_from([0, len(extents) - 1])))


@given(layouts())
def test_positions_there_and_back(layout):
    x = torch.randn(2, *layout, dtype=torch.float64)
    rows = layout.to_positions(x)
    assert rows.shape == (2, layout.position_count, layout.channels)
    assert torch.equal(layout.from_positions(rows), x)
    # Channel c of a batch is column c of the rows, along whichever axis it lies.
    for c in range(layout.channels):
        assert torch.equal(x.select(layout.batch_axis, c).reshape(2, -1), rows[:, :, c])
    numbers = torch.randn(layout.channels, dtype=torch.float64)
    assert torch.equal(layout.to_positions(x * layout.per_channel(numbers)), rows * numbers)
    torch.testing.assert_close(x.sum((0, *layout.position_axes)), rows.sum((0, 1)))


@given(layouts(), st.integers(1, 5))
def test_other_numbers_of_channels_and_positions(layout, count):
    wider = layout.with_channels(count)
    assert (wider.channels, wider.positions, wider.axis) == (count, layout.positions, layout.axis)
    assert layout.with_positions(()) == (layout.channels,)
    assert layout.with_positions((2, 3)).positions == (2, 3)
    assert layout.with_positions((2, 3)).channels == layout.channels
    assert layout.flat() == (layout.channels * layout.position_count,)


@given(layouts())
def test_copies_are_equal(layout):
    for again in (copy.deepcopy(layout), pickle.loads(pickle.dumps(layout)), TensorLayout.of(layout)):
        assert (again, again.axis, type(again)) == (layout, layout.axis, TensorLayout)
    assert layout == tuple(layout)


def test_the_same_extents_are_not_the_same_layout():
    series, tokens = TensorLayout.of((8, 8), "channels_first"), TensorLayout.of((8, 8))
    assert series != tokens
    assert (str(series), str(tokens)) == ("[8, 8] (channels_first)", "[8, 8]")
    assert (series.name, tokens.name) == ("series [channels, length]", "tokens [tokens, features]")
    assert TensorLayout.of((3,), "channels_last") == TensorLayout.of((3,))
    with pytest.raises(ValueError, match=r"axis 1 is neither the first nor the last of \[1, 2, 3\]"):
        TensorLayout((1, 2, 3), 1)


@pytest.mark.parametrize(("shape", "channels"), [((5,), 5), ((4, 6), 6), ((3, 8, 7), 3), ((2, 4, 8, 7), 2)])
def test_what_a_plain_shape_means(shape, channels):
    assert TensorLayout.of(shape).channels == channels


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 3, 5), (4, 3, 5, 2), (4, 3, 5, 2, 3), (4, 3, 1, 1)])
def test_weights_keep_their_order_in_memory(shape):
    weight = torch.rand(shape)
    first, last = copied_in_order(weight, False), copied_in_order(weight, True)
    assert torch.equal(first, weight)
    assert torch.equal(last, weight)
    assert weight.data_ptr() not in (first.data_ptr(), last.data_ptr())
    assert first.is_contiguous()
    assert not channels_last(first)
    assert channels_last(last) == (len(shape) > 2 and shape[2:] != (1, 1))
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    if len(shape) in formats:
        assert last.stride() == weight.clone(memory_format=formats[len(shape)]).stride()
