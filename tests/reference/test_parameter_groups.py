"""Whatever is inserted or taken away, in whatever order: every parameter is trained once, and all that follows fits."""

import copy
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_dags import drawn_graph
from reference_network import graph, network, normal, squared
from torch.optim.swa_utils import AveragedModel

from dagrow.build import build, check_intact
from dagrow.contrib.nonparametric import add_units, remove_units
from dagrow.errors import DagrowError, GrowthError, OptimizerError
from dagrow.planner import apply, propose

KINDS = ("widen", "edge", "node", "layer", "update", "remove")
GROWTHS = 2
SMALL = graph(
    {"x": [4]},
    {"h": {"size": 3, "activation": "tanh", "norm": "batch"}, "k": {"size": 3, "activation": "relu"}, "y": 2},
    {"x->h": "linear", "h->k": {"op": "linear", "bias": False}, "x->k": "linear", "k->y": "linear"},
)


def data_for(spec):
    xs = tuple(normal(12, *entry.shape, seed=i) for i, entry in enumerate(spec.inputs.values()))
    dag = network(spec).dag
    ys = tuple(normal(12, *dag.output(name), seed=9 + i) for i, name in enumerate(spec.outputs))
    return xs, ys if len(ys) > 1 else ys[0]


def step(model, optimizers, xs, y):
    model.zero_grad()
    loss = squared(model(*xs), y)
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()
    return loss


def proposed(model, kind, xs, y, **options):
    """All candidates of a kind that may be made."""
    plan = propose(
        model.eval(), squared, [(xs, y)], candidates=[kind], neurons=2, shrinkage=options.pop("shrinkage", 0),
        significance=0, prune_tolerance=1e9, max_solved=4, max_searched=4,
        new_node={"activation": "relu", "norm": options.pop("norm", "none")},
        **options,
    )  # fmt: skip
    return [candidate for candidate in plan.candidates if not candidate.rejected]


def in_order(model, optimizer):
    """Whether every group lists the network's parameters as a new optimizer would."""
    numbers = {id(p): number for number, p in enumerate(model.parameters())}
    own = [[numbers[id(p)] for p in group["params"] if id(p) in numbers] for group in optimizer.param_groups]
    return all(group == sorted(group) for group in own)


def assert_trained_once(model, *optimizers):
    held = [id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    for optimizer in optimizers:
        assert {id(p) for p in optimizer.state} <= set(held)
        for parameter, state in optimizer.state.items():
            assert all(value.shape == parameter.shape for value in state.values() if value.dim() > 0)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), kinds=st.lists(st.sampled_from(KINDS), min_size=GROWTHS, max_size=GROWTHS))
def test_every_parameter_is_in_one_group_after_any_growth(seed, kinds):
    spec, draw = drawn_graph(seed), random.Random(seed)
    model = network(spec)
    xs, y = data_for(spec)
    groups = [[], [], []]
    for parameter in model.parameters():
        if draw.random() < 0.8:
            draw.choice(groups).append(parameter)
        else:
            parameter.requires_grad_(False)
    used = [group for group in groups if group]
    if not used:
        return
    optimizer = torch.optim.Adam([{"params": group, "lr": 0.001 * (i + 1)} for i, group in enumerate(used)])
    average = AveragedModel(model)
    step(model, [optimizer], xs, y)
    average.update_parameters(model)
    for kind in kinds:
        found = proposed(model, kind, xs, y, method="random")
        if not found:
            continue
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        frozen = {name: p.detach().clone() for name, p in model.named_parameters() if not p.requires_grad}
        insert = (
            draw.choice(["zero_fan_out_unscaled", "amplitude"]) if kind not in ("remove", "update") else "amplitude"
        )
        try:
            apply(model, draw.choice(found), optimizer, insert=insert, averages=[average])
        except GrowthError:
            if insert != "zero_fan_out_unscaled":
                raise
            continue
        assert_trained_once(model, optimizer)
        assert in_order(model, optimizer)
        check_intact(model)
        for name, old in frozen.items():
            now = model.get_parameter(name)
            assert now.shape != old.shape or torch.equal(now, old), name
        now = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        assert all(now[key] == rate for key, rate in rates.items() if key in now)
        held = average.module
        assert [(k, v.shape) for k, v in held.state_dict().items()] == [
            (k, v.shape) for k, v in model.state_dict().items()
        ]
        model.train()
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        if step(model, [optimizer], xs, y).isfinite():
            still = {name for name, p in model.named_parameters() if not p.requires_grad}
            assert all(torch.equal(before[name], model.get_parameter(name)) for name in still)
        average.update_parameters(model)
        held(*xs)


