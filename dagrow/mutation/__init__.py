"""Insertions and removals, and the transaction over spec, weights, buffers and optimizer that makes them."""

from dagrow.mutation.add_units import add_units
from dagrow.mutation.apply import apply_change
from dagrow.mutation.change import Change, Constant, NewFeatures, WeightUpdate
from dagrow.mutation.frozen import frozen_problem
from dagrow.mutation.randomized_control import redirected
from dagrow.mutation.remove_units import remove_units
from dagrow.mutation.widen import columns_of, widened_spec

__all__ = [
    "Change",
    "Constant",
    "NewFeatures",
    "WeightUpdate",
    "add_units",
    "apply_change",
    "columns_of",
    "frozen_problem",
    "redirected",
    "remove_units",
    "widened_spec",
]
