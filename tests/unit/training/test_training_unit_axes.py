"""AdaRad in runs: the fan-ins of every weight are told apart by the axis that its op counts outputs on."""

import copy

import pytest
import torch
from dagrow.training.optimizer_snapshot import optimizer_state, set_optimizer_state

import dagrow
from dagrow.objectives import LOSSES
from dagrow.planner import apply, propose
from dagrow.spec.run import TrainingSpec
from dagrow.training import Objective, make_optimizer

UP = {"op": "conv_transpose2d", "kernel": 2, "stride": 2}
MAPS = {
    "inputs": {"x": {"shape": [2, 4, 4]}},
    "nodes": {"h": {"size": 3, "activation": "relu"}, "y": {"size": 2}},
    "edges": {"x -> h": UP, "h -> y": {"op": "conv2d", "kernel": 3, "padding": 1}},
    "outputs": ["y"],
}


def training(name):
    return TrainingSpec(optimizer={"name": name, "lr": 0.1}, loss="mse")


def built():
    return dagrow.build(dagrow.GraphSpec.model_validate(MAPS), seed=0)


def axes(model, optimizer):
    """The axis of units by the name of the weight."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(p)]: group["unit_axis"] for group in optimizer.param_groups for p in group["params"]}


def lengths(weight, axis):
    return weight.movedim(axis, 0).flatten(1).norm(dim=1)


def backward(model):
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(6, *shape, generator=generator) for shape in ((2, 4, 4), (2, 8, 8)))
    Objective(LOSSES["mse"])(model(x), y).backward()
    return x, y


@pytest.mark.parametrize("name", ["adarad", "adarad_m"])
def test_a_transposed_convolution_turns_by_output_channels(name):
    """Without radial steps every fan-in keeps its length, and no other slice of the weight does."""
    model = built().double()
    spec = TrainingSpec(optimizer={"name": name, "lr": 3.0, "radial_lr": 0.0}, loss="mse")
    optimizer = make_optimizer(model, spec)
    assert axes(model, optimizer)["h.from_x.weight"] == 1
    before = model.h.from_x.weight.detach().clone()
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(6, *shape, generator=generator, dtype=torch.float64) for shape in ((2, 4, 4), (2, 8, 8)))
    Objective(LOSSES["mse"])(model(x), y).backward()
    optimizer.step()
    after = model.h.from_x.weight.detach()
    torch.testing.assert_close(lengths(after, 1), lengths(before, 1), rtol=1e-12, atol=0)
    assert float((lengths(after, 0) / lengths(before, 0) - 1).abs().max()) > 1e-4
    assert float((after - before).abs().max()) > 1e-3


def test_other_optimizers_have_one_group():
    assert len(make_optimizer(built(), training("adam")).param_groups) == 1


@pytest.mark.parametrize("kind", ["edge", "layer", "widen"])
def test_weights_that_growth_brings_are_told_apart_likewise(kind):
    """A grown network's optimizer groups as a new one would; checkpoints keep the groups."""
    model = built()
    optimizer = make_optimizer(model, training("adarad"))
    x, y = backward(model)
    optimizer.step()
    plan = propose(
        model.eval(), Objective(LOSSES["mse"]), [(x, y)], candidates=[kind], method="random", neurons=1,
        shrinkage=0, significance=0,
    )  # fmt: skip
    found = [candidate for candidate in plan.candidates if not candidate.rejected]
    assert found
    for candidate in found:
        grown, own = copy.deepcopy((model, optimizer))
        apply(grown, candidate, own)
        fresh = make_optimizer(grown, training("adarad"))
        assert axes(grown, own) == axes(grown, fresh)
        set_optimizer_state(grown, fresh, optimizer_state(grown, own))
        assert axes(grown, fresh) == axes(grown, own)
        backward(grown.train())
        fresh.step()
