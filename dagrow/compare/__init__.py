"""Several runs on the same graph, data and trainer, with the controls that make the answer honest."""

from dagrow.compare.load import load_comparison
from dagrow.compare.result import Comparison
from dagrow.compare.run import compare
from dagrow.compare.spec import CompareSpec

__all__ = ["CompareSpec", "Comparison", "compare", "load_comparison"]
