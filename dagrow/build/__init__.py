"""Spec to ``torch.fx``: the network, the same graph with extra outputs, and the part below a change."""

from dagrow.build.emit import Value, given_value, merged, output
from dagrow.build.fingerprint import WeightsFingerprint
from dagrow.build.foreign import intact_network, why_foreign
from dagrow.build.intact import check_intact, drop_additions, frozen_names
from dagrow.build.module import Network
from dagrow.build.network import build
from dagrow.build.subgraphs import Suffix, Suffixes, output_of, probe

__all__ = [
    "Network",
    "Suffix",
    "Suffixes",
    "Value",
    "WeightsFingerprint",
    "build",
    "check_intact",
    "drop_additions",
    "frozen_names",
    "given_value",
    "intact_network",
    "merged",
    "output",
    "output_of",
    "probe",
    "why_foreign",
]
