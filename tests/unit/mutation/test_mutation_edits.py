"""Edits of tensors, for any shape, axis and position."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dagrow.mutation.tensor_edits import added, insert


@st.composite
def insertions(draw: st.DrawFn) -> tuple[Tensor, int, int, Tensor]:
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    axis = draw(st.integers(0, len(shape) - 1))
    at, count = draw(st.integers(0, shape[axis])), draw(st.integers(1, 3))
    old = torch.arange(float(torch.tensor(shape).prod())).reshape(shape)
    shape[axis] = count
    return old, axis, at, -1 - torch.arange(float(torch.tensor(shape).prod())).reshape(shape)


@given(insertions())
def test_insert_keeps_old_entries_in_order_and_new_ones_together(case):
    old, axis, at, block = case
    edit = insert("name", old, axis, at, block)
    count = block.shape[axis]
    kept = [i for i in range(edit.value.shape[axis]) if not at <= i < at + count]
    assert torch.equal(edit.value.index_select(axis, torch.tensor(kept)), old)
    assert torch.equal(edit.value.narrow(axis, at, count), block)


@given(insertions())
def test_carry_puts_everything_where_the_old_entries_went(case):
    old, axis, at, block = case
    edit = insert("name", old, axis, at, block)
    fresh = torch.full_like(edit.value, 0.5)
    untouched = fresh.clone()
    moved = edit.carry(old, fresh)
    assert torch.equal(moved == edit.value, edit.value >= 0)
    assert bool((moved[edit.value < 0] == 0.5).all())
    assert torch.equal(fresh, untouched)


@given(insertions())
def test_added_moves_nothing(case):
    old, *_ = case
    edit = added("name", old, torch.ones_like(old, dtype=torch.float64))
    assert edit.value.dtype == old.dtype
    assert torch.equal(edit.value, old + 1)
    assert torch.equal(edit.carry(old, torch.zeros_like(old)), old)
