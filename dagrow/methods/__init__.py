"""Growth methods as pure functions on matrices: one file each."""

from dagrow.methods.best_update import best_update, explained
from dagrow.methods.metric import Metric
from dagrow.methods.moments import Neurons, Request, SiteMoments
from dagrow.methods.registry import METHODS, Method, find_method, register_method

__all__ = [
    "METHODS",
    "Method",
    "Metric",
    "Neurons",
    "Request",
    "SiteMoments",
    "best_update",
    "explained",
    "find_method",
    "register_method",
]
