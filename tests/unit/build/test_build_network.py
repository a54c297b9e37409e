"""What a spec compiles to: code, weights, names, copies."""

import copy

import pytest
import torch
from build_networks import inputs_of, interpret, zoo_network
from tolerances import assert_same_function
from torch import nn
from zoo import BUILDING as ZOO
from zoo import graph

from dagrow.build import Network, build
from dagrow.errors import SpecError
from dagrow.graph import cost
from dagrow.spec.graph import GraphSpec

CODE = """


def forward(self, x):
    h_from_x = self.h.from_x(x)
    h_norm = self.h.norm(h_from_x);  h_from_x = None
    h_activation = self.h.activation(h_norm);  h_norm = None
    h_pool = self.h.pool(h_activation);  h_activation = None
    c_from_x = self.c.from_x(x);  x = None
    c = torch.cat([h_pool, c_from_x], 1);  h_pool = c_from_x = None
    c_flat = torch.flatten(c, 1);  c = None
    c_dropout = self.c.dropout(c_flat);  c_flat = None
    y_from_c = self.y.from_c(c_dropout);  c_dropout = None
    return y_from_c
    """
SMALL = graph(
    {"x": [1, 4, 4]},
    {
        "h": {"size": 2, "norm": "batch", "activation": "relu", "pool": {"kind": "max"}},
        "c": {"merge": "concat", "flatten": True, "dropout": 0.1},
        "y": {"size": 3},
    },
    {
        "x -> h": {"op": "conv2d", "padding": "same"},
        "h -> c": "identity",
        "x -> c": {"op": "conv2d", "kernel": 2, "stride": 2, "size": 1},
        "c -> y": "linear",
    },
    "y",
)


def test_the_code_is_readable_and_always_the_same():
    assert build(SMALL, seed=0).code == CODE
    assert build(SMALL, seed=1).code == CODE


def test_two_outputs_come_as_a_tuple_in_the_order_of_the_spec():
    model = zoo_network("two in, two out")
    y, w = model(*inputs_of(model.spec))
    assert (y.shape[1], w.shape[1]) == (2, 1)


@pytest.mark.parametrize("name", ZOO)
def test_the_forward_pass_is_what_the_spec_says(name):
    model = zoo_network(name)
    xs = inputs_of(model.spec)
    _, values = interpret(model.spec, model.state_dict(), xs)
    found = model(*xs)
    found = found if isinstance(found, tuple) else (found,)
    assert len(found) == len(model.spec.outputs)
    for output, y in zip(model.spec.outputs, found, strict=True):
        assert_same_function(y, values[output])


@pytest.mark.parametrize("name", ZOO)
def test_weights_follow_from_the_seed(name):
    first, again, other = (build(ZOO[name], seed=seed).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(first[key], again[key]) for key in first)
    edges = [key for key in first if ".from_" in key]
    assert not any(torch.equal(first[key], other[key]) for key in edges)


@pytest.mark.parametrize("name", ZOO)
def test_weights_do_not_depend_on_the_order_of_the_file(name):
    spec = ZOO[name]
    fields = spec.model_dump(mode="json")
    fields["nodes"] = dict(reversed(fields["nodes"].items()))
    # In a concat the order of edges is the order of features: there it is kept.
    joined = [str(edge) for edge in spec.edges if spec.nodes[edge.target].merge == "concat"]
    others = [edge for edge in reversed(fields["edges"]) if edge not in joined]
    fields["edges"] = {edge: fields["edges"][edge] for edge in (*others, *joined)}
    shuffled = GraphSpec.model_validate(fields)
    assert list(shuffled.nodes) != list(spec.nodes)
    model, other = build(spec, seed=5).eval().double(), build(shuffled, seed=5).eval().double()
    weights, others = model.state_dict(), other.state_dict()
    assert set(weights) == set(others)
    assert all(torch.equal(weights[key], others[key]) for key in weights)
    xs = inputs_of(spec)
    found, expected = model(*xs), other(*xs)
    assert_same_function(found, expected)


def test_weights_of_an_edge_do_not_depend_on_its_neighbours():
    fields = ZOO["mlp"].model_dump(mode="json")
    fields["nodes"]["k"] = {"size": 5}
    fields["edges"] = {"x -> k": "linear", **fields["edges"], "k -> y": "linear"}
    more = build(GraphSpec.model_validate(fields), seed=5).state_dict()
    few = build(ZOO["mlp"], seed=5).state_dict()
    assert all(torch.equal(few[key], more[key]) for key in few)
    assert not torch.equal(more["k.from_x.weight"][:3], more["h.from_x.weight"])


