"""Growth methods as pure functions on matrices: one file each."""

from dagrow.methods.best_update import best_update, explained
from dagrow.methods.metric import Metric
from dagrow.methods.moments import Neurons, Request, SiteMoments
from dagrow.methods.registry import METHODS, Method, find_method, register_method
from dagrow.methods.removal import orthonormal
from dagrow.methods.samples import ChildSamples, SiteSamples

__all__ = [
    "METHODS",
    "ChildSamples",
    "Method",
    "Metric",
    "Neurons",
    "Request",
    "SiteMoments",
    "SiteSamples",
    "best_update",
    "explained",
    "find_method",
    "orthonormal",
    "register_method",
]
