"""New weights are no larger than a multiple of those that are there: a step of Adam does not undo their gain."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dagrow.capture import from_module
from dagrow.module_growth import apply_to_module, propose_for_module
from dagrow.module_growth.weight_limit import MOST, largest_amplitude


def nearly_collinear(count=96):
    """Inputs whose last entry is the sum of the others but for a twentieth, and a target that asks for the rest."""
    torch.manual_seed(1)
    x = torch.randn(count, 4).double()
    rest = torch.randn(count, 1).double()
    return torch.cat([x, x.sum(1, keepdim=True) + 0.05 * rest], 1), torch.sin(2 * rest)


def grown():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 2), nn.Tanh(), nn.Linear(2, 1)).double()
    x, y = nearly_collinear()
    plan = propose_for_module(from_module(model, x[:2]), F.mse_loss, [(x, y)], neurons=2, shrinkage=0.0, held_out=0.0)
    return model, plan, x, y


def test_no_new_weight_is_larger_than_that():
    model, plan, x, y = grown()
    old = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    before = F.mse_loss(model(x), y).item()
    apply_to_module(from_module(model, x[:2]), plan.best)
    assert before - F.mse_loss(model(x), y).item() == pytest.approx(plan.best.gain, rel=1e-6)
    sizes = {}
    for name, axis in (("0.weight", 0), ("2.weight", 1)):
        new = dict(model.named_parameters())[name].detach().narrow(axis, 2, plan.best.channels)
        sizes[name] = float(new.square().mean().sqrt() / old[name].square().mean().sqrt())
    assert max(sizes.values()) == pytest.approx(MOST, rel=1e-6)


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_sizes_are_powers_of_the_amplitude(power):
    sizes = [{"a": 3.0 * g**power, "b": 1e-9 * g**power, "still": 7.0} for g in (0.25, 1.0)]
    assert 3.0 * largest_amplitude(*sizes, 0.25) ** power == pytest.approx(MOST)


def test_what_no_amplitude_moves_sets_no_limit():
    assert largest_amplitude({"a": 9.0}, {"a": 9.0}, 2.0) == math.inf


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_the_first_step_of_a_new_entry_is_a_known_multiple_of_the_rate(kind):
    """Its moments begin at 0 and the count of steps goes on: ``(1 - b1) / sqrt(1 - b2)`` of the rate, 3.2 of it."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)).double()
    optimizer = kind(model.parameters(), lr=1e-3, weight_decay=0.0)
    x, y = torch.randn(16, 3).double(), torch.randn(16, 1).double().mul(3)

    def step():
        optimizer.zero_grad()
        F.mse_loss(model(x), y).backward()
        optimizer.step()

    for _ in range(200):
        step()
    plan = propose_for_module(from_module(model, x[:2]), F.mse_loss, [(x, y)], neurons=1, held_out=0.0)
    widened = apply_to_module(from_module(model, x[:2]), plan.best, optimizer)
    before = {each.name: each.new.detach().clone() for each in widened.tensors}
    step()
    moved = torch.cat([(each.new.detach() - before[each.name])[each.fresh].abs() for each in widened.tensors])
    # Bias corrections make it less while the count of steps is small.
    assert 0.5e-3 < float(moved.max()) <= 1e-3 * (1 - 0.9) / math.sqrt(1 - 0.999)
