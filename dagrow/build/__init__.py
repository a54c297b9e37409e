"""Spec to ``torch.fx``: the network, the same graph with extra outputs, and the part below a change."""

from dagrow.build.emit import Value, given_value, merged, output
from dagrow.build.module import Network
from dagrow.build.network import build
from dagrow.build.views import Suffix, output_of, probe, suffix

__all__ = ["Network", "Suffix", "Value", "build", "given_value", "merged", "output", "output_of", "probe", "suffix"]
