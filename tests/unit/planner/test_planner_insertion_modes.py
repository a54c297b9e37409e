"""Ways to insert: as measured or silently, with the computed weights or, as a control, random ones."""

import pytest
import torch

import dagrow
from dagrow.spec import GraphSpec

GRAPH = GraphSpec.model_validate(
    {
        "inputs": {"x": {"shape": [3]}},
        "nodes": {"h": {"size": 1, "activation": "tanh"}, "y": {"size": 2}},
        "edges": {"x -> h": "linear", "h -> y": "linear"},
        "outputs": ["y"],
    }
)


@pytest.mark.parametrize("random_weights", [False, True])
@pytest.mark.parametrize("insert", ["amplitude", "zero_fan_out_unscaled"])
def test_random_weights_are_as_loud_as_those_they_stand_for(insert, random_weights):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(40, 3, generator=draw, dtype=torch.float64)
    data = [(x, torch.stack([x[:, 0].tanh(), x[:, 1].tanh()], 1))]
    model = dagrow.build(GRAPH, seed=1).double().eval()
    before = model(x)
    plan = dagrow.propose(model, torch.nn.functional.mse_loss, data, shrinkage=0, significance=0, neurons=1)
    measured = plan.best.trial.scaled(plan.best.amplitude).features
    (weight, bias), out = next(iter(measured.fan_in.values())), next(iter(measured.fan_out.values()))
    dagrow.apply(model, plan.best, insert=insert, random_weights=random_weights)
    layers = dict(model.named_parameters())
    new = torch.cat([layers["h.from_x.weight"][1], layers["h.from_x.bias"][1:]])
    computed = torch.cat([weight[0], bias])
    torch.testing.assert_close(new.norm(), computed.norm())
    assert torch.allclose(new, computed, atol=1e-6) != random_weights
    fan_out = layers["y.from_h.weight"][:, 1]
    torch.testing.assert_close(fan_out.norm(), out.norm() if insert == "amplitude" else torch.zeros_like(out.norm()))
    assert torch.allclose(model(x), before, atol=1e-12) == (insert == "zero_fan_out_unscaled")
