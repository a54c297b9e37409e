"""AdaRad and AdaRad-M as optimizers of torch: groups, state, closure, what they refuse."""

import copy
import io

import pytest
import torch
from torch import nn

from dagrow.objectives import OPTIMIZERS

KINDS = [OPTIMIZERS["adarad"], OPTIMIZERS["adarad_m"]]


def problem() -> tuple[nn.Module, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return model, torch.randn(32, 4, generator=generator)


def backward(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    model.zero_grad()
    loss = (model(x) - x[:, :2]).square().mean()
    loss.backward()
    return loss


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_falls(kind):
    model, x = problem()
    optimizer = kind(model.parameters(), lr=0.05, radial_lr=0.05)
    first = backward(model, x).item()
    for _ in range(100):
        optimizer.step(lambda: backward(model, x))
    assert backward(model, x).item() < 0.2 * first


@pytest.mark.parametrize("kind", KINDS)
def test_a_closure_is_run_with_gradients_and_its_loss_returned(kind):
    model, x = problem()
    optimizer = kind(model.parameters())
    assert optimizer.step() is None
    loss = optimizer.step(lambda: backward(model, x))
    assert loss.requires_grad
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("kind", KINDS)
def test_training_goes_on_from_a_saved_state(kind):
    model, x = problem()
    groups = [{"params": model[0].parameters(), "lr": 0.2}, {"params": model[2].parameters()}]
    optimizer = kind(groups, radial_lr=0.3)
    for _ in range(3):
        optimizer.step(lambda: backward(model, x))
    twin = copy.deepcopy(model)
    other = kind([{"params": twin[0].parameters()}, {"params": twin[2].parameters()}])
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert [g["lr"] for g in other.param_groups] == [0.2, 0.1]
    for _ in range(3):
        optimizer.step(lambda: backward(model, x))
        other.step(lambda: backward(twin, x))
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_has_an_entry_per_unit_and_the_options_have_groups(kind):
    model, x = problem()
    optimizer = kind([{"params": [model[0].weight]}], lr=0.2)
    optimizer.add_param_group({"params": [model[2].weight], "lr": 0.4})
    optimizer.step(lambda: backward(model, x))
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.4]
    assert all(group.keys() == optimizer.param_groups[0].keys() for group in optimizer.param_groups)
    state = optimizer.state[model[0].weight]
    assert state["square_avg"].shape == state["capacity"].shape == (6, 1)
    assert model[0].bias not in optimizer.state


@pytest.mark.parametrize("kind", KINDS)
def test_schedulers_drive_the_angular_rate(kind):
    model, _ = problem()
    optimizer = kind(model.parameters(), lr=0.9, radial_lr=0.5)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=1 / 3)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.3)
    assert optimizer.param_groups[0]["radial_lr"] == 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1.0}, "lr must not be negative"),
        ({"radial_lr": float("nan")}, "radial_lr must not be negative"),
        ({"eps": -1e-8}, "eps must not be negative"),
        ({"beta": 0.0}, "beta must be above 0"),
        ({"beta": 1.1}, "beta must be above 0"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_impossible_options_are_refused(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind([nn.Parameter(torch.ones(2, 2))], **options)


def test_an_impossible_mixing_rate_of_the_momentum_is_refused():
    with pytest.raises(ValueError, match="momentum_beta must be above 0"):
        OPTIMIZERS["adarad_m"]([nn.Parameter(torch.ones(2, 2))], momentum_beta=0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_sparse_gradients_are_refused(kind):
    weight = nn.Parameter(torch.ones(2, 2))
    weight.grad = torch.ones(2, 2).to_sparse()
    with pytest.raises(RuntimeError, match="takes dense real gradients only"):
        kind([weight]).step()
