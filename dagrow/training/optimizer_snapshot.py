"""An optimizer by the names of the parameters, so that it finds them again in a network made anew."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn


def optimizer_state(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Groups with the names of their parameters in order, and the state of each parameter."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in network.named_parameters()}
    return {
        "groups": [
            {
                **{key: entry for key, entry in group.items() if key != "params"},
                "params": [names[p] for p in group["params"]],
            }
            for group in optimizer.param_groups
        ],
        "state": {names[parameter]: dict(entries) for parameter, entries in optimizer.state.items()},
    }


def set_optimizer_state(network: nn.Module, optimizer: torch.optim.Optimizer, kept: dict[str, Any]) -> None:
    """Gives an optimizer of the same class these groups and this state.

    Raises:
        KeyError, TypeError, ValueError: if it is not the state of such an optimizer over this network.
    """
    parameters = dict(network.named_parameters())
    names = [name for group in kept["groups"] for name in group["params"]]
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if sorted(names) != sorted(name for name, parameter in parameters.items() if id(parameter) in held):
        raise ValueError("the parameters that were kept are not those of the optimizer, each once")
    if any(group.keys() != optimizer.param_groups[0].keys() for group in kept["groups"]):
        raise ValueError(f"the options of its groups are not those of {type(optimizer).__name__}")
    for name, entries in kept["state"].items():
        for key, value in entries.items():
            if isinstance(value, Tensor) and value.numel() != 1 and not _fits(value, parameters[name]):
                raise ValueError(f"the optimizer's '{key}' of {name} has not its shape")
    numbers = {name: number for number, name in enumerate(names)}
    optimizer.param_groups = [
        {**group, "params": [parameters[name] for name in group["params"]]} for group in kept["groups"]
    ]
    optimizer.load_state_dict(
        {
            "param_groups": [
                {**group, "params": [numbers[name] for name in group["params"]]} for group in kept["groups"]
            ],
            "state": {numbers[name]: entries for name, entries in kept["state"].items()},
        }
    )


def check_step(optimizer: torch.optim.Optimizer) -> None:
    """Takes one step without gradient with a copy: a state that no step made shows here, and not while training.

    Raises:
        AssertionError, AttributeError, KeyError, RuntimeError, TypeError, ValueError: if the state is none of such an
            optimizer, or its options cannot be on this device.
    """
    trial = copy.deepcopy(optimizer)
    for group in trial.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    trial.step()


def _fits(value: Tensor, parameter: Tensor) -> bool:
    """Whether a state has the shape of its parameter, or extent 1 along axes that it does not tell apart."""
    return value.dim() == parameter.dim() and all(
        extent in (1, whole) for extent, whole in zip(value.shape, parameter.shape, strict=True)
    )
