"""A word where a proposal will take long: what reads thousands of features is solved with matrices of as many rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from dagrow.build import Network
from dagrow.graph import Dag, widest_fan_in

WIDE = 5000
"""Features from which on a growth step takes minutes and not seconds: its time grows with their cube."""

P = ParamSpec("P")
R = TypeVar("R")


def size_warning(dag: Dag) -> str:
    """What a person should know of the widest node before growth; empty where a proposal takes seconds."""
    node, width = widest_fan_in(dag)
    if width <= WIDE:
        return ""
    return (
        f"'{node}' reads {width} features: a growth step there may solve with matrices of {width} x {width}, "
        "which takes minutes, and nothing is said meanwhile"
    )


def warning_of_width(propose: Callable[P, R]) -> Callable[P, R]:
    """A proposal for callers in Python: it warns where it will take long. A run says so itself, once, at its start."""

    @wraps(propose)
    def warned(*args: P.args, **kwargs: P.kwargs) -> R:
        model = args[0] if args else kwargs.get("model")
        if isinstance(model, Network) and (note := size_warning(model.dag)):
            # `dagrow.propose` hands networks on to this one.
            warnings.warn(note, stacklevel=3)
        return propose(*args, **kwargs)

    return warned
