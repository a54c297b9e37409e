"""What a person added to a network, its parameters and its optimizer goes along through every kind of insertion."""

import copy
from functools import partial

import pytest
import torch
from torch import nn
from zoo import graph

from dagrow.build import build, check_intact
from dagrow.errors import GrowthError
from dagrow.graph import Structure
from dagrow.mutation import Change, apply_change
from dagrow.planner import apply, propose

VECTORS = {
    "inputs": {"x": {"shape": [4]}},
    "nodes": {"h": {"size": 3, "activation": "tanh"}, "k": {"size": 3, "activation": "selu"}, "y": {"size": 2}},
    "edges": {"x -> h": "linear", "h -> k": "linear", "x -> k": "linear", "k -> y": "linear", "h -> y": "linear"},
    "outputs": ["y"],
}
KINDS = ("widen", "edge", "node", "layer", "update", "remove")


def candidates(model, kind):
    x = torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = torch.stack([x[:, 0] * x[:, 1], x[:, 2].abs()], 1)
    plan = propose(
        model.eval(), nn.functional.mse_loss, [(x, y)], candidates=[kind], method="nonlinear", neurons=2, shrinkage=0,
        significance=0, prune_tolerance=1e9, max_solved=9, max_searched=9, new_node={"activation": "relu"},
    )  # fmt: skip
    return [candidate for candidate in plan.candidates if not candidate.rejected]


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_and_modules_stay(kind):
    model = build(graph(**VECTORS), seed=3).double()
    model.scale = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
    model.head = nn.Linear(2, 2).double()
    model.y.gate = nn.Linear(2, 2).double()
    model.y.from_k.factor = nn.Parameter(torch.ones(2, dtype=torch.float64))
    own = ("scale", "head.weight", "head.bias", "y.gate.weight", "y.gate.bias", "y.from_k.factor")
    made = torch.optim.Adam(model.parameters())
    model.head(model(torch.ones(5, 4, dtype=torch.float64))).sum().mul(model.scale).backward()
    made.step()
    for candidate in candidates(model, kind):
        grown, optimizer = copy.deepcopy((model, made))
        before = {name: grown.get_parameter(name) for name in own}
        moments = {name: optimizer.state[before[name]] for name in own if before[name] in optimizer.state}
        try:
            apply(grown, candidate, optimizer)
        except GrowthError as error:
            # Rather than to lose what hangs on a layer that goes.
            if "of your own, which would be lost" not in str(error):
                raise
            assert grown.spec == model.spec
            continue
        assert all(grown.get_parameter(name) is parameter for name, parameter in before.items())
        assert all(optimizer.state[before[name]] is state for name, state in moments.items())
        assert list(map(id, optimizer.param_groups[0]["params"])) == list(map(id, grown.parameters()))
        check_intact(grown)


@pytest.mark.parametrize("addition", [("h1", nn.Linear(1, 1)), ("h1", 3), ("y.from_h1", nn.Linear(1, 1))])
def test_names_that_are_taken_are_not_hidden(addition):
    model = build(graph(**VECTORS), seed=3).double()
    path, value = addition
    owner, _, name = path.rpartition(".")
    setattr(model.get_submodule(owner), name, value)
    found = [c for c in candidates(model, "node") if c.place == "x -> new -> y"]
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(GrowthError, match=rf"^the network has a '{path}' of your own, which a new layer would hide"):
        apply(model, found[0])
    assert getattr(model.get_submodule(owner), name) is value
    assert model.state_dict().keys() == before.keys()


def test_a_node_that_holds_additions_is_not_taken_away():
    model = build(graph(**VECTORS), seed=3).double()
    model.k.gate = nn.Parameter(torch.ones(1))
    with pytest.raises(GrowthError, match="^'k' holds 'gate' of your own, which would be lost with it"):
        apply_change(model, Change(structure=Structure(removed_nodes=("k",))))


@pytest.mark.parametrize("kind", KINDS)
def test_hooks_and_attributes_of_parameters_go_along(kind):
    model = build(graph(**VECTORS), seed=3).double()
    for candidate in candidates(model, kind):
        grown = copy.deepcopy(model)
        seen: list[tuple[str, str]] = []

        def noted(name, what, seen, _):
            seen.append((what, name))

        handles = []
        for name, parameter in grown.named_parameters():
            parameter.tag = name
            handles.append(parameter.register_hook(partial(noted, name, "hook", seen)))
            parameter.register_post_accumulate_grad_hook(partial(noted, name, "after", seen))
        old = dict(grown.named_parameters())
        apply(grown, candidate)
        kept = [name for name, _ in grown.named_parameters() if name in old]
        assert all(grown.get_parameter(name).tag == name for name in kept)
        x = torch.randn(4, 4, dtype=torch.float64)
        grown(x).sum().backward()
        assert sorted(seen) == sorted((what, name) for what in ("hook", "after") for name in kept)
        seen.clear()
        for handle in handles:
            handle.remove()
        grown(x).sum().backward()
        assert {what for what, _ in seen} == {"after"}


MAPS = {
    "inputs": {"x": {"shape": [2, 4, 4]}},
    "nodes": {"h": {"size": 3, "activation": "relu"}, "k": {"size": 2, "pool": "global_average"}, "y": {"size": 2}},
    "edges": {"x -> h": {"op": "conv2d", "padding": 1}, "h -> k": {"op": "conv2d", "kernel": 1}, "k -> y": "linear"},
    "outputs": ["y"],
}


def kernels(model):
    return {name: p for name, p in model.named_parameters() if p.dim() == 4}


@pytest.mark.parametrize("kind", ["widen", "edge", "node", "layer", "update"])
@pytest.mark.parametrize("last", [True, False])
def test_kernels_keep_their_memory_format(kind, last):
    model = build(graph(**MAPS), seed=3).double()
    wanted = torch.channels_last if last else torch.contiguous_format
    model = model.to(memory_format=wanted)
    made = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x = torch.randn(20, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = torch.stack([x[:, 0].amax((1, 2)), x[:, 1].square().mean((1, 2))], 1)
    nn.functional.mse_loss(model(x), y).backward()
    made.step()
    plan = propose(
        model.eval(), nn.functional.mse_loss, [(x, y)], candidates=[kind], method="random", neurons=2, shrinkage=0,
        significance=0, new_node={"activation": "relu"},
    )  # fmt: skip
    found = [candidate for candidate in plan.candidates if not candidate.rejected]
    assert found
    for candidate in found:
        grown, optimizer = copy.deepcopy((model, made))
        apply(grown, candidate, optimizer)
        for name, parameter in kernels(grown).items():
            like = torch.empty(parameter.shape).to(memory_format=wanted)
            assert parameter.stride() == like.stride() or 1 in parameter.shape, name
            assert parameter.is_contiguous(memory_format=wanted), name
            state = optimizer.state.get(parameter, {}).get("momentum_buffer")
            assert state is None or state.is_contiguous(memory_format=wanted), name
