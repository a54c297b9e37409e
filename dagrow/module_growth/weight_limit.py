"""How large new weights may be beside those that are there.

Where features hardly vary, or nearly depend on one another, the weights that use them best are huge and cancel. At once
they gain what was promised; but a step of Adam is as long for every entry, about the learning rate, so that it changes
what a huge fan-in or fan-out computes by far more than what others do, and the loss jumps. So no amplitude is tried at
which the root mean square of what a matrix has been given is above `MOST` times that of its old entries. With
``shrinkage="auto"`` this favours the metric whose weights gain most while they are small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor, nn

from dagrow.capture import named_tensors
from dagrow.resize import Widened

MOST = 2.0
"""Root mean square of new weights, relative to that of old ones of the same tensor."""


def new_entries(model: nn.Module, widened: Widened) -> dict[str, Tensor]:
    """The new entries of every matrix or kernel that has old ones to compare with.

    Args:
        model: that was widened.
        widened: by what.
    """
    tensors = dict(named_tensors(model))
    return {
        each.name: tensors[each.name].detach()[each.fresh].double()
        for each in widened.tensors
        if each.new.dim() > 1 and bool(each.old.any())
    }


def relative_sizes(model: nn.Module, widened: Widened, silent: Mapping[str, Tensor]) -> dict[str, float]:
    """Per tensor, the root mean square of the entries that an amplitude has moved, relative to that of old entries.

    Args:
        model: that was widened.
        widened: by what.
        silent: `new_entries` at amplitude 0.
    """
    old = {each.name: float(each.old.detach().double().square().mean().sqrt()) for each in widened.tensors}
    found = {}
    for name, now in new_entries(model, widened).items():
        moved = now - silent[name]
        if len(moved := moved[moved != 0]):
            found[name] = float(moved.square().mean().sqrt()) / old[name]
    return found


def largest_amplitude(one: Mapping[str, float], four: Mapping[str, float], scale: float) -> float:
    """The amplitude at which the first tensor is as large as it may be; infinite where none grows with it.

    Sizes are a power of the amplitude, 0, 1/2 or 1, which is seen by two of them.

    Args:
        one: `relative_sizes` at some amplitude.
        four: at four times that.
        scale: the amplitude.
    """
    largest = math.inf
    for name, size in one.items():
        power = math.log(four[name] / size, 4) if four.get(name) else 0.0
        if power > 0.25:
            largest = min(largest, scale * (MOST / size) ** (1 / power))
    return largest
