"""Growth methods as pure functions on matrices: one file each."""

from dagrow.methods.best_update import best_update, explained
from dagrow.methods.method import Method
from dagrow.methods.metric import Metric
from dagrow.methods.moments import Existing, Neurons, Request, SiteMoments
from dagrow.methods.registry import COMPLETIONS, METHODS, NOTHING, find_completion, find_method, register_method
from dagrow.methods.removal import orthonormal
from dagrow.methods.samples import ChildSamples, SiteSamples

__all__ = [
    "COMPLETIONS",
    "METHODS",
    "NOTHING",
    "ChildSamples",
    "Existing",
    "Method",
    "Metric",
    "Neurons",
    "Request",
    "SiteMoments",
    "SiteSamples",
    "best_update",
    "explained",
    "find_completion",
    "find_method",
    "orthonormal",
    "register_method",
]
