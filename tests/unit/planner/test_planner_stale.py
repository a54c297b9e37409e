"""A candidate holds for the weights that it was measured on, of the network and of its copies, and for no others."""

import copy

import pytest
import torch
from torch.nn import functional

import dagrow
from dagrow.errors import GrowthError
from dagrow.spec import GraphSpec

SPEC = GraphSpec.model_validate(
    {
        "inputs": {"x": {"shape": [4]}},
        "nodes": {"h": {"size": 3, "norm": "batch", "activation": "tanh"}, "y": {"size": 2}},
        "edges": {"x -> h": "linear", "h -> y": "linear", "x -> y": "linear"},
        "outputs": ["y"],
    }
)
X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
Y = torch.stack([X[:, 0] * X[:, 1], X[:, 2].abs()], 1)


def proposed(training, **options):
    model = dagrow.build(SPEC, seed=0).train(training)
    plan = dagrow.propose(model, functional.mse_loss, [(X, Y)], significance=0, shrinkage=0.01, neurons=2, **options)
    return model, plan


def trained(model):
    model.zero_grad()
    functional.mse_loss(model(X), Y).backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()


def exchanged(model):
    """The same values in other places: no sum would tell."""
    with torch.no_grad():
        model.y.from_h.weight.copy_(model.y.from_h.weight.flip(1))


CHANGES = {
    "a training step": trained,
    "one weight": lambda model: model.y.from_x.bias.data[0].add_(1e-6),
    "weights exchanged": exchanged,
    "a running mean": lambda model: model.h.norm.running_mean.add_(1e-3),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("copied", [False, True])
def test_it_is_refused_once_the_weights_have_changed(change, copied):
    model, plan = proposed(training=False)
    model = copy.deepcopy(model) if copied else model
    CHANGES[change](model)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(
        GrowthError, match=r"^the weights have changed since this widen of 'h' was measured, by training"
    ):
        dagrow.apply(model, plan.best)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("training", [False, True])
def test_it_is_accepted_on_copies_that_are_equal(training):
    model, plan = proposed(training)
    copies = [copy.deepcopy(model), dagrow.build(SPEC, seed=0), copy.deepcopy(model), copy.copy(model)]
    # Its own additions are not what was measured.
    copies[2].extra = torch.nn.Parameter(torch.zeros(3))
    if training:
        # Running statistics mean nothing to a network that looks at its batch.
        copies[0](X)
    for other in copies:
        dagrow.apply(other.train(training), plan.best)
        assert other.spec.nodes["h"].size > 3


def test_of_one_plan_one_is_made():
    """An update leaves the graph as it is, but not the weights."""
    model, plan = proposed(False, candidates=["update", "widen"])
    first, *others = [candidate for candidate in plan.candidates if not candidate.rejected]
    assert others
    dagrow.apply(model, first)
    for candidate in (first, *others):
        with pytest.raises(GrowthError, match="(network has|weights have) changed since"):
            dagrow.apply(model, candidate)
