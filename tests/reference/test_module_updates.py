"""Best updates of the layers of a module: least squares where that is the whole problem, promises kept elsewhere."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel

from dagrow.capture import from_module
from dagrow.errors import GrowthError
from dagrow.module_growth import apply_to_module, propose_for_module


def samples(count=60):
    x = torch.randn(count, 3, generator=torch.Generator().manual_seed(2)).double()
    return x, torch.stack([torch.sin(2 * x[:, 0]), x[:, 1] * x[:, 2]], 1)


def looked_at(model, **options):
    x, y = samples()
    net = from_module(model.double(), x[:2])
    options = {"neurons": 1, "updates": True, "keep": 3, **options}
    return net, propose_for_module(net, F.mse_loss, [(x[:25], y[:25]), (x[25:], y[25:])], **options)


def test_the_update_of_a_linear_model_is_least_squares():
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    net, plan = looked_at(model, shrinkage=0.0, held_out=0.0)
    (update,) = plan.updates
    x, y = samples()
    rows = torch.cat([x, torch.ones(len(x), 1).double()], 1)
    solved = torch.linalg.lstsq(rows, y).solution
    lowest = float(F.mse_loss(rows @ solved, y))
    assert plan.loss - update.gain == pytest.approx(lowest, rel=1e-6)
    assert apply_to_module(net, update) is None
    torch.testing.assert_close(model.weight.detach(), solved[:3].T, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(model.bias.detach(), solved[3], rtol=1e-3, atol=1e-3)


def made():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 2))


def test_slopes_are_those_of_gradients():
    model = made()
    _, plan = looked_at(model, held_out=0.0, shrinkage=0.1)
    x, y = samples()
    F.mse_loss(model(x), y).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert {update.layer for update in plan.updates} == {"0.weight", "2.weight", "4.weight"}
    for update in plan.updates:
        slope = -sum(float((gradients[name] * change).sum()) for name, change in update.changes.items())
        assert update.slope == pytest.approx(slope, rel=1e-9)
        assert set(update.changes) == {update.layer} | ({update.bias} if update.bias else set())


def test_what_an_update_promises_is_obtained_by_the_module_and_its_averages():
    model = made()
    net, plan = looked_at(model)
    best = plan.updates[0]
    assert not best.rejected
    assert str(best) in str(plan)
    average, (x, y) = AveragedModel(model), samples()
    optimizer = torch.optim.Adam(model.parameters())
    apply_to_module(net, best, optimizer, averages=[average])
    found = F.mse_loss(model(x), y).item()
    assert plan.loss - found == pytest.approx(best.gain, rel=1e-6)
    torch.testing.assert_close(average(x), model(x))
    with pytest.raises(GrowthError, match="the weights have changed"):
        apply_to_module(net, best)


def test_frozen_layers_have_no_update_and_none_come_unasked():
    model = made()
    model[2].weight.requires_grad = False
    _, plan = looked_at(model)
    assert "2.weight" not in {update.layer for update in plan.updates}
    assert looked_at(model, updates=False)[1].updates == ()
