"""Growth methods as pure functions on matrices: one file each."""

from dagrow.methods.best_update import best_update, explained
from dagrow.methods.decision_plot_data import Scene, Straight
from dagrow.methods.folding import Fold, fold
from dagrow.methods.method import CHAIN, EXISTING, GOAL, SAMPLES, SILENCE, EdgeFormula, Formula, Method
from dagrow.methods.metric import CONSTANT, Metric, mean_squares
from dagrow.methods.modes import (
    FixedScale,
    FunctionPreserving,
    InsertionMode,
    SearchedAmplitude,
    SearchedFanOut,
    SmallFanOut,
    SplitNeurons,
    ZeroFanIn,
    ZeroFanOut,
)
from dagrow.methods.moments import (
    EdgeMoments,
    ExistingNeurons,
    Explanation,
    MethodRequest,
    Neurons,
    NewWeights,
    SiteMoments,
)
from dagrow.methods.registry import (
    FALLBACK_METHODS,
    METHODS,
    NOTHING,
    find_fallback_method,
    find_method,
    register_method,
)
from dagrow.methods.relu_chain import ChainSamples, LabelledPredictions, ReluChain, Segment
from dagrow.methods.residual_fit import orthonormal
from dagrow.methods.samples import ChildSamples, SiteSamples

__all__ = [
    "CHAIN",
    "CONSTANT",
    "EXISTING",
    "FALLBACK_METHODS",
    "GOAL",
    "METHODS",
    "NOTHING",
    "SAMPLES",
    "SILENCE",
    "ChainSamples",
    "ChildSamples",
    "EdgeFormula",
    "EdgeMoments",
    "ExistingNeurons",
    "Explanation",
    "FixedScale",
    "Fold",
    "Formula",
    "FunctionPreserving",
    "InsertionMode",
    "LabelledPredictions",
    "Method",
    "MethodRequest",
    "Metric",
    "Neurons",
    "NewWeights",
    "ReluChain",
    "Scene",
    "SearchedAmplitude",
    "SearchedFanOut",
    "Segment",
    "SiteMoments",
    "SiteSamples",
    "SmallFanOut",
    "SplitNeurons",
    "Straight",
    "ZeroFanIn",
    "ZeroFanOut",
    "best_update",
    "explained",
    "find_fallback_method",
    "find_method",
    "fold",
    "mean_squares",
    "orthonormal",
    "register_method",
]
