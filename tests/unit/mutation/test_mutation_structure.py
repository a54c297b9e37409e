"""Nodes and edges that come and go: all or nothing, and afterwards a network like any other."""

import copy
import warnings

import pytest
import torch
from mutation_cases import BreaksAfter, Broken, Picture, broken_commits
from tolerances import assert_same_function
from torch import nn
from zoo import graph

from dagrow.build import build
from dagrow.errors import GrowthError, SpecError
from dagrow.graph import Structure, load_graph
from dagrow.mutation import Change, apply_change
from dagrow.mutation import groups as groups_module
from dagrow.mutation import layers as layers_module
from dagrow.planner import apply, propose
from dagrow.spec import save_graph

VECTORS = {
    "inputs": {"x": {"shape": [4]}},
    "nodes": {
        "h": {"size": 3, "activation": "tanh", "norm": "batch"},
        "k": {"size": 3, "activation": "selu"},
        "y": {"size": 2},
    },
    "edges": {"x -> h": "linear", "h -> k": "linear", "x -> k": "linear", "k -> y": "linear", "h -> y": "linear"},
    "outputs": ["y"],
}
MAPS = {
    "inputs": {"x": {"shape": [2, 4, 4]}},
    "nodes": {
        "h": {"size": 2, "activation": "relu", "norm": "batch"},
        "k": {"activation": "relu", "pool": "global_average"},
        "y": {"size": 2},
    },
    "edges": {
        "x -> h": {"op": "conv2d", "padding": 1},
        "x -> k": "identity",
        "h -> k": "identity",
        "k -> y": "linear",
    },
    "outputs": ["y"],
}
"""The size of k is left to its identity edges: it is written out when something new leads there."""

KINDS = ("edge", "node", "layer", "remove")


def trained(fields):
    """A network, its optimizer after two steps (with two groups), and data with something to find."""
    model = build(graph(**fields), seed=3).double()
    names = list(dict(model.named_parameters()))
    first = [p for n, p in model.named_parameters() if n.startswith("h.")]
    rest = [p for n, p in model.named_parameters() if not n.startswith("h.")]
    assert len(first) + len(rest) == len(names)
    optimizer = torch.optim.Adam([{"params": first, "lr": 0.01}, {"params": rest}], lr=0.02, amsgrad=True)
    generator = torch.Generator().manual_seed(0)
    shape = fields["inputs"]["x"]["shape"]
    x = torch.randn(40, *shape, dtype=torch.float64, generator=generator)
    flat = x.flatten(1)
    y = torch.stack([flat[:, 0] * flat[:, 1], flat[:, 2].abs() + flat[:, 3]], 1)
    for _ in range(2):
        optimizer.zero_grad()
        (model(x) - y).square().mean().backward()
        optimizer.step()
    return model, optimizer, x, y


def proposed(model, x, y, kind):
    plan = propose(
        model.eval(), nn.functional.mse_loss, [(x, y)], candidates=[kind], method="nonlinear", neurons=2, shrinkage=0,
        significance=0, prune_tolerance=1e9, max_solved=99, max_searched=99,
        new_node={"activation": "relu", "norm": "none"},
    )  # fmt: skip
    found = [candidate for candidate in plan.candidates if not candidate.rejected]
    assert found or (kind == "remove" and plan.not_growable)
    return found


CASES = [(name, kind) for name in ("vectors", "maps") for kind in KINDS if (name, kind) != ("maps", "remove")]
FIELDS = {"vectors": VECTORS, "maps": MAPS}


@pytest.mark.share(0.35)
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_an_error_at_any_step_of_the_commit_changes_nothing(monkeypatch, name, kind, moment):
    model, optimizer, x, y = trained(FIELDS[name])
    candidate = proposed(model, x, y, kind)[0]
    before, outs = Picture(model, optimizer), copy.deepcopy(model)(x)
    count = 0
    for tried in broken_commits(monkeypatch, moment):
        count = tried
        with pytest.raises(Broken):
            apply(model, candidate, optimizer)
        before.assert_unchanged()
    assert count >= 4
    assert torch.equal(copy.deepcopy(model)(x), outs)
    apply(model, candidate, optimizer)
    assert model.spec != before.spec


@pytest.mark.share(0.35)
@pytest.mark.parametrize(
    ("module", "function"),
    [
        (layers_module, "emit"),
        (layers_module, "node_layers"),
        (layers_module, "_check_additions"),
        (layers_module, "_filled"),
        (layers_module, "_tables"),
        (groups_module, "slots_of"),
        (groups_module, "check_takes"),
        (groups_module, "_merged"),
    ],
)
def test_an_error_at_any_moment_of_the_preparation_changes_nothing(monkeypatch, module, function):
    model, optimizer, x, y = trained(VECTORS)
    candidate = proposed(model, x, y, "node")[0]
    breaking = BreaksAfter(monkeypatch, module, function)
    grown, carried = copy.deepcopy((model, optimizer))
    apply(grown, candidate, carried)
    count = breaking.calls
    assert count > 0
    before = Picture(model, optimizer)
    for broken in range(count):
        breaking.after(broken)
        with pytest.raises(Broken):
            apply(model, candidate, optimizer)
        before.assert_unchanged()


