"""Every optimizer of torch through growth: groups, moments, starts, and the updates that follow."""

import copy
import inspect

import pytest
import torch
from mutation_cases import MLP, Picture, losses_step, network, places, random_change
from optimizer_cases import CASES, LR, PER_WEIGHT, REFUSED
from tolerances import assert_same_function
from torch import Tensor, optim

from dagrow.errors import OptimizerError
from dagrow.mutation import apply_change
from dagrow.objectives import OPTIMIZERS

KEYS = {
    "sgd": set(),
    "sgd_momentum": {"momentum_buffer"},
    "adam_amsgrad": {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"},
    "rmsprop_centered": {"step", "square_avg", "grad_avg", "momentum_buffer"},
    "asgd": {"step", "eta", "mu", "ax"},
}


def starts(key: str, name: str, rate: float, weights: Tensor) -> Tensor:
    """What each optimizer holds for a weight that it has not moved yet, from their definitions."""
    if key == "sum":
        return torch.full_like(weights, CASES[name][1].get("initial_accumulator_value", 0.0))
    if key == "step_size":
        return torch.full_like(weights, rate)
    return weights if key == "ax" else torch.zeros_like(weights)


def matrices(model):
    """The weights that Muon takes; the biases are frozen, for an optimizer must hold what is trained."""
    for p in model.parameters():
        p.requires_grad_(p.dim() == 2)
    return [p for p in model.parameters() if p.requires_grad]


def trained(name: str):
    kind, options = CASES[name]
    model = network(MLP)
    named = dict(model.named_parameters())
    if kind is optim.Muon:
        optimizer = kind(matrices(model), lr=LR, **options)
    else:
        weights = [p for key, p in named.items() if key.endswith("weight")]
        # Two groups, and one parameter that is not trained.
        named["y.from_k.bias"].requires_grad_(False)
        biases = [p for key, p in named.items() if key.endswith("bias") and key != "y.from_k.bias"]
        groups = [{"params": weights}, {"params": biases, "lr": LR / 10}]
        optimizer = kind(groups, lr=LR, **options)
    x = torch.randn(20, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for start in range(4):
        losses_step(model, x[start::4], optimizer)
    return model, optimizer, x


def old_part(tensor: Tensor, shape: torch.Size) -> Tensor:
    """Where the old entries sit: new ones come after the last on the one axis that grew (no concat here)."""
    return tensor[tuple(slice(size) for size in shape)]


def is_new(new: Tensor, shape: torch.Size) -> Tensor:
    mask = torch.ones_like(new, dtype=torch.bool)
    old_part(mask, shape)[...] = False
    return mask


def test_every_optimizer_of_torch_and_of_run_files_is_covered():
    kinds = {kind for _, kind in inspect.getmembers(optim, inspect.isclass)} - {optim.Optimizer}
    kinds |= set(OPTIMIZERS.values())
    assert kinds == {kind for kind, _ in CASES.values()} | REFUSED


@pytest.mark.parametrize("name", CASES)
def test_groups_and_state_are_carried(name):
    model, optimizer, _ = trained(name)
    before = Picture(model, optimizer)
    where = places(model, optimizer)
    names = {parameter: key for key, parameter in model.named_parameters()}
    state = {names[p]: copy.deepcopy(s) for p, s in optimizer.state.items()}
    options = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]

    apply_change(model, random_change(model, "h", 2), optimizer)

    assert places(model, optimizer) == where
    assert sum(len(group["params"]) for group in optimizer.param_groups) == sum(map(len, where.values()))
    assert [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups] == options
    current = dict(model.named_parameters())
    assert {id(p) for p in optimizer.state} == {id(current[key]) for key in state}
    grown = [key for key in before.values if before.values[key].shape != current[key].shape]
    assert sorted(grown) == ["h.from_x.bias", "h.from_x.weight", "k.from_h.weight", "y.from_h.weight"]
    assert any(where[key] for key in grown)
    for key in state:
        new, shape = current[key], before.values[key].shape
        moments = optimizer.state[new]
        assert moments.keys() == state[key].keys()
        assert name not in KEYS or set(moments) == KEYS[name]
        for entry, old in state[key].items():
            found = moments[entry]
            if old.dim() == 0:
                assert torch.equal(found, old), (key, entry)
                continue
            shape, by_unit = before.values[key].shape, old.shape != before.values[key].shape
            if by_unit:
                assert found.shape == (len(new), *old.shape[1:])
                assert torch.equal(found[: len(old)], old), (key, entry)
                assert not found[len(old) :].any()
                continue
            assert found.shape == new.shape
            assert found.dtype == old.dtype
            assert torch.equal(old_part(found, shape), old), (key, entry)
            fresh = is_new(new, shape)
            rate = optimizer.param_groups[where[key][0][0]]["lr"]
            expected = starts(entry, name, rate, new.detach())[fresh]
            torch.testing.assert_close(found[fresh], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", PER_WEIGHT)
def test_the_next_updates_of_old_weights_are_those_of_the_ungrown_twin(name):
    model, optimizer, x = trained(name)
    twin, twin_optimizer = copy.deepcopy((model, optimizer))
    apply_change(model, random_change(model, "h", 3, fan_out=0.0), optimizer)
    assert_same_function(model(x), twin(x))
    generator = torch.Generator().manual_seed(5)
    for turn in range(10):
        for net in (model, twin):
            net.zero_grad()
            (net(x[turn::10]) - 1).square().mean().backward()
        for key, old in twin.named_parameters():
            new = model.get_parameter(key)
            if not old.requires_grad:
                continue
            if turn == 0:
                assert_same_function(old_part(new.grad, old.shape), old.grad)
            # From here on the new columns take part: give old entries the twin's gradient, new ones any.
            grad = torch.randn(new.shape, generator=generator, dtype=new.dtype)
            old_part(grad, old.shape).copy_(old.grad)
            new.grad = grad
        optimizer.step()
        twin_optimizer.step()
        for key, old in twin.named_parameters():
            found = old_part(model.get_parameter(key).detach(), old.shape)
            torch.testing.assert_close(found, old.detach(), rtol=1e-11, atol=1e-13, msg=f"{key}, step {turn}")
    moved = model.h.from_x.weight[3:].detach() - random_change(twin, "h", 3).features.fan_in[("x", "h")][0]
    assert bool((moved != 0).all())


@pytest.mark.parametrize("kind", sorted(REFUSED, key=lambda kind: kind.__name__))
def test_refused_optimizers_change_nothing(kind):
    model = network(MLP)
    optimizer = kind(model.parameters(), lr=LR)
    before = Picture(model, optimizer)
    with pytest.raises(OptimizerError, match=f"^{kind.__name__} cannot be carried through growth: "):
        apply_change(model, random_change(model, "h", 2), optimizer)
    before.assert_unchanged()


@pytest.mark.parametrize("name", CASES)
def test_an_optimizer_that_never_stepped_starts_as_usual(name):
    kind, options = CASES[name]
    model = network(MLP)
    chosen = matrices(model) if kind is optim.Muon else model.parameters()
    optimizer = kind(chosen, lr=LR, **options)
    apply_change(model, random_change(model, "h", 2), optimizer)
    chosen = [p for p in model.parameters() if p.dim() == 2 or kind is not optim.Muon]
    assert [id(p) for p in optimizer.param_groups[0]["params"]] == [id(p) for p in chosen]
    twin = copy.deepcopy(model)
    twin_chosen = [p for p in twin.parameters() if p.dim() == 2 or kind is not optim.Muon]
    twin_optimizer = kind(twin_chosen, lr=LR, **options)
    x = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for _ in range(3):
        losses_step(model, x, optimizer)
        losses_step(twin, x, twin_optimizer)
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(p, q)


def test_no_optimizer_object():
    model = network(MLP)
    before = Picture(model)
    with pytest.raises(OptimizerError, match=r"must be a torch\.optim\.Optimizer, not Adam"):
        apply_change(model, random_change(model, "h", 1), type("Adam", (), {})())
    before.assert_unchanged()
