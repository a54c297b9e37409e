"""A proposal puts off the search for unreachable objects, and leaves it as it found it."""

import gc

import pytest
import torch

import dagrow
from dagrow.errors import GrowthError

GRAPH = {
    "inputs": {"x": {"shape": [2]}},
    "nodes": {"h": {"size": 1, "activation": "selu"}, "y": {"size": 2}},
    "edges": {"x -> h": "linear", "h -> y": "linear"},
    "outputs": ["y"],
}
DATA = [(torch.randn(20, 2, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 2)]


@pytest.mark.parametrize("running", [True, False])
def test_the_collector_is_left_as_it_was(running):
    network = dagrow.build(dagrow.GraphSpec.model_validate(GRAPH), seed=0)
    seen = []

    def loss(output, target):
        seen.append(gc.isenabled())
        return torch.nn.functional.cross_entropy(output, target)

    if not running:
        gc.disable()
    try:
        dagrow.propose(network, loss, DATA)
        assert gc.isenabled() is running
        with pytest.raises(GrowthError):
            dagrow.propose(network, loss, DATA, neurons=0)
        assert gc.isenabled() is running
    finally:
        gc.enable()
    assert seen
    assert not any(seen)
