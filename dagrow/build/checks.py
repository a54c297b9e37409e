"""Whether the numbers of a network are such that growth can measure and change it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.utils import parametrize

from dagrow.errors import GrowthError

PRECISIONS = (torch.float32, torch.float64)
"""Of weights: in half precision a gain drowns in the rounding of the losses that it is the difference of."""


def check_numbers(tensors: Sequence[torch.Tensor]) -> None:
    """Refuses a network whose numbers are not as `build` makes them.

    Args:
        tensors: floating-point parameters and buffers that the graph declares.

    Raises:
        GrowthError: that names the dtype or the devices.
    """
    if any(tensor.is_inference() for tensor in tensors):
        raise GrowthError(
            "the network's weights were made in torch.inference_mode and have no gradients: build it outside"
        )
    found = {tensor.dtype for tensor in tensors}
    if len(found) > 1 or not found <= {*PRECISIONS}:
        names = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in found))
        raise GrowthError(
            f"the network's numbers are {names}: growth needs all of them in float32, or all in float64 "
            "(grow first and call .half() or .bfloat16() then; torch.autocast may stay on)"
        )
    if len(places := {tensor.device for tensor in tensors}) > 1:
        raise GrowthError(
            f"the network is spread over several devices ({', '.join(sorted(map(str, places)))}): use one"
        )


def why_missing(layer: nn.Module, key: str) -> str:
    """What may have taken a tensor away, and what to do."""
    if parametrize.is_parametrized(layer) or any(hasattr(layer, key + suffix) for suffix in ("_g", "_orig")):
        return ": it is made of others (weight_norm or another parametrization); undo that while the network grows"
    if key == "bias" and isinstance(getattr(layer, "weight", None), torch.Tensor):
        return ": the graph declares one; write 'bias: false' there for none"
    return ": the graph declares it; a norm grows with its learned weights and running statistics only"
