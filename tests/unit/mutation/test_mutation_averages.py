"""Averages of the weights, schedulers and gradient scalers through growth, and all or nothing with them."""

import copy
import inspect

import pytest
import torch
from mutation_cases import MLP, BreaksAfter, Broken, Picture, broken_commits, losses_step, network, random_change, same
from torch import nn, optim
from torch.optim import lr_scheduler
from torch.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn

from dagrow.errors import GrowthError
from dagrow.mutation import apply as apply_module
from dagrow.mutation import apply_change
from dagrow.planner import apply, propose

X = torch.randn(24, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
Y = torch.stack([X[:, 0] * X[:, 1], X[:, 2].abs()], 1)
NORMED = {**MLP, "nodes": {**MLP["nodes"], "h": {"size": 3, "activation": "tanh", "norm": "batch"}}}
KINDS = ("widen", "edge", "node", "layer", "remove")


def averaged(fields=MLP, decay=0.5, **options):
    """A network after some steps, its optimizer, and an average that has lagged behind."""
    model = network(fields)
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), **options)
    for _ in range(3):
        losses_step(model, X, optimizer)
        average.update_parameters(model)
    return model, optimizer, average


def proposed(model, kind):
    plan = propose(
        model.eval(), nn.functional.mse_loss, [(X, Y)], candidates=[kind], method="random", neurons=2, shrinkage=0,
        significance=0, prune_tolerance=1e9, max_solved=99, max_searched=99,
    )  # fmt: skip
    assert plan.best is not None
    return plan.best


def test_old_entries_keep_their_average_and_new_ones_start_as_they_are():
    model, optimizer, average = averaged()
    held = average.module
    old = {key: p.detach().clone() for key, p in held.named_parameters()}
    change = random_change(model, "h", 2)
    apply_change(model, change, optimizer, [average])
    assert average.module is held
    assert held.spec == model.spec
    grown = held.h.from_x.weight
    assert torch.equal(grown[:3], old["h.from_x.weight"])
    assert torch.equal(grown[3:], change.features.fan_in["x", "h"][0])
    assert torch.equal(held.y.from_h.weight[:, :3], old["y.from_h.weight"])
    assert torch.equal(held.y.from_h.weight[:, 3:], model.y.from_h.weight[:, 3:])
    assert not {id(p) for p in held.parameters()} & {id(p) for p in model.parameters()}
    assert int(average.n_averaged) == 3


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_average_goes_on_by_its_definition(kind, use_buffers):
    """Every entry by hand, in the order in which the module holds them."""
    model, optimizer, average = averaged(NORMED, use_buffers=use_buffers)
    apply(model, proposed(model, kind), optimizer, averages=[average])
    model.train()
    for _ in range(2):
        before = {key: value.clone() for key, value in average.module.state_dict().items()}
        losses_step(model, X, optimizer)
        average.update_parameters(model)
        now, own = average.module.state_dict(), model.state_dict()
        assert list(now) == list(own)
        for key, value in now.items():
            if key in dict(model.named_parameters()) or (use_buffers and value.is_floating_point()):
                torch.testing.assert_close(value, (before[key] + own[key]) / 2, rtol=1e-12, atol=1e-14)
            elif not use_buffers:
                assert torch.equal(value, own[key])
    average(X)


def test_what_is_added_to_the_weights_is_added_to_their_average():
    model, optimizer, average = averaged()
    gaps = {key: p.detach() - average.module.get_parameter(key).detach() for key, p in model.named_parameters()}
    plan = propose(model.eval(), nn.functional.mse_loss, [(X, Y)], candidates=["update"], nodes=["y"], shrinkage=0)
    weights = model.y.from_h.weight.detach().clone()
    apply(model, plan.best, optimizer, averages=[average])
    assert not torch.equal(model.y.from_h.weight, weights)
    for key, p in model.named_parameters():
        torch.testing.assert_close(p.detach() - average.module.get_parameter(key).detach(), gaps[key])


class Whole:
    """A network with all that belongs to its training, and a picture of it."""

    def __init__(self):
        self.model, self.optimizer, self.average = averaged(NORMED)
        self.second = AveragedModel(self.model)
        self.scheduler = lr_scheduler.OneCycleLR(self.optimizer, max_lr=0.1, total_steps=9)
        losses_step(self.model, X, self.optimizer)
        self.scheduler.step()
        self.scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        self.scaler.scale(self.model(X).sum()).backward()
        self.scaler.unscale_(self.optimizer)

    def picture(self):
        pictures = [Picture(self.model, self.optimizer), *(Picture(a.module) for a in self.averages)]
        states = self.states()

        def unchanged():
            for each in pictures:
                each.assert_unchanged()
            now = self.states()
            assert now.keys() == states.keys()
            assert all(same(now[key], states[key]) for key in states)

        return unchanged

    @property
    def averages(self):
        return [self.average, self.second]

    def states(self):
        """Of scheduler, scaler and averages, in the order in which they are kept."""
        found = {f"scheduler {key}": copy.deepcopy(value) for key, value in self.scheduler.state_dict().items()}
        found |= {f"scaler {key}": value for key, value in self.scaler.state_dict().items()}
        return found | {f"average {i}": a.n_averaged.clone() for i, a in enumerate(self.averages)}


@pytest.mark.share(0.35)
@pytest.mark.parametrize("kind", KINDS)
def test_an_error_at_any_step_of_the_commit_changes_nothing(monkeypatch, kind):
    whole = Whole()
    candidate = proposed(whole.model, kind)
    unchanged = whole.picture()
    count = 0
    for tried in broken_commits(monkeypatch, "after"):
        count = tried
        with pytest.raises(Broken):
            apply(whole.model, candidate, whole.optimizer, averages=whole.averages)
        unchanged()
    assert count > 9
    apply(whole.model, candidate, whole.optimizer, averages=whole.averages)
    assert whole.average.module.spec == whole.second.module.spec == whole.model.spec


