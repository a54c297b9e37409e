"""dagrow grows neural-network architectures while they train.

Declare a network as a small YAML graph; dagrow compiles it to a ``torch.fx`` module of ordinary layers,
finds where it lacks expressivity, measures what each possible insertion would gain, inserts the best, and
hands back plain PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dagrow.api import diff, export, replay, revert, show
from dagrow.build import build
from dagrow.callbacks import Callback
from dagrow.capture import CapturedModule, from_module, spaces
from dagrow.compare import CompareSpec, Comparison, compare, load_comparison
from dagrow.contrib import register as _register_contrib
from dagrow.data import DataSource, Preprocessing, register_source
from dagrow.errors import (
    CallbackError,
    CaptureError,
    DagrowError,
    DataError,
    ExportError,
    GrowthError,
    OptimizerError,
    RunError,
    SpecError,
)
from dagrow.graph import Dag, cost, load_graph, load_run
from dagrow.growth import grow
from dagrow.methods import register_method
from dagrow.module_growth import ModulePlan, grow_module, takes_modules
from dagrow.ops import Op, register_op
from dagrow.page import report as write_report
from dagrow.planner import Candidate, Plan, register_candidate_type, register_selection, warning_of_width
from dagrow.planner import apply as _apply
from dagrow.planner import propose as _propose
from dagrow.registry import load_plugins
from dagrow.resize import save_module, widen, with_plain_attention
from dagrow.runs import GrowthResult, Prediction, TrainedModel, load_model
from dagrow.spec import GraphSpec, ProposalOptions, RunSpec, save_graph
from dagrow.spot import Spot, Widening, spot_run
from dagrow.spot import spot as _spot
from dagrow.translate import network_of

_register_contrib()

propose, apply, spot = takes_modules(warning_of_width(_propose), _apply, _spot)

if TYPE_CHECKING:
    from dagrow.integrations.classifier import GrowingClassifier
    from dagrow.integrations.regressor import GrowingRegressor

_LATER = {
    "GrowingClassifier": "dagrow.integrations.classifier",
    "GrowingRegressor": "dagrow.integrations.regressor",
}
"""Names whose modules need packages that take long to import: they are imported when they are asked for."""


def __getattr__(name: str) -> Any:
    if name in _LATER:
        try:
            return getattr(import_module(_LATER[name]), name)
        except ImportError as error:
            text = f"dagrow.{name} needs scikit-learn 1.6 or newer: pip install 'scikit-learn>=1.6'"
            raise DagrowError(text) from error
    raise AttributeError(f"module 'dagrow' has no attribute '{name}'")


__version__ = "0.1.0"

__all__ = [
    "Callback",
    "CallbackError",
    "Candidate",
    "CaptureError",
    "CapturedModule",
    "CompareSpec",
    "Comparison",
    "Dag",
    "DagrowError",
    "DataError",
    "DataSource",
    "ExportError",
    "GraphSpec",
    "GrowingClassifier",
    "GrowingRegressor",
    "GrowthError",
    "GrowthResult",
    "ModulePlan",
    "Op",
    "OptimizerError",
    "Plan",
    "Prediction",
    "Preprocessing",
    "ProposalOptions",
    "RunError",
    "RunSpec",
    "SpecError",
    "Spot",
    "TrainedModel",
    "Widening",
    "apply",
    "build",
    "compare",
    "cost",
    "diff",
    "export",
    "from_module",
    "grow",
    "grow_module",
    "load_comparison",
    "load_graph",
    "load_model",
    "load_plugins",
    "load_run",
    "network_of",
    "propose",
    "register_candidate_type",
    "register_method",
    "register_op",
    "register_selection",
    "register_source",
    "replay",
    "revert",
    "save_graph",
    "save_module",
    "show",
    "spaces",
    "spot",
    "spot_run",
    "widen",
    "with_plain_attention",
    "write_report",
]
