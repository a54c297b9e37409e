"""Global random numbers belong to the caller: `grow`, `build` and `propose` leave them where they were."""

import random

import numpy as np
import pytest
import torch

import dagrow
from dagrow.randomness import random_numbers_kept
from dagrow.report import Silent
from dagrow.spec import RunSpec

RUN = {
    "graph": {
        "inputs": {"x": {"shape": [4]}},
        "nodes": {"h": {"size": 2, "activation": "relu", "dropout": 0.1}, "y": {"size": 3}},
        "edges": {"x -> h": "linear", "h -> y": "linear"},
        "outputs": ["y"],
    },
    "data": {"dataset": "iris"},
    "training": {"epochs_between_growth": 1, "final_epochs": 1},
    "growth": {"neurons": 1, "budget": {"steps": 1}, "trial_training": {"candidates": 2, "steps": 1}},
}


def seeded():
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)


def drawn():
    return torch.rand(4).tolist(), np.random.rand(4).tolist(), random.random()


def grown(**options):
    return dagrow.grow(RunSpec.model_validate(RUN), write=False, **options)


class Stops(Silent):
    """A person who stops the run in the middle."""

    def advance(self):
        raise KeyboardInterrupt


def is_stopped():
    with pytest.raises(KeyboardInterrupt):
        grown(reporter=Stops())


def proposes():
    model = dagrow.build(RunSpec.model_validate(RUN).graph, seed=1)
    x = torch.linspace(-1, 1, 80).view(20, 4)
    dagrow.propose(model.train(), torch.nn.functional.cross_entropy, [(x, torch.arange(20) % 3)], significance=0)


@pytest.mark.parametrize("what", [grown, is_stopped, proposes])
def test_they_are_where_they_were(what):
    seeded()
    expected = drawn()
    seeded()
    what()
    assert drawn() == expected


def test_a_run_does_not_depend_on_them():
    seeded()
    first = grown().model.state_dict()
    assert all(torch.equal(value, first[name]) for name, value in grown().model.state_dict().items())


def test_they_are_kept_when_something_breaks():
    seeded()
    expected = drawn()
    seeded()

    @random_numbers_kept()
    def breaks():
        drawn()
        torch.manual_seed(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        breaks()
    assert drawn() == expected