def test_every_edge_draws_weights_of_its_own():
    spec = graph({"x": [3], "z": [3]}, {"y": {"size": 2}}, {"x -> y": "linear", "z -> y": "linear"}, "y")
    model = build(spec, seed=5)
    assert not torch.equal(model.y.from_x.weight, model.y.from_z.weight)


def test_without_a_seed_torch_draws_one():
    torch.manual_seed(3)
    first, second = build(ZOO["mlp"]), build(ZOO["mlp"])
    torch.manual_seed(3)
    again = build(ZOO["mlp"])
    assert torch.equal(first.h.from_x.weight, again.h.from_x.weight)
    assert not torch.equal(first.h.from_x.weight, second.h.from_x.weight)


def test_with_a_seed_the_global_generator_is_left_alone():
    state = torch.get_rng_state()
    build(SMALL, seed=4)
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_are_spread_as_torch_spreads_them():
    spec = graph({"x": [400]}, {"y": {"size": 300}}, {"x -> y": "linear"}, "y")
    weight = build(spec, seed=0).y.from_x.weight.detach()
    torch.manual_seed(0)
    reference = nn.Linear(400, 300).weight.detach()
    assert weight.abs().max() <= 400**-0.5
    torch.testing.assert_close(weight.std(), reference.std(), rtol=0.02, atol=0)


def test_the_names_of_weights():
    assert list(build(SMALL, seed=0).state_dict()) == [
        "h.from_x.weight", "h.from_x.bias", "h.norm.weight", "h.norm.bias", "h.norm.running_mean",
        "h.norm.running_var", "h.norm.num_batches_tracked", "c.from_x.weight", "c.from_x.bias",
        "y.from_c.weight", "y.from_c.bias",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ZOO)
def test_copies_keep_the_spec_and_share_nothing(name):
    model = zoo_network(name)
    twin = copy.deepcopy(model)
    assert isinstance(twin, Network)
    assert (twin.spec, twin.code) == (model.spec, model.code)
    xs = inputs_of(model.spec)
    torch.testing.assert_close(twin(*xs), model(*xs), rtol=0, atol=0)
    ids = {p.data_ptr() for p in model.parameters()}
    assert ids.isdisjoint(p.data_ptr() for p in twin.parameters())
    twin.spec = ZOO["mlp"]
    assert model.spec == ZOO[name]


@pytest.mark.parametrize("name", ZOO)
def test_the_cost_is_the_number_of_parameters(name):
    model = build(ZOO[name], seed=0)
    assert cost(model.dag).parameters == sum(p.numel() for p in model.parameters())


def test_layers_are_ordinary():
    modules = {type(m) for name in ZOO for m in build(ZOO[name], seed=0).modules() if not list(m.children())}
    assert {kind.__module__.rpartition(".")[0] for kind in modules} == {"torch.nn.modules"}


def test_a_broken_graph_is_not_built():
    with pytest.raises(SpecError, match="cycle"):
        build(graph({"x": [2]}, {"h": {"size": 2}}, {"x -> h": "linear", "h -> h": "linear"}, "h"), seed=0)


def nodes_named(*names):
    inputs, (first, *others) = {names[0]: [2, 3]}, names[1:]
    nodes = {first: {"size": 2, "flatten": True, "activation": "relu"}, **{n: {"size": 2} for n in others}}
    edges = {f"{names[0]} -> {first}": "linear", **{f"{first} -> {n}": "linear" for n in others}}
    edges |= {f"{n} -> last": "linear" for n in (first, *others)}
    return graph(inputs, {**nodes, "last": {"size": 1}}, edges, ["last"])


NAMES = sorted(
    {name for name in dir(build(ZOO["mlp"], seed=0)) if name[0].isalpha() and name not in ("h", "y")}
    | {
        "torch",
        "self",
        "operator",
        "nn",
        "inf",
        "nan",
        "device",
        "fx_pytree",
        "len",
        "input",
        "h_merged",
        "cat",
        "x_1",
    }
)


def test_every_name_is_refused_or_works():
    refused, reasons = [], []
    for name in NAMES:
        for names in ((name, "p", "q"), ("x", name, "q"), ("x", "p", name)):
            spec = nodes_named(*names)
            try:
                model = build(spec, seed=0)
            except SpecError as error:
                refused.append(name)
                reasons.append((name, str(error)))
            else:
                assert copy.deepcopy(model)(torch.zeros(2, 2, 3)).shape == (2, 1), names
                assert model.spec == spec
    assert all(f"'{name}'" in reason and "choose another name" in reason for name, reason in reasons)
    assert {"self", "torch", "forward", "training", "meta", "spec", "dag", "graph", "code"} <= set(refused)
    assert {"operator", "nn", "input", "h_merged"}.isdisjoint(refused)
