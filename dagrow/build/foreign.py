"""Why a model is none that can grow by its graph."""

from __future__ import annotations

from dagrow.build.intact import check_intact
from dagrow.build.module import Network
from dagrow.errors import GrowthError

_INSIDE = {"module": "wrap that anew after it has grown", "_orig_mod": "compile that anew after it has grown"}
"""Attributes under which other modules hold a network, and what to do with it then."""


def why_foreign(model: object) -> str:
    """Why a model is no network of `build`, and what to give instead; empty if it is one."""
    if isinstance(model, Network):
        return ""
    for attribute, then in _INSIDE.items():
        if isinstance(getattr(model, attribute, None), Network):
            return f"the network is inside {type(model).__name__}: give its '{attribute}', and {then}"
    return "the model must come from dagrow.build: only such a module knows its graph"


def intact_network(model: object) -> Network:
    """The model, if it is a network that still is what its graph says.

    Raises:
        GrowthError: if it comes from elsewhere, or was edited.
    """
    if not isinstance(model, Network):
        raise GrowthError(why_foreign(model))
    for name, parameter in model.named_parameters():
        if hasattr(parameter, "device_mesh"):
            raise GrowthError(
                f"the weights '{name}' are sharded over processes: let the network grow whole, and shard it afterwards"
            )
    check_intact(model)
    return model
