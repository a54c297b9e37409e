"""Spec to ``torch.fx``: the network, the same graph with extra outputs, and the part below a change."""

from dagrow.build.checks import check_network
from dagrow.build.emit import Value, given_value, merged, output
from dagrow.build.module import Network
from dagrow.build.network import build
from dagrow.build.views import Suffix, Suffixes, output_of, probe

__all__ = [
    "Network",
    "Suffix",
    "Suffixes",
    "Value",
    "build",
    "check_network",
    "given_value",
    "merged",
    "output",
    "output_of",
    "probe",
]
