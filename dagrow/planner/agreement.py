"""What several processes have to agree on before they make a proposal together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from dagrow.build import Network
from dagrow.distributed import ProcessError, Processes
from dagrow.errors import DagrowError
from dagrow.spec import graph_hash
from dagrow.spec.proposal import ProposalOptions

T = TypeVar("T")

ALIKE = 1e-4
"""How far sums and norms of weights may be apart, relative to the norm: processes on other machines round otherwise."""


def checked_together(processes: Processes, check: Callable[[], T]) -> T:
    """What a check gives, if all processes pass it; so none waits for one that has refused.

    Args:
        processes: that call this alike.
        check: refuses with a `DagrowError`.

    Raises:
        DagrowError: of the check, where this process fails it.
        ProcessError: with the sentence of another process that does.
    """
    if processes.count == 1:
        return check()
    found: list[T] = []
    refusal: DagrowError | None = None
    try:
        found.append(check())
    except DagrowError as error:
        refusal = error
    answers = processes.exchange("" if refusal is None else str(refusal))
    if refusal is not None:
        raise refusal
    for rank, answer in enumerate(answers):
        if answer:
            raise ProcessError(f"process {rank} of {processes.count} refuses: {answer}")
    return found[0]


def agree_on_proposal(
    processes: Processes, network: Network, asked: ProposalOptions, precision: torch.dtype | None
) -> None:
    """Makes sure that all processes ask the same of the same network.

    Raises:
        ProcessError: that says what differs, and how.
    """
    if processes.count == 1:
        return
    first, *others = processes.exchange(_description(network, asked, precision))
    for rank, other in enumerate(others, start=1):
        if difference := _difference(first, other):
            raise ProcessError(f"process {rank} asks for another proposal than process 0: {difference}")


def _description(network: Network, asked: ProposalOptions, precision: torch.dtype | None) -> dict[str, Any]:
    weights = {name: value.detach().double() for name, value in network.named_parameters()}
    return {
        "options": asked.model_dump(mode="json"),
        "statistics in": str(precision),
        "numbers of the network": sorted({str(value.dtype) for value in network.parameters()}),
        "mode": "train" if network.training else "eval",
        "graph": graph_hash(network.spec),
        "weights": {name: [float(value.sum()), float(value.norm())] for name, value in weights.items()},
    }


def _difference(first: dict[str, Any], other: dict[str, Any]) -> str:
    """What is not the same in two descriptions; empty if nothing."""
    for name, value in first["options"].items():
        if value != other["options"][name]:
            return f"'{name}' is {other['options'][name]} in place of {value}"
    for name in ("graph", "numbers of the network", "mode", "statistics in"):
        if first[name] != other[name]:
            return f"{name}: {other[name]} in place of {first[name]}"
    for name, (total, norm) in first["weights"].items():
        if any(abs(a - b) > ALIKE * norm for a, b in zip((total, norm), other["weights"][name], strict=True)):
            return f"the weights '{name}' are others; give all of them the network of the first"
    return ""