def missing(candidate):
    """The change without the tensors of its new edges."""
    change = candidate.trial.scaled(candidate.amplitude)
    return Change(structure=change.structure)


@pytest.mark.parametrize("kind", ["edge", "node", "layer"])
def test_a_change_that_lacks_the_weights_of_its_edges_is_refused(kind):
    model, optimizer, x, y = trained(VECTORS)
    change = missing(proposed(model, x, y, kind)[0])
    before = Picture(model, optimizer)
    with pytest.raises(GrowthError, match=r"the change does not fit: \S+ needs \[.*\], it is missing"):
        apply_change(model, change, optimizer)
    before.assert_unchanged()


def test_a_structure_that_is_no_graph_is_refused():
    model, optimizer, _, _ = trained(VECTORS)
    before = Picture(model, optimizer)
    edge = next(e for e in model.spec.edges if e.source == "k")
    with pytest.raises(SpecError):
        apply_change(model, Change(structure=Structure(removed_edges=(edge,))), optimizer)
    before.assert_unchanged()


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_new_parameters_are_trained_in_the_group_beside_them(name, kind):
    """Every parameter once; those of the node h, or of a new node before it, at the rate of h."""
    model, optimizer, x, y = trained(FIELDS[name])
    known = {id(p) for p in model.parameters()}
    for candidate in proposed(model, x, y, kind):
        grown, carried = copy.deepcopy((model, optimizer))
        before = {id(p) for p in grown.parameters()}
        apply(grown, candidate, carried)
        held = [id(p) for group in carried.param_groups for p in group["params"]]
        assert sorted(held) == sorted(id(p) for p in grown.parameters())
        slow = {id(p) for p in carried.param_groups[0]["params"]}
        assert all((id(p) in slow) == n.startswith("h.") for n, p in grown.named_parameters() if id(p) in before)
        fresh = [(n, p) for n, p in grown.named_parameters() if id(p) not in before]
        assert bool(fresh) == (kind != "remove")
        assert all(id(p) in slow for n, p in fresh if n.startswith("h."))
        assert all(id(p) not in slow for n, p in fresh if n.startswith(("k.", "y.")))
        values = [p.detach().clone() for _, p in fresh]
        grown.train()
        nn.functional.mse_loss(grown(x), y).backward()
        carried.step()
        moved = [not torch.equal(p, old) for (_, p), old in zip(fresh, values, strict=True)]
        # A unit that hands on a value may have no slope: not all, but most move.
        assert sum(moved) >= len(moved) / 2
    assert {id(p) for p in model.parameters()} == known


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_parameters_stay_out_of_the_optimizer(kind):
    """The weights into y are not trained and in no group; what is new there joins the group of its neighbours."""
    model, _, x, y = trained(VECTORS)
    for parameter in model.y.parameters():
        parameter.requires_grad_(False)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad])
    for candidate in proposed(model, x, y, kind):
        grown, carried = copy.deepcopy((model, optimizer))
        apply(grown, candidate, carried)
        held = [id(p) for group in carried.param_groups for p in group["params"]]
        assert sorted(held) == sorted(id(p) for p in grown.parameters() if p.requires_grad)


@pytest.mark.share(0.35)
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_spec_survives_a_file(tmp_path, name, kind):
    model, _, x, y = trained(FIELDS[name])
    for candidate in proposed(model, x, y, kind):
        grown = copy.deepcopy(model)
        apply(grown, candidate)
        save_graph(grown.spec, tmp_path / "graph.yaml")
        loaded = load_graph(tmp_path / "graph.yaml")
        assert loaded == grown.spec
        rebuilt = build(loaded).double().eval()
        rebuilt.load_state_dict(grown.state_dict())
        assert_same_function(rebuilt(x), grown(x))


def test_a_size_left_to_identity_edges_is_written_out():
    model, _, x, y = trained(MAPS)
    assert model.spec.nodes["k"].size is None
    found = [c for c in proposed(model, x, y, "node") if c.place.endswith("-> k")]
    assert found
    for candidate in found:
        grown = copy.deepcopy(model)
        apply(grown, candidate)
        assert grown.spec.nodes["k"].size == 2


@pytest.mark.parametrize("name", FIELDS)
def test_torch_tools_take_the_grown_network(name):
    """Compiled, exported and copied after one change of each kind."""
    model, optimizer, x, y = trained(FIELDS[name])
    for kind in ("edge", "node", "layer", "remove"):
        found = proposed(model, x, y, kind)
        if found:
            apply(model, found[0], optimizer)
    with torch.no_grad():
        outs = model(x)
        assert torch.equal(copy.deepcopy(model)(x), outs)
        torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), outs)
        with warnings.catch_warnings():
            # torch's own, from inside of the compiler.
            warnings.simplefilter("ignore", DeprecationWarning)
            compiled = torch.compile(model, backend="eager", fullgraph=True)
            torch.testing.assert_close(compiled(x), outs)
