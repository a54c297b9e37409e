"""A proposal of several processes, one of which has no numbers."""

import pytest
import torch

import dagrow
from dagrow.distributed import Processes
from dagrow.errors import NumbersError
from dagrow.spec import GraphSpec

GRAPH = {
    "inputs": {"x": {"shape": [2]}},
    "nodes": {"h": {"size": 1, "activation": "selu"}, "y": {"size": 2}},
    "edges": {"x -> h": "linear", "h -> y": "linear"},
    "outputs": ["y"],
}


class First(Processes):
    """The first of two; the other says in each exchange that it found no numbers, and remembers what this one says."""

    count = 2

    def __init__(self):
        self.told = []

    def numbers(self, number):
        self.told.append(number)
        return (number, 1)


@pytest.mark.parametrize("own", [1.0, float("nan")])
def test_what_one_process_finds_stops_all_of_them(own):
    """Where the other has no numbers, this one ends with it; where this one has none, it says so first."""
    x, y = torch.full((4, 2), own), torch.tensor([0, 1, 0, 1])
    network = dagrow.build(GraphSpec.model_validate(GRAPH), seed=0)
    processes = First()
    message = "process 1 of 2 found infinite or NaN" if own == 1.0 else "batch 1 of the data has infinite or NaN"
    with pytest.raises(NumbersError, match=message):
        dagrow.propose(network, torch.nn.functional.cross_entropy, [(x, y)], processes=processes)
    assert processes.told[-1] == (0 if own == 1.0 else 1)
