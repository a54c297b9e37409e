"""Processes that make a proposal together ask the same of the same network, or all of them hear why not."""

import copy

import pytest
import torch
from torch.nn.functional import mse_loss
from zoo import graph, node

import dagrow
from dagrow.build import build
from dagrow.distributed import ProcessError, Processes
from dagrow.errors import GrowthError
from dagrow.planner import propose
from dagrow.planner.agreement import ALIKE, agree_on_proposal, checked_together
from dagrow.spec.proposal import ProposalOptions


class Pair(Processes):
    """One of two; what the other gives is changed from what this one does."""

    count = 2

    def __init__(self, rank=0, change=lambda value: value):
        self.rank, self.change = rank, change

    def exchange(self, value):
        pair = [value, self.change(copy.deepcopy(value))]
        return pair if self.rank == 0 else pair[::-1]


def network(seed=0):
    return build(graph({"x": [3]}, {"h": node(4, "selu"), "y": 2}, {"x -> h": "linear", "h -> y": "linear"}), seed=seed)


def put(value, *path):
    """A change of one entry of what the other describes."""
    *above, last = path

    def change(description):
        owner = description
        for part in above:
            owner = owner[part]
        owner[last] = value
        return description

    return change


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (put(8, "options", "neurons"), "'neurons' is 8 in place of 4"),
        (put("other", "graph"), "graph: other in place of "),
        (put(["torch.float64"], "numbers of the network"), r"numbers of the network: \['torch.float64'\] in place of "),
        (put("eval", "mode"), "mode: eval in place of train"),
        (put("torch.float64", "statistics in"), "statistics in: torch.float64 in place of None"),
        (put([9.0, 9.0], "weights", "h.from_x.weight"), "the weights 'h.from_x.weight' are others; give all of them"),
    ],
)
def test_what_differs_is_told(change, difference):
    with pytest.raises(ProcessError, match=f"process 1 asks for another proposal than process 0: {difference}"):
        agree_on_proposal(Pair(change=change), network(), ProposalOptions(), None)


def test_rounding_is_no_difference():
    def rounded(description):
        for pair in description["weights"].values():
            pair[:] = [value + 0.5 * ALIKE * pair[1] for value in pair]
        return description

    agree_on_proposal(Pair(change=rounded), network(), ProposalOptions(), None)
    agree_on_proposal(Pair(), network(), ProposalOptions(), torch.float64)


def test_other_weights_are_a_difference():
    others = {}
    agree_on_proposal(Pair(change=lambda value: others.update(value) or value), network(1), ProposalOptions(), None)
    with pytest.raises(ProcessError, match="the weights 'h.from_x.weight' are others"):
        agree_on_proposal(Pair(change=lambda value: others), network(0), ProposalOptions(), None)


def test_a_refusal_reaches_all():
    def refuse():
        raise GrowthError("not like this")

    with pytest.raises(GrowthError, match="^not like this$"):
        checked_together(Pair(), refuse)
    with pytest.raises(ProcessError, match=r"^process 1 of 2 refuses: not like this$"):
        checked_together(Pair(change=lambda value: "not like this"), lambda: 3)
    with pytest.raises(ProcessError, match=r"^process 0 of 2 refuses: no$"):
        checked_together(Pair(rank=1, change=lambda value: "no"), lambda: 3)
    assert checked_together(Pair(), lambda: 3) == checked_together(Processes(), lambda: 3) == 3


class Wrapper(torch.nn.Module):
    def __init__(self, inner, attribute):
        super().__init__()
        self.add_module(attribute, inner)


def test_a_network_inside_another_module_is_named():
    for call in (propose, dagrow.spot):
        with pytest.raises(GrowthError, match=r"the network is inside Wrapper: give its 'module', and wrap that anew"):
            call(Wrapper(network(), "module"), mse_loss, [])
        with pytest.raises(GrowthError, match=r"inside Wrapper: give its '_orig_mod', and compile that anew"):
            call(Wrapper(network(), "_orig_mod"), mse_loss, [])


def test_sharded_weights_are_named():
    sharded = network()
    sharded.h.from_x.weight.device_mesh = "a mesh"
    with pytest.raises(GrowthError, match=r"'h\.from_x\.weight' are sharded over processes: let"):
        propose(sharded, mse_loss, [])
