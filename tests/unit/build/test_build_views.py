"""Probes and suffixes against the interpreter of the zoo."""

from itertools import combinations

import pytest
import torch
from build_networks import inputs_of, interpret, zoo_network
from zoo import BUILDING as ZOO
from zoo import graph

from dagrow.build import Suffixes, build, merged, output, probe


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ZOO)
def test_a_probe_returns_outputs_and_every_inner_value(name):
    model = zoo_network(name)
    xs = inputs_of(model.spec)
    a, b = interpret(model.spec, model.state_dict(), xs)
    nodes = list(model.spec.nodes)
    wanted = [merged(v) for v in nodes] + [output(v) for v in (*nodes, *model.spec.inputs)]
    found = probe(model, model.dag, wanted)(*xs)
    expected = [b[v] for v in model.spec.outputs] + [a[v] for v in nodes] + [b[v] for v in (*nodes, *model.spec.inputs)]
    assert len(found) == len(expected)
    for value, known in zip(found, expected, strict=True):
        close(value, known)


@pytest.mark.parametrize("name", ZOO)
def test_a_probe_shares_the_layers_and_leaves_the_network_alone(name):
    model = zoo_network(name)
    code, keys = model.code, list(model.state_dict())
    view = probe(model, model.dag, [merged(v) for v in model.spec.nodes])
    ours = dict(model.named_parameters())
    assert all(ours[key] is p for key, p in view.named_parameters())
    assert (model.code, list(model.state_dict())) == (code, keys)


@pytest.mark.parametrize("name", ZOO)
def test_the_gradient_at_a_node_is_its_own(name):
    """d loss / d a_v by the probe is the one of adding a number to what v merges, and to nothing else."""
    model = zoo_network(name)
    xs = inputs_of(model.spec)
    nodes = list(model.spec.nodes)
    count = len(model.spec.outputs)
    results = probe(model, model.dag, [merged(v) for v in nodes])(*xs)
    total = sum(y.square().sum() for y in results[:count])
    found = torch.autograd.grad(total, results[count:])
    a, _ = interpret(model.spec, model.state_dict(), xs)
    shifts = {v: torch.zeros_like(a[v]).requires_grad_() for v in nodes}
    _, b = interpret(model.spec, model.state_dict(), xs, shifts)
    expected = torch.autograd.grad(sum(b[v].square().sum() for v in model.spec.outputs), list(shifts.values()))
    for gradient, known in zip(found, expected, strict=True):
        close(gradient, known)


def test_a_tap_behind_a_lone_identity_is_not_its_parents():
    model = zoo_network("lone identities")
    xs = inputs_of(model.spec)
    for wanted in (["h", "k", "l"], ["l", "k", "h"], ["k"]):
        y, *taps = probe(model, model.dag, [merged(v) for v in wanted])(*xs)
        gradients = dict(zip(wanted, torch.autograd.grad(y.sum(), taps), strict=True))
        through_k = model.y.from_l.weight.sum(0) + model.y.from_k.weight.sum(0)
        slope = 1 - torch.tanh(model.h.from_x(xs[0])).square()
        close(gradients["k"], through_k * slope)
        if len(wanted) > 1:
            close(gradients["h"], through_k * slope + model.y.from_h.weight.sum(0))
            close(gradients["l"], model.y.from_l.weight.sum(0).expand(3, 3))


def check_suffix(name, changed):
    model = zoo_network(name)
    xs = inputs_of(model.spec)
    a, b = interpret(model.spec, model.state_dict(), xs)
    generator = torch.Generator().manual_seed(8)
    shifts = {v: torch.randn(a[v].shape, dtype=torch.float64, generator=generator) for v in changed}
    _, expected = interpret(model.spec, model.state_dict(), xs, shifts)
    view, given = Suffixes(model).below(changed)
    known = {"merged": lambda v: a[v] + shifts[v], "delta": shifts.get, "output": b.get}
    arguments = [known[value.stage](value.node) for value in given]
    assert all(argument is not None for argument in arguments)
    assert [v.node for v in given if v.stage != "output"] == [v for v in changed if v in {g.node for g in given}]
    for found, output_name in zip(view(*arguments), model.spec.outputs, strict=True):
        close(found, expected[output_name])
    return given


@pytest.mark.parametrize("name", ZOO)
def test_a_suffix_is_the_full_forward_for_every_changed_node(name):
    for node in ZOO[name].nodes:
        given = check_suffix(name, [node])
        assert [v.stage for v in given if v.node == node] == ["merged"]


@pytest.mark.parametrize("name", ZOO)
def test_a_suffix_is_the_full_forward_for_every_two_changed_nodes(name):
    order = build(ZOO[name], seed=0).dag.order
    for pair in combinations(order, 2):
        check_suffix(name, list(pair))
        check_suffix(name, list(reversed(pair)))


def test_a_changed_node_below_another_is_given_what_is_added():
    given = check_suffix("sum and skip", ["h", "k"])
    assert [tuple(value) for value in given] == [("h", "merged"), ("k", "delta"), ("x", "output")]


def test_nothing_above_a_change_is_run():
    model = zoo_network("sum and skip")
    view, given = Suffixes(model).below(["k"])
    assert not {"h.from_x", "k.from_x"} & set(view.layers)
    assert [tuple(value) for value in given] == [("k", "merged"), ("h", "output")]


def test_outputs_that_a_change_does_not_reach_are_passed_on():
    given = check_suffix("two in, two out", ["y"])
    assert [tuple(value) for value in given] == [("y", "merged"), ("w", "output")]


def test_names_of_given_values_do_not_clash_with_inputs():
    spec = graph(
        {"h_merged": [2], "h_output": [2]},
        {"h": {"size": 2, "activation": "tanh"}, "y": {"size": 1}},
        {"h_merged -> h": "linear", "h -> y": "linear", "h_merged -> y": "linear", "h_output -> y": "linear"},
        "y",
    )
    model = build(spec, seed=0)
    view, given = Suffixes(model).below(["h"])
    xs = torch.randn(3, 2), torch.randn(3, 2)
    values = {
        ("h", "merged"): model.h.from_h_merged(xs[0]),
        ("h_merged", "output"): xs[0],
        ("h_output", "output"): xs[1],
    }
    torch.testing.assert_close(view(*(values[tuple(v)] for v in given))[0], model(*xs))
