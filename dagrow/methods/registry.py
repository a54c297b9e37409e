"""The table of growth methods. A new method is a file here and a line below, or `register_method`."""

from __future__ import annotations

from collections.abc import Callable

from dagrow.errors import DagrowError, lookup
from dagrow.methods.moments import Neurons, Request, SiteMoments
from dagrow.methods.nonlinear import nonlinear
from dagrow.methods.random import random
from dagrow.methods.tiny import tiny

Method = Callable[[SiteMoments, Request], Neurons]
"""Moments in, neurons out: a pure function of matrices."""

METHODS: dict[str, Method] = {"tiny": tiny, "nonlinear": nonlinear, "random": random}


def register_method(name: str, method: Method) -> None:
    """Makes a method selectable by name, in specs and in `propose`.

    Raises:
        DagrowError: if the name is taken by another method.
    """
    if not callable(method):
        raise DagrowError(f"method '{name}' is not callable: give a function (moments, request) -> neurons")
    if METHODS.get(name, method) is not method:
        raise DagrowError(f"a method named '{name}' is registered already")
    METHODS[name] = method


def find_method(name: str) -> Method:
    """The method of that name.

    Raises:
        DagrowError: with the nearest name, if there is none.
    """
    return lookup(METHODS, name, "method")
