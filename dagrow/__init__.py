"""dagrow grows neural-network architectures while they train.

Declare a network as a small YAML graph; dagrow compiles it to a ``torch.fx`` module of ordinary layers,
finds where it lacks expressivity, measures what each possible insertion would gain, inserts the best, and
hands back plain PyTorch.
"""

from dagrow.api import diff, export, replay, revert, show
from dagrow.build import build
from dagrow.capture import CapturedModule, from_module, spaces
from dagrow.compare import CompareSpec, Comparison, compare, load_comparison
from dagrow.data import Preprocessing
from dagrow.errors import (
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
from dagrow.planner import Candidate, Plan, warning_of_width
from dagrow.planner import apply as _apply
from dagrow.planner import propose as _propose
from dagrow.resize import save_module, widen
from dagrow.runs import GrowthResult, Prediction, TrainedModel, load_model
from dagrow.spec import GraphSpec, RunSpec, save_graph

propose, apply = takes_modules(warning_of_width(_propose), _apply)

__version__ = "0.1.0"

__all__ = [
    "Candidate",
    "CaptureError",
    "CapturedModule",
    "CompareSpec",
    "Comparison",
    "Dag",
    "DagrowError",
    "DataError",
    "ExportError",
    "GraphSpec",
    "GrowthError",
    "GrowthResult",
    "ModulePlan",
    "Op",
    "OptimizerError",
    "Plan",
    "Prediction",
    "Preprocessing",
    "RunError",
    "RunSpec",
    "SpecError",
    "TrainedModel",
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
    "load_run",
    "propose",
    "register_method",
    "register_op",
    "replay",
    "revert",
    "save_graph",
    "save_module",
    "show",
    "spaces",
    "widen",
]
