"""The table of growth methods. A new method is a file here and a line below, or `register_method`."""

from __future__ import annotations

from dagrow.errors import DagrowError, lookup
from dagrow.methods.folding import folding
from dagrow.methods.method import CHAIN, Formula, Method
from dagrow.methods.nonlinear import nonlinear
from dagrow.methods.random import random
from dagrow.methods.tiny import tiny

METHODS: dict[str, Method] = {
    "tiny": Method(tiny),
    "nonlinear": Method(nonlinear),
    "folding": Method(folding, needs=(CHAIN,)),
    "random": Method(random),
}


def register_method(name: str, method: Method | Formula) -> None:
    """Makes a method selectable by name, in specs and in `propose`.

    Args:
        name: for run files.
        method: a function ``(moments, request) -> neurons``, or a `Method` that declares what it needs besides.

    Raises:
        DagrowError: if the name is taken by another method.
    """
    if not callable(method):
        raise DagrowError(f"method '{name}' is not callable: give a function (moments, request) -> neurons")
    own = method if isinstance(method, Method) else Method(method)
    if METHODS.get(name, own) != own:
        raise DagrowError(f"a method named '{name}' is registered already")
    METHODS[name] = own


def find_method(name: str) -> Method:
    """The method of that name.

    Raises:
        DagrowError: with the nearest name, if there is none.
    """
    return lookup(METHODS, name, "method")
