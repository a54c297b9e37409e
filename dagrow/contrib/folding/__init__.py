"""Growth by folding (J. Kang, slides, 2025): a method, and its need of the network as a chain of matrices."""

from dagrow.contrib.folding.chain_edges import NoChain, chain_edges
from dagrow.contrib.folding.chain_need import CHAIN_NEED, chain_problems
from dagrow.contrib.folding.chain_samples import chain_of, judged
from dagrow.contrib.folding.fold import Fold, fold, folding, folding_free
from dagrow.contrib.folding.fold_point import FoldPoint, Within, fold_point
from dagrow.contrib.folding.relu_chain import CHAIN, ChainSamples, LabelledPredictions, ReluChain, Segment
from dagrow.graph import RUN_CHECKS
from dagrow.methods import Method, register_method
from dagrow.planner.method_requirements import NEEDS

__all__ = [
    "CHAIN",
    "ChainSamples",
    "Fold",
    "FoldPoint",
    "LabelledPredictions",
    "NoChain",
    "ReluChain",
    "Segment",
    "Within",
    "chain_edges",
    "chain_of",
    "fold",
    "fold_point",
    "judged",
    "register",
]


def register() -> None:
    """Registers the methods and their need."""
    NEEDS.add(CHAIN, CHAIN_NEED)
    register_method("folding", Method(folding, needs=(CHAIN,), supports_identity_layer=True))
    register_method("folding_free", Method(folding_free, needs=(CHAIN,), supports_identity_layer=True))
    RUN_CHECKS.add("folding", chain_problems)
