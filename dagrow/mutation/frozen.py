"""Weights that require no gradient: a change must neither move them nor count on their being trained later."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from dagrow.build import Network, frozen_names
from dagrow.build.emit import edge_module
from dagrow.graph import Dag, Structure
from dagrow.mutation.change import Change, NewFeatures
from dagrow.spec.graph import EdgeId

NOTHING = 1e-9
"""Relative to the weights of other neurons: what is less is as good as 0."""


def frozen_problem(network: Network, change: Change) -> str:
    """What a change would do to frozen weights, or frozen weights to it; empty if nothing.

    Entries for new neurons may join a frozen weight: it was not trained, and they will not be.
    """
    frozen = frozen_names(network)
    if not frozen:
        return ""
    dag, structure = network.dag, change.structure or Structure()
    gone = structure.gone(dag.spec)
    prefixes = [*(f"{edge_module(edge)}." for edge in gone), *(f"{name}." for name in structure.removed_nodes)]
    if lost := [name for name in sorted(frozen) if any(name.startswith(prefix) for prefix in prefixes)]:
        return f"it would take away {lost[0]}, which is frozen"
    for update in change.all_updates:
        for edge, parts in update.weights.items():
            if edge in structure.edges or edge in gone:
                continue
            for key, part in zip(("weight", "bias"), parts, strict=True):
                name = f"{edge_module(edge)}.{key}"
                if name in frozen and part is not None and bool((part != 0).any()):
                    return f"it would move {name}, which is frozen"
    features = change.all_features
    return "" if features is None or features.node not in dag.spec.nodes else _dead(network, dag, features, frozen)


def _dead(network: Network, dag: Dag, features: NewFeatures, frozen: frozenset[str]) -> str:
    """Which weights of new neurons are 0 and stay so; empty if none do."""
    sides: Sequence[tuple[str, dict[EdgeId, Tensor], int]] = (
        ("read nothing", {edge: weight for edge, (weight, _) in features.fan_in.items()}, 0),
        ("be read by nothing", features.fan_out, 1),
    )
    for what, weights, axis in sides:
        names = [f"{edge_module(edge)}.weight" for edge in weights]
        if not weights or any(name not in frozen for name in names):
            continue
        sizes: Tensor | float = 0.0
        others = 0.0
        for name, weight in zip(names, weights.values(), strict=True):
            rows = weight.movedim(axis, 0).reshape(features.count, -1)
            sizes = rows.abs().amax(1).maximum(rows.new_zeros(()) + sizes)
            others = max(others, float(network.get_parameter(name).detach().abs().max()))
        assert isinstance(sizes, Tensor)
        if bool((sizes <= NOTHING * others).any()):
            return f"its neurons would {what} for ever: their weights in {names[0]}, which is frozen, are 0"
    return ""
