"""Insertions and removals, and the transaction over spec, weights, buffers and optimizer that makes them."""

from dagrow.mutation.apply import apply_change
from dagrow.mutation.change import Change, Constant, NewFeatures, WeightUpdate
from dagrow.mutation.frozen import frozen_problem
from dagrow.mutation.randomized_control import redirected
from dagrow.mutation.widen import columns_of, widened_spec

__all__ = [
    "Change",
    "Constant",
    "NewFeatures",
    "WeightUpdate",
    "apply_change",
    "columns_of",
    "frozen_problem",
    "redirected",
    "widened_spec",
]
