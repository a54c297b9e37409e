"""An optimizer through growth: the same parameter groups, the moments of old entries where these went.

New entries hold what the optimizer itself would have started them with: that is found by letting a copy of
it take one step with a zero gradient, so any optimizer works whose state has the parameter's shape. One that says it
by a method ``initial_state`` may also hold entries per row, with extent 1 along the other axes.
"""

from __future__ import annotations

import copy
from collections import OrderedDict, defaultdict
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from dagrow.errors import OptimizerError
from dagrow.mutation.tensor_edits import Edit


@runtime_checkable
class Starting(Protocol):
    """An optimizer that says what it holds for a parameter before its first step."""

    def initial_state(self, group: dict[str, Any], parameter: Tensor) -> dict[str, Tensor]:
        """The state by name, for a parameter of this group."""


def carried_state(
    optimizer: torch.optim.Optimizer, group: dict[str, Any], old: nn.Parameter, new: nn.Parameter, edit: Edit
) -> dict[str, Any] | None:
    """The state of the new parameter; None where the old one had none yet.

    Raises:
        OptimizerError: if some state is neither a number nor of the parameter's shape.
    """
    fresh = _fresh_state(optimizer, group, new)
    state = optimizer.state.get(old)
    for key, value in (state or {}).items():
        if not _carriable(optimizer, value, old):
            raise OptimizerError(_refusal(optimizer, f"its state '{key}' has not the shape of the weights"))
    if not state:
        return None
    moved: dict[str, Any] = {}
    for key, value in state.items():
        if isinstance(value, Tensor) and value.dim() == old.dim() > 0:
            start = fresh.get(key)
            if not isinstance(start, Tensor) or start.dim() != new.dim():
                start = torch.zeros_like(new, dtype=value.dtype)
            moved[key] = edit.carry(value, start)
        else:
            moved[key] = copy.deepcopy(value)
    return moved


def check_supported(optimizer: torch.optim.Optimizer) -> None:
    """Refuses an optimizer whose state cannot be carried, before anything changes.

    Raises:
        OptimizerError: with the class and the reason.
    """
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise OptimizerError(f"'optimizer' must be a torch.optim.Optimizer, not {type(optimizer).__name__}")
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.requires_grad and parameter.dim() > 0:
                probe = nn.Parameter(torch.zeros(2, 3, dtype=parameter.dtype, device=parameter.device))
                check_takes(optimizer, group, probe)
                break


def check_takes(optimizer: torch.optim.Optimizer, group: dict[str, Any], parameter: nn.Parameter) -> None:
    """Refuses a new parameter that the optimizer cannot train, or whose state could not be carried later.

    Raises:
        OptimizerError: with the class and the reason.
    """
    for key, value in _fresh_state(optimizer, group, parameter).items():
        if not _carriable(optimizer, value, parameter):
            raise OptimizerError(_refusal(optimizer, f"its state '{key}' has not the shape of the weights"))


def _carriable(optimizer: torch.optim.Optimizer, value: Any, parameter: nn.Parameter) -> bool:
    if not isinstance(value, Tensor):
        return value is None or isinstance(value, (int, float, bool, str))
    if value.shape == parameter.shape or value.numel() == 1:
        return True
    told = zip(value.shape, parameter.shape, strict=False)
    # A mean over an axis is no entry of its own: only the optimizer can say that growth leaves it right.
    by_unit = value.dim() == parameter.dim() and all(extent in (1, whole) for extent, whole in told)
    return by_unit and isinstance(optimizer, Starting)


def _fresh_state(optimizer: torch.optim.Optimizer, group: dict[str, Any], new: nn.Parameter) -> dict[str, Any]:
    """The state before the first step on a parameter like ``new``; else that after one with zero gradient."""
    if isinstance(optimizer, Starting):
        return dict(optimizer.initial_state(group, new))
    stand_in = nn.Parameter(new.detach().clone())
    stand_in.grad = torch.zeros_like(stand_in)
    kind = type(optimizer)
    # Not copy.copy: an Optimizer leaves its own attributes out of a copy. Lists and dicts may be written to.
    shadow = kind.__new__(kind)
    held = vars(optimizer).items()
    vars(shadow).update({k: copy.copy(v) if isinstance(v, (list, dict, set)) else v for k, v in held})
    # Weight decay would put the weights themselves into the moments.
    shadow.param_groups = [
        {**group, "params": [stand_in], "weight_decay": 0.0}
        if "weight_decay" in group
        else {**group, "params": [stand_in]}
    ]
    shadow.state = defaultdict(dict)
    for hooks in ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"):
        setattr(shadow, hooks, OrderedDict())
    try:
        with torch.enable_grad():
            # Below the wrapper that runs hooks: a person's, the global ones included, must not fire.
            step = kind.step.__wrapped__ if hasattr(kind.step, "hooked") else kind.step  # type: ignore[attr-defined]
            step(shadow)
    except Exception as error:
        raise OptimizerError(_refusal(optimizer, f"it cannot take a plain step ({error})")) from error
    return dict(shadow.state[stand_in])


def _refusal(optimizer: torch.optim.Optimizer, reason: str) -> str:
    return (
        f"{type(optimizer).__name__} cannot be carried through growth: {reason}; use an optimizer with state per "
        "weight (SGD, Adam, AdamW, RMSprop, ...), or grow without one and make a new one afterwards"
    )
