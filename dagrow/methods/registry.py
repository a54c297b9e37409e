"""The table of growth methods. A new method is a file here and a line below, or `register_method`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dagrow.errors import DagrowError
from dagrow.methods.firefly import firefly, firefly_edge
from dagrow.methods.gradmax import gradmax
from dagrow.methods.method import EXISTING, GOAL, SAMPLES, SILENCE, Formula, Method
from dagrow.methods.moments import MethodRequest, Neurons, SiteMoments
from dagrow.methods.net2net import net2net
from dagrow.methods.nonlinear import nonlinear
from dagrow.methods.north import north_activations, north_weights
from dagrow.methods.padding import random_zero_fan_out
from dagrow.methods.random import random
from dagrow.methods.tiny import tiny
from dagrow.registry import Registry
from dagrow.registry.table import unknown

METHODS: Registry[Method] = Registry(
    "method",
    {
        "tiny": Method(tiny, squared_scores=True, completed=True),
        "nonlinear": Method(nonlinear, needs_search=True, squared_scores=True),
        "gradmax": Method(gradmax, needs=(GOAL, EXISTING, SILENCE)),
        "north_weights": Method(north_weights, needs=(EXISTING,)),
        "north_activations": Method(north_activations, needs=(EXISTING,)),
        "firefly": Method(firefly, needs=(GOAL, EXISTING, SAMPLES), edge=firefly_edge),
        "net2net": Method(net2net, needs=(EXISTING,), supports_identity_layer=True, supports_empty_node=False),
        "random": Method(random),
        "random_zero_fan_out": Method(random_zero_fan_out),
    },
    reserved=("none",),
)


def _nothing(moments: SiteMoments, request: MethodRequest) -> Neurons:
    return Neurons.none(moments, "no singular value above the noise")


NOTHING = Method(_nothing, squared_scores=True)
"""Finds no neurons, anywhere."""


class _Completions(Mapping[str, Method]):
    """All methods but `tiny` itself, as they are registered, and none."""

    def __getitem__(self, name: str) -> Method:
        if name == "tiny":
            raise KeyError(name)
        return NOTHING if name == "none" else METHODS[name]

    def __iter__(self) -> Iterator[str]:
        return iter(["none", *(name for name in METHODS if name != "tiny")])

    def __len__(self) -> int:
        return len(list(iter(self)))


FALLBACK_METHODS = _Completions()
"""What `tiny` may be completed by: any other method; none leaves it at what it finds itself."""


def register_method(name: str, method: Method | Formula) -> None:
    """Makes a method selectable by name, in specs and in `propose`, by itself and to complete `tiny`.

    Args:
        name: for run files.
        method: a function ``(moments, request) -> neurons``, or a `Method` that declares what it needs besides.

    Raises:
        DagrowError: if the name is taken by another method.
    """
    if not callable(method):
        raise DagrowError(f"method '{name}' is not callable: give a function (moments, request) -> neurons")
    own = method if isinstance(method, Method) else Method(method)
    METHODS.add(name, own)


def find_method(name: str) -> Method:
    """The method of that name.

    Raises:
        DagrowError: with the nearest name, if there is none.
    """
    return METHODS.find(name)


def find_fallback_method(name: str) -> Method:
    """What a method is completed by.

    Raises:
        DagrowError: with the nearest name, if there is none.
    """
    if name not in FALLBACK_METHODS:
        raise DagrowError(unknown("fallback method", name, FALLBACK_METHODS))
    return FALLBACK_METHODS[name]
