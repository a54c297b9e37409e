"""Growth methods as pure functions on matrices: one file each."""

from dagrow.methods.best_update import best_update, explained
from dagrow.methods.decision_plot_data import Scene, Straight
from dagrow.methods.method import EXISTING, GOAL, SAMPLES, SILENCE, EdgeFormula, Formula, Method
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
from dagrow.methods.noise_level import NOISE_LEVELS, NoiseLevel
from dagrow.methods.normalisation import NORMALISATIONS, Normalisation, Sizes
from dagrow.methods.registry import (
    FALLBACK_METHODS,
    METHODS,
    NOTHING,
    find_fallback_method,
    find_method,
    register_method,
)
from dagrow.methods.residual_fit import orthonormal
from dagrow.methods.samples import ChildSamples, SiteSamples

__all__ = [
    "CONSTANT",
    "EXISTING",
    "FALLBACK_METHODS",
    "GOAL",
    "METHODS",
    "NOISE_LEVELS",
    "NORMALISATIONS",
    "NOTHING",
    "SAMPLES",
    "SILENCE",
    "ChildSamples",
    "EdgeFormula",
    "EdgeMoments",
    "ExistingNeurons",
    "Explanation",
    "FixedScale",
    "Formula",
    "FunctionPreserving",
    "InsertionMode",
    "Method",
    "MethodRequest",
    "Metric",
    "Neurons",
    "NewWeights",
    "NoiseLevel",
    "Normalisation",
    "Scene",
    "SearchedAmplitude",
    "SearchedFanOut",
    "SiteMoments",
    "SiteSamples",
    "Sizes",
    "SmallFanOut",
    "SplitNeurons",
    "Straight",
    "ZeroFanIn",
    "ZeroFanOut",
    "best_update",
    "explained",
    "find_fallback_method",
    "find_method",
    "mean_squares",
    "orthonormal",
    "register_method",
]
