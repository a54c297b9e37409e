"""A network and its optimizer as plain data and tensors, and made anew from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from dagrow.build import Network, build
from dagrow.spec import GraphSpec, TrainingSpec, plain_graph
from dagrow.training.dtype import dtype_of
from dagrow.training.epochs import make_optimizer
from dagrow.training.optimizer_snapshot import optimizer_state, set_optimizer_state


def network_parts(network: Network, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """A network and its optimizer as plain data and tensors; the tensors are theirs."""
    return {
        "graph": plain_graph(network.spec),
        "weights": network.state_dict(),
        "optimizer": optimizer_state(network, optimizer),
    }


def restored_network(
    parts: Mapping[str, Any], training: TrainingSpec, device: torch.device
) -> tuple[Network, torch.optim.Optimizer]:
    """What `network_parts` was given, made anew.

    Raises:
        DagrowError, KeyError, RuntimeError, TypeError, ValueError: if the parts do not belong together.
    """
    network = network_of(parts).to(device)
    optimizer = make_optimizer(network, training)
    set_optimizer_state(network, optimizer, parts["optimizer"])
    return network, optimizer


def network_of(parts: Mapping[str, Any]) -> Network:
    """The network of a graph and its weights as plain data and tensors; the tensors become its own.

    Raises:
        DagrowError, KeyError, RuntimeError, TypeError, ValueError: if the parts do not belong together.
    """
    weights = parts["weights"]
    network = build(GraphSpec.model_validate(parts["graph"]), seed=0).to(dtype_of(weights))
    for name, value in network.state_dict().items():
        if weights[name].dtype != value.dtype:
            raise ValueError(f"{name} is of {weights[name].dtype}, not {value.dtype}")
    # Assigned, for a copy would take the memory order of the new tensor, not that of the kept one.
    network.load_state_dict(weights, assign=True)
    return network
