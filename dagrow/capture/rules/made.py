"""Tensors that the code makes, and layers whose inside is closed to growth."""

from __future__ import annotations

from torch import Tensor

from dagrow.capture.dims import fix
from dagrow.capture.rules.context import Context, Rule, fresh
from dagrow.capture.values import Value


def made(context: Context) -> Value:
    """A tensor of a size that the code says: it becomes that of whatever it is combined with."""
    return fresh(context.out, "the code makes a tensor of this size")


def recurrent(context: Context) -> tuple[Value, ...]:
    """Gates are packed and states fed back inside one operation: nothing of it grows."""
    reason = f"{context.where} is recurrent, with gates packed inside"
    for argument in context.node.all_input_nodes:
        found = context.values.get(argument)
        for value in (found,) if isinstance(found, Value) else found or ():
            for dim in value.dims:
                fix(dim, reason)
    return tuple(fresh(part, reason) for part in context.out if isinstance(part, Tensor))


RULES: dict[str, Rule] = {
    **dict.fromkeys(
        [
            "arange",
            "zeros",
            "ones",
            "full",
            "empty",
            "eye",
            "linspace",
            "scalar_tensor",
            "rand",
            "randn",
            "randint",
            "new_zeros",
            "new_ones",
            "new_full",
            "new_empty",
        ],
        made,
    ),
    **dict.fromkeys(["gru", "lstm", "rnn_tanh", "rnn_relu"], recurrent),
}