def one_group(model):
    return torch.optim.Adam(model.parameters(), lr=0.01, amsgrad=True)


def decay_apart(model, first="weights"):
    weights = {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.1}
    others = {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0}
    return torch.optim.AdamW([weights, others] if first == "weights" else [others, weights], lr=0.01)


def decay_apart_turned(model):
    return decay_apart(model, "others")


def by_name(model):
    return torch.optim.Adam(model.named_parameters(), lr=0.01)


def weights_first(model):
    """An order of a person's own, in one group."""
    return torch.optim.Adam(sorted(model.parameters(), key=lambda p: p.ndim <= 1), lr=0.01)


def turned_round(model):
    return torch.optim.Adam([*model.parameters()][::-1], lr=0.01)


RECIPES = (one_group, decay_apart, decay_apart_turned, by_name, weights_first, turned_round)


@pytest.mark.share(0.24)
@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_the_state_of_the_optimizer_comes_back_on_the_same_weights(recipe, kind, norm):
    """Saved, and loaded into an optimizer that is made anew in the same way over a network built from the spec."""
    start = network(SMALL)
    xs, y = data_for(SMALL)
    trained = recipe(start)
    step(start, [trained], xs, y)
    for candidate in proposed(start, kind, xs, y, method="random", norm=norm):
        model, optimizer = copy.deepcopy((start, trained))
        before = {n: optimizer.state[p]["exp_avg"].clone() for n, p in model.named_parameters()}
        apply(model, candidate, optimizer)
        assert_trained_once(model, optimizer)
        other = build(model.spec, seed=5).double()
        again = recipe(other)
        groups = [
            [[names[id(p)] for p in group["params"]] for group in made.param_groups]
            for net, made in ((model, optimizer), (other, again))
            for names in [{id(p): name for name, p in net.named_parameters()}]
        ]
        assert groups[0] == groups[1], candidate.place
        for name, parameter in model.named_parameters():
            if name in before and parameter.shape == before[name].shape:
                assert torch.equal(optimizer.state[parameter]["exp_avg"], before[name]), name
        for group in optimizer.param_groups:
            if "param_names" in group:
                assert [id(model.get_parameter(name)) for name in group["param_names"]] == list(
                    map(id, group["params"])
                )
        step(model, [optimizer], xs, y)
        other.load_state_dict(model.state_dict())
        again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        for name, parameter in other.named_parameters():
            for key, value in again.state[parameter].items():
                assert torch.equal(value, optimizer.state[model.get_parameter(name)][key]), (candidate.place, name)


def test_an_order_of_a_persons_own_is_kept():
    model = network(SMALL)
    xs, y = data_for(SMALL)
    named = dict(model.named_parameters())
    names = sorted(named, key=lambda name: name[::-1])
    optimizer = torch.optim.Adam([named[name] for name in names], lr=0.01)
    apply(model, proposed(model, "node", xs, y, method="random")[0], optimizer)
    assert_trained_once(model, optimizer)
    now = {id(p): name for name, p in model.named_parameters()}
    assert [now[id(p)] for p in optimizer.param_groups[0]["params"] if now[id(p)] in named] == names


def test_units_come_and_go_in_order():
    model = network(SMALL)
    optimizer = decay_apart(model)
    step(model, [optimizer], *data_for(SMALL))
    add_units(model, "h", 2, torch.Generator().manual_seed(0), optimizer)
    remove_units(model, "k", torch.tensor([True, False, False]), optimizer)
    assert_trained_once(model, optimizer)
    assert in_order(model, optimizer)


