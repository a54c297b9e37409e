"""The zoo: small graphs, each named after what is hard about it, and the words to write another.

``BUILDING`` has every feature of a network, ``EXPORTING`` what makes source code hard, ``GROWING`` what makes growth
hard; a new difficulty goes into the one whose tests would notice it.
"""

from zoo.building import BUILDING
from zoo.exporting import EXPORTING
from zoo.graphs import chain, conv, example_of, graph, node, path, transposed
from zoo.growing import BARE, GROWING, MAX

__all__ = [
    "BARE",
    "BUILDING",
    "EXPORTING",
    "GROWING",
    "MAX",
    "chain",
    "conv",
    "example_of",
    "graph",
    "node",
    "path",
    "transposed",
]
