"""Whatever is inserted or taken away, in whatever order: every parameter is trained once, and all that follows fits."""

import random

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_dags import drawn_graph
from reference_network import network, normal, squared
from torch.optim.swa_utils import AveragedModel

from dagrow.planner import apply, propose

KINDS = ("widen", "edge", "node", "layer", "remove")
GROWTHS = 2


def data_for(spec):
    xs = tuple(normal(12, *entry.shape, seed=i) for i, entry in enumerate(spec.inputs.values()))
    dag = network(spec).dag
    ys = tuple(normal(12, *dag.output(name), seed=9 + i) for i, name in enumerate(spec.outputs))
    return xs, ys if len(ys) > 1 else ys[0]


def step(model, optimizer, xs, y):
    optimizer.zero_grad()
    loss = squared(model(*xs), y)
    loss.backward()
    optimizer.step()
    return loss


def assert_trained_once(model, optimizer):
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    assert {id(p) for p in optimizer.state} <= set(held)
    for parameter, state in optimizer.state.items():
        assert all(value.shape == parameter.shape for value in state.values() if value.dim() > 0)


@settings(max_examples=6, deadline=None)
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
    step(model, optimizer, xs, y)
    average.update_parameters(model)
    for kind in kinds:
        plan = propose(
            model.eval(), squared, [(xs, y)], candidates=[kind], method="random", neurons=2, shrinkage=0,
            significance=0, removal=1e9, keep=(2, 2), new_node={"activation": "relu"},
        )  # fmt: skip
        found = [candidate for candidate in plan.candidates if not candidate.rejected]
        if not found:
            continue
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        insert = draw.choice(["silent", "amplitude"]) if kind != "remove" else "amplitude"
        apply(model, draw.choice(found), optimizer, insert=insert, averages=[average])
        assert_trained_once(model, optimizer)
        now = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        assert all(now[key] == rate for key, rate in rates.items() if key in now)
        held = average.module
        assert [(k, v.shape) for k, v in held.state_dict().items()] == [
            (k, v.shape) for k, v in model.state_dict().items()
        ]
        model.train()
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        if step(model, optimizer, xs, y).isfinite():
            frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
            assert all(torch.equal(before[name], model.get_parameter(name)) for name in frozen)
        average.update_parameters(model)
        held(*xs)