@pytest.mark.parametrize("kind", KINDS)
def test_new_weights_join_the_optimizer_of_their_like(kind):
    """Matrices in Muon and the rest in another optimizer, given together: both go along."""
    start = network(SMALL)
    xs, y = data_for(SMALL)
    made = [
        torch.optim.Muon([p for p in start.parameters() if p.ndim == 2], lr=0.01),
        torch.optim.SGD([p for p in start.parameters() if p.ndim != 2], lr=0.1, momentum=0.9),
    ]
    step(start, made, xs, y)
    for candidate in proposed(start, kind, xs, y, method="random", norm="batch"):
        model, muon, rest = copy.deepcopy((start, *made))
        with pytest.raises(OptimizerError, match=r"^no optimizer holds \S+ and \d more, which requires a gradient: "):
            apply(model, candidate, muon)
        apply(model, candidate, [muon, rest])
        assert_trained_once(model, muon, rest)
        assert all(p.ndim == 2 for p in muon.param_groups[0]["params"])
        assert in_order(model, muon)
        assert in_order(model, rest)
        step(model, [muon, rest], xs, y)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_of_other_modules_stay_where_they_stand(kind):
    start, before, behind = network(SMALL), torch.nn.Linear(2, 2).double(), torch.nn.Linear(1, 1).double()
    xs, y = data_for(SMALL)
    made = torch.optim.Adam([*before.parameters(), *start.parameters(), *behind.parameters()], lr=0.01)
    step(start, [made], xs, y)
    for candidate in proposed(start, kind, xs, y, method="random"):
        model, optimizer, first, last = copy.deepcopy((start, made, before, behind))
        apply(model, candidate, optimizer)
        expected = [*first.parameters(), *model.parameters(), *last.parameters()]
        assert list(map(id, optimizer.param_groups[0]["params"])) == list(map(id, expected))


@pytest.mark.parametrize("kind", KINDS)
def test_what_would_leave_weights_untrained_is_refused(kind):
    """The optimizer of a copy, one that lacks a bias, weights that two layers share: nothing changes."""
    model = network(SMALL)
    xs, y = data_for(SMALL)
    for candidate in proposed(model, kind, xs, y, method="random")[:1]:
        of_a_copy = torch.optim.Adam(copy.deepcopy(model).parameters())
        with pytest.raises(OptimizerError, match="^the optimizer holds no parameter of this network"):
            apply(model, candidate, of_a_copy)
        lacking = torch.optim.Adam([p for name, p in model.named_parameters() if name != "y.from_k.bias"])
        with pytest.raises(OptimizerError, match=r"^no optimizer holds y\.from_k\.bias, which requires a gradient"):
            apply(model, candidate, lacking)
        assert model.spec == SMALL
        tied = copy.deepcopy(model)
        tied.head = torch.nn.Linear(3, 2).double()
        tied.head.weight = tied.y.from_k.weight
        with pytest.raises(GrowthError, match=r"^y\.from_k\.weight and head\.weight share their values"):
            apply(tied, candidate, torch.optim.Adam(tied.parameters()))


@pytest.mark.share(0.28)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frozen", ["h.from_x", "k.from_h.weight", "k.from_x.bias", "y.from_k", ""])
def test_frozen_weights_are_held_fixed_and_gains_are_still_obtained(kind, frozen):
    """Bit for bit, with everything that a method moves besides; no neuron is left that nothing can wake."""
    start = network(SMALL)
    for name, parameter in start.named_parameters():
        parameter.requires_grad_(not name.startswith(frozen))
    held = {name: p.detach().clone() for name, p in start.named_parameters() if not p.requires_grad}
    xs, y = data_for(SMALL)
    before = squared(start.eval()(*xs), y).item()
    trained = [p for p in start.parameters() if p.requires_grad]
    methods = {"widen": ("tiny", "gradmax", "firefly", "net2net"), "node": ("tiny", "nonlinear"), "layer": ("net2net",)}
    for method in methods.get(kind, ("tiny",)):
        try:
            found = proposed(start, kind, xs, y, method=method, with_update=True, shrinkage=0.01)
        except DagrowError:
            continue
        for candidate in found:
            model = copy.deepcopy(start)
            apply(model, candidate)
            assert before - squared(model.eval()(*xs), y).item() == pytest.approx(candidate.gain, rel=1e-6, abs=1e-9)
            now = dict(model.named_parameters())
            assert held.keys() <= now.keys()
            for name, old in held.items():
                assert torch.equal(now[name][tuple(map(slice, old.shape))], old), (method, candidate.place, name)
            assert all(not now[name].requires_grad for name in held)
            silent = copy.deepcopy(start)
            if kind != "remove" and trained:
                try:
                    apply(silent, candidate, insert="zero_fan_out_unscaled")
                except GrowthError as error:
                    if "for ever" not in str(error):
                        raise
                    continue
                squared(silent.train()(*xs), y).backward()
                fresh = [p for n, p in silent.named_parameters() if n not in dict(start.named_parameters())]
                assert not fresh or any(bool(p.grad.any()) for p in fresh)
