"""Growth by folding (J. Kang, slides, 2025): a method, and its need of the network as a chain of matrices."""

from dagrow.contrib.folding.chain_edges import NoChain, chain_edges
from dagrow.contrib.folding.chain_need import CHAIN_NEED
from dagrow.contrib.folding.chain_samples import chain_of, judged
from dagrow.contrib.folding.fold import Fold, fold, folding
from dagrow.contrib.folding.relu_chain import CHAIN, ChainSamples, LabelledPredictions, ReluChain, Segment
from dagrow.methods import Method, register_method
from dagrow.planner.method_requirements import NEEDS

__all__ = [
    "CHAIN",
    "ChainSamples",
    "Fold",
    "LabelledPredictions",
    "NoChain",
    "ReluChain",
    "Segment",
    "chain_edges",
    "chain_of",
    "fold",
    "folding",
    "judged",
    "register",
]


def register() -> None:
    """Registers the method and its need."""
    NEEDS.add(CHAIN, CHAIN_NEED)
    register_method("folding", Method(folding, needs=(CHAIN,)))