@pytest.mark.parametrize("name", ["averaged_networks", "_prepared", "prepare", "widen_edits"])
def test_an_error_at_any_moment_of_the_preparation_changes_nothing(monkeypatch, name):
    function = BreaksAfter(monkeypatch, apply_module, name)
    whole = Whole()
    apply_change(whole.model, random_change(whole.model, "h", 2), whole.optimizer, whole.averages)
    count = function.calls
    assert count == (1 if name == "averaged_networks" else 3)
    whole = Whole()
    unchanged = whole.picture()
    for broken in range(count):
        function.after(broken)
        with pytest.raises(Broken):
            apply_change(whole.model, random_change(whole.model, "h", 2), whole.optimizer, whole.averages)
        unchanged()


def test_an_average_of_something_else_is_refused():
    model, optimizer, average = averaged()
    left_behind = copy.deepcopy(average)
    apply_change(model, random_change(model, "h", 2), optimizer, [average])
    before = Picture(model, optimizer)
    change = random_change(model, "h", 1)
    for wrong in (left_behind, AveragedModel(nn.Linear(2, 2))):
        with pytest.raises(GrowthError, match=r"an average is that of another network: make it by AveragedModel"):
            apply_change(model, change, optimizer, [average, wrong])
    with pytest.raises(GrowthError, match=r"holds torch\.optim\.swa_utils\.AveragedModel of the network, not Network"):
        apply_change(model, change, optimizer, [model])
    with pytest.raises(GrowthError, match="'averages' is a list of AveragedModel, not AveragedModel"):
        apply_change(model, change, optimizer, average)
    before.assert_unchanged()


SCHEDULERS = {
    "LambdaLR": {"lr_lambda": lambda epoch: 0.9**epoch},
    "MultiplicativeLR": {"lr_lambda": lambda epoch: 0.9},
    "StepLR": {"step_size": 2},
    "MultiStepLR": {"milestones": [2, 4]},
    "ConstantLR": {"total_iters": 3},
    "LinearLR": {"total_iters": 6},
    "ExponentialLR": {"gamma": 0.8},
    "CosineAnnealingLR": {"T_max": 8},
    "CosineAnnealingWarmRestarts": {"T_0": 3},
    "PolynomialLR": {"total_iters": 6},
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 3},
    "OneCycleLR": {"max_lr": 0.1, "total_steps": 9},
    "ReduceLROnPlateau": {"patience": 0},
    "SequentialLR": {},
    "ChainedScheduler": {},
    "SWALR": {"swa_lr": 0.2, "anneal_epochs": 4},
}


def schedule(name, optimizer):
    if name in ("SequentialLR", "ChainedScheduler"):
        parts = [lr_scheduler.LinearLR(optimizer, total_iters=3), lr_scheduler.ExponentialLR(optimizer, 0.7)]
        if name == "ChainedScheduler":
            return lr_scheduler.ChainedScheduler(parts)
        return lr_scheduler.SequentialLR(optimizer, parts, milestones=[3])
    return getattr(lr_scheduler, name, SWALR)(optimizer, **SCHEDULERS[name])


def test_every_scheduler_of_torch_is_covered():
    assert {*lr_scheduler.__all__, "SWALR"} - {"LRScheduler"} == SCHEDULERS.keys()
    assert all(inspect.isclass(getattr(lr_scheduler, name, SWALR)) for name in SCHEDULERS)


@pytest.mark.share(0.28)
@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_go_on_as_without_growth(name):
    """Rates, and momenta where a scheduler moves them, of both groups; growth leaves the scheduler's state alone."""
    runs = []
    for grown in (False, True):
        model = network(MLP)
        groups = [{"params": model.h.parameters()}, {"params": [*model.k.parameters(), *model.y.parameters()]}]
        optimizer = optim.SGD(groups, lr=0.05, momentum=0.9)
        scheduler = schedule(name, optimizer)
        options = []
        for turn in range(8):
            losses_step(model, X, optimizer)
            scheduler.step(*([1.0] if name == "ReduceLROnPlateau" else []))
            options.append([{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups])
            if grown and turn in (1, 4):
                before = copy.deepcopy(scheduler.state_dict())
                apply_change(model, random_change(model, "h", 1), optimizer)
                assert scheduler.state_dict() == before
            if grown and turn == 5:
                candidate = proposed(model, "node")
                apply(model, candidate, optimizer)
        runs.append(options)
    assert runs[0] == runs[1]
    assert len({str(options) for options in runs[0]}) > 1


@pytest.mark.parametrize("when", ["after the step", "before unscaling", "before the step"])
def test_a_gradient_scaler_goes_on(when):
    """Growth between any two of its calls: the same scale, the same old weights."""
    ends = []
    for grown in (False, True):
        model = network(MLP).float()
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)

        def grow(now, model=model, optimizer=optimizer, grown=grown):
            if grown and now == when and model.spec.nodes["h"].size == 3:
                apply_change(model, random_change(model, "h", 2, fan_out=0.0), optimizer)

        for turn in range(4):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = (model(X.float()[turn::4]) - 1).float().square().mean()
            scaler.scale(loss).backward()
            grow("before unscaling")
            scaler.unscale_(optimizer)
            grow("before the step")
            scaler.step(optimizer)
            scaler.update()
            grow("after the step")
            if turn == 0:
                ends.append({key: p.detach()[:3] for key, p in model.named_parameters()}["h.from_x.weight"].clone())
        assert scaler.get_scale() == 4096.0
        assert model.spec.nodes["h"].size == (5 if grown else 3)
    assert torch.equal(ends[0], ends[1])
