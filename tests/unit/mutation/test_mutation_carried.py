"""What else must survive growth: frozen flags, gradients, hooks, modes, schedulers, the generator."""

import copy

import pytest
import torch
from mutation_cases import MLP, losses_step, network, random_change
from tolerances import rounding, size_of
from torch import nn, optim
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from dagrow.mutation import apply_change
from dagrow.planner import apply, propose

X = torch.randn(8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


def test_frozen_parameters_stay_frozen():
    model = network(MLP)
    frozen = {"h.from_x.weight", "k.from_h.weight"}
    for name in frozen:
        model.get_parameter(name).requires_grad_(False)
    optimizer = optim.Adam(model.parameters())
    losses_step(model, X, optimizer)
    apply_change(model, random_change(model, "h", 2), optimizer)
    assert {name for name, p in model.named_parameters() if not p.requires_grad} == frozen
    assert model.get_parameter("k.from_h.weight").grad is None
    losses_step(model, X, optimizer)


def test_moments_of_a_weight_with_its_input_features_first():
    model = network(
        {
            "inputs": {"x": {"shape": [2, 3, 3]}},
            "nodes": {"h": {"size": 3, "activation": "tanh"}, "y": {"size": 2}},
            "edges": {"x -> h": "conv_transpose2d", "h -> y": "conv_transpose2d"},
            "outputs": ["y"],
        }
    )
    x = torch.randn(4, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    optimizer = optim.Adam(model.parameters())
    losses_step(model, x, optimizer)
    kept = {"h.from_x.weight": (slice(None), slice(3)), "y.from_h.weight": (slice(3),)}
    old = {name: optimizer.state[model.get_parameter(name)]["exp_avg"].clone() for name in kept}
    weights = {name: model.get_parameter(name).detach().clone() for name in kept}
    data = [(x, nn.functional.interpolate(x, scale_factor=4.0).square())]
    plan = propose(model, nn.functional.mse_loss, data, neurons=2, shrinkage=0, significance=0)
    apply(model, plan.best, optimizer)
    for name, place in kept.items():
        parameter = model.get_parameter(name)
        moments = optimizer.state[parameter]["exp_avg"]
        assert parameter.shape == moments.shape != old[name].shape
        assert torch.equal(parameter[place], weights[name])
        assert torch.equal(moments[place], old[name])
        assert moments.count_nonzero() == old[name].count_nonzero()


def test_gradients_are_reindexed():
    model = network(MLP)
    (model(X) - 1).square().mean().backward()
    model.k.from_h.weight.grad = None
    old = {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}
    apply_change(model, random_change(model, "h", 2))
    assert torch.equal(model.h.from_x.weight.grad[:3], old["h.from_x.weight"])
    assert not model.h.from_x.weight.grad[3:].any()
    assert torch.equal(model.y.from_h.weight.grad[:, :3], old["y.from_h.weight"])
    assert not model.y.from_h.weight.grad[:, 3:].any()
    assert torch.equal(model.y.from_k.weight.grad, old["y.from_k.weight"])
    assert model.k.from_h.weight.grad is None
    assert all(p.grad is None or p.grad.grad_fn is None for p in model.parameters())


def test_new_parameters_are_leaves_even_if_the_change_is_not():
    model = network(MLP)
    change = random_change(model, "h", 2)
    weight, _ = change.features.fan_in["x", "h"]
    weight.requires_grad_()
    apply_change(model, change)
    assert all(p.is_leaf and p.grad_fn is None for p in model.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_layers_hooks_and_mode_are_kept(training):
    model = network(MLP).train(training)
    model.k.train(not training)
    seen = []
    model.h.from_x.register_forward_hook(lambda module, args, out: seen.append(out.shape[1]))
    model.y.from_h.register_full_backward_hook(lambda module, gin, gout: seen.append("back"))
    modules = dict(model.named_modules())
    apply_change(model, random_change(model, "h", 2))
    assert {name: id(m) for name, m in modules.items()} == {n: id(m) for n, m in model.named_modules()}
    model(X.requires_grad_()).sum().backward()
    assert seen == [5, "back"]
    assert model.training is training
    assert model.k.training is not training
    assert (model.h.from_x.in_features, model.h.from_x.out_features) == (4, 5)
    assert (model.k.from_h.in_features, model.k.from_h.out_features) == (5, 2)


def test_what_a_person_set_on_a_layer_is_kept():
    fields = copy.deepcopy(MLP)
    fields["nodes"]["h"]["norm"] = "batch"
    model = network(fields).eval()
    model.h.norm.eps, model.h.norm.momentum, model.h.from_x.note = 0.25, 0.01, "mine"
    before = model(X)
    apply_change(model, random_change(model, "h", 2, fan_out=0.0))
    assert (model.h.norm.eps, model.h.norm.momentum, model.h.from_x.note) == (0.25, 0.01, "mine")
    assert model.h.norm.num_features == 5
    torch.testing.assert_close(model(X), before)


def test_the_global_generator_is_left_alone():
    model = network(MLP)
    optimizer = optim.Adam(model.parameters())
    losses_step(model, X, optimizer)
    change = random_change(model, "h", 2)
    state = torch.get_rng_state()
    apply_change(model, change, optimizer)
    assert torch.equal(torch.get_rng_state(), state)


def test_schedulers_go_on():
    model = network(MLP)
    optimizer = optim.AdamW(
        [{"params": model.h.parameters()}, {"params": [*model.k.parameters(), *model.y.parameters()]}]
    )
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=[0.1, 0.01], total_steps=8)
    rates = []
    for turn in range(8):
        losses_step(model, X, optimizer)
        scheduler.step()
        rates.append(scheduler.get_last_lr())
        if turn in (2, 5):
            apply_change(model, random_change(model, "h", 1), optimizer)
    twin = optim.AdamW([{"params": [nn.Parameter(torch.zeros(1))]}, {"params": [nn.Parameter(torch.zeros(1))]}])
    expected = optim.lr_scheduler.OneCycleLR(twin, max_lr=[0.1, 0.01], total_steps=8)
    for turn in range(8):
        twin.step()
        expected.step()
        assert rates[turn] == expected.get_last_lr()
    assert optimizer.param_groups[0]["params"][0] is model.h.from_x.weight
    assert model.h.from_x.weight.shape == (5, 4)


def test_step_hooks_are_not_fired_by_growth():
    model = network(MLP)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    fired = []
    handles = [
        optimizer.register_step_pre_hook(lambda *_: fired.append("pre")),
        optimizer.register_step_post_hook(lambda *_: fired.append("post")),
        register_optimizer_step_pre_hook(lambda *_: fired.append("global pre")),
        register_optimizer_step_post_hook(lambda *_: fired.append("global post")),
    ]
    try:
        losses_step(model, X, optimizer)
        once = ["global pre", "pre", "post", "global post"]
        assert fired == once
        apply_change(model, random_change(model, "h", 2), optimizer)
        assert fired == once
        losses_step(model, X, optimizer)
        assert fired == once + once
    finally:
        for handle in handles:
            handle.remove()


class Warmed(optim.SGD):
    """A person's own optimizer: attributes beside the state, a step that counts and changes the rate."""

    def __init__(self, params, warmth):
        super().__init__(params, lr=0.1, momentum=0.9)
        self.warmth, self.count, self.log = warmth, 0, []

    def step(self, closure=None):
        self.count += 1
        self.log.append(self.count)
        for group in self.param_groups:
            group["lr"] *= self.warmth
        return super().step(closure)


def test_an_optimizer_with_attributes_of_its_own_is_carried_and_not_stepped():
    model = network(MLP)
    optimizer = Warmed(model.parameters(), 0.5)
    losses_step(model, X, optimizer)
    momentum = optimizer.state[model.h.from_x.weight]["momentum_buffer"].clone()
    fired = []
    optimizer.register_step_pre_hook(lambda *_: fired.append("pre"))
    optimizer.register_step_post_hook(lambda *_: fired.append("post"))
    apply_change(model, random_change(model, "h", 2), optimizer)
    assert fired == []
    assert (optimizer.count, optimizer.log) == (1, [1])
    assert optimizer.param_groups[0]["lr"] == 0.05
    found = optimizer.state[model.h.from_x.weight]["momentum_buffer"]
    assert torch.equal(found[:3], momentum)
    assert not found[3:].any()
    losses_step(model, X, optimizer)
    assert optimizer.count == 2


def test_a_tensor_learning_rate_is_the_same_object_afterwards():
    model = network(MLP)
    rate = torch.tensor(0.01)
    optimizer = optim.Adam(model.parameters(), lr=rate)
    losses_step(model, X, optimizer)
    apply_change(model, random_change(model, "h", 2), optimizer)
    assert optimizer.param_groups[0]["lr"] is rate
    assert rate == 0.01
    losses_step(model, X, optimizer)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dtype_is_the_networks(dtype):
    model = network(MLP).to(dtype)
    optimizer = optim.Adam(model.parameters())
    losses_step(model, X.detach().to(dtype), optimizer)
    apply_change(model, random_change(network(MLP), "h", 2), optimizer)
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert {s["exp_avg"].dtype for s in optimizer.state.values()} == {dtype}
    losses_step(model, X.detach().to(dtype), optimizer)


def test_training_goes_on_after_growth_as_the_state_dict_says():
    """The optimizer's state dict after growth fits a new optimizer over the grown network."""
    model = network(MLP)
    optimizer = optim.Adam(model.parameters(), amsgrad=True)
    losses_step(model, X, optimizer)
    apply_change(model, random_change(model, "h", 2), optimizer)
    twin = copy.deepcopy(model)
    other = optim.Adam(twin.parameters(), amsgrad=True)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for _ in range(3):
        losses_step(model, X, optimizer)
        losses_step(twin, X, other)
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize("insert", ["zero_fan_out_unscaled", "amplitude"])
def test_a_silent_candidate_moves_nothing_until_it_is_trained(insert):
    model = network(MLP)
    y = torch.stack([X[:, 0] * X[:, 1], X[:, 2].abs()], 1).detach()
    loss = nn.functional.mse_loss
    plan = propose(model, loss, [(X.detach(), y)], nodes=["h"], shrinkage=0, significance=0, neurons=2)
    optimizer = optim.Adam(model.parameters())
    before, twin = model(X), copy.deepcopy(model)
    apply(model, plan.best, optimizer, insert=insert)
    silent = insert == "zero_fan_out_unscaled"
    assert bool(model.h.from_x.weight[3:].any())
    for reader in (model.k.from_h, model.y.from_h):
        assert bool(reader.weight[:, 3:].any()) is not silent
        assert torch.equal(reader.weight[:, :3], twin.get_parameter(path_of(model, reader)))
    assert torch.allclose(model(X), before, rtol=0, atol=rounding(before.dtype, size_of(before))) is silent
    start = loss(model(X), y).item()
    for _ in range(20):
        optimizer.zero_grad()
        loss(model(X), y).backward()
        optimizer.step()
    assert loss(model(X), y).item() < start
    assert bool(model.y.from_h.weight[:, 3:].all())


def path_of(model, layer):
    return next(name for name, module in model.named_modules() if module is layer) + ".weight"
