"""`dagrow.propose`, `dagrow.apply` and `dagrow.spot` for networks of the graph language and for captured modules."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from dagrow.capture import CapturedModule
from dagrow.module_growth.propose import apply_to_module, propose_for_module, spot_module

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
V = ParamSpec("V")
T = TypeVar("T")


def takes_modules(
    propose: Callable[P, R], apply: Callable[Q, S], spot: Callable[V, T]
) -> tuple[Callable[P, R], Callable[Q, S], Callable[V, T]]:
    """The three functions, which hand captured modules on to those of this folder.

    Args:
        propose: for networks.
        apply: likewise.
        spot: likewise.
    """

    def handed_on(plain: Callable[..., Any], other: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(plain)
        def called(*args: Any, **kwargs: Any) -> Any:
            return (other if args and isinstance(args[0], CapturedModule) else plain)(*args, **kwargs)

        return called

    return handed_on(propose, propose_for_module), handed_on(apply, apply_to_module), handed_on(spot, spot_module)
