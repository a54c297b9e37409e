"""Checks of names and wiring: each with its place and its message."""

import pytest
from graph_cases import problems
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo import graph, path

from dagrow.errors import SpecError
from dagrow.graph import Dag

H, Y = {"h": {"size": 2}}, {"y": {"size": 1}}


def test_a_cycle_is_printed_in_its_order():
    nodes = {name: {"size": 2} for name in ("d", "b", "c", "a", "y")}
    edges = path("x", "b", "d", "a", "c", "b") | path("c", "y")
    cycle = "the graph has a cycle: a -> c -> b -> d -> a"
    assert problems({"x": [2]}, nodes, edges, "y") == [("graph / edges / d -> a", cycle)]


def test_a_cycle_starts_at_its_first_name_wherever_the_search_began():
    nodes = {name: {"size": 2} for name in ("a", "b", "c", "y")}
    edges = path("x", "a", "c", "b", "c") | path("b", "a") | path("c", "y")
    (problem,) = problems({"x": [2]}, nodes, edges, "y")
    assert problem == ("graph / edges / c -> b", "the graph has a cycle: b -> c -> b")


def test_the_edge_named_with_a_cycle_closes_it():
    nodes = {name: {"size": 2} for name in ("p", "q", "r", "y")}
    (problem,) = problems({"x": [2]}, nodes, path("x", "r", "p", "q", "r") | path("q", "y"), "y")
    assert problem == ("graph / edges / r -> p", "the graph has a cycle: p -> q -> r -> p")


def test_two_cycles_are_two_problems():
    nodes = {name: {"size": 2} for name in ("a", "b", "c", "d", "y")}
    edges = path("x", "a", "b", "a") | path("b", "c", "d", "c") | path("d", "y")
    assert problems({"x": [2]}, nodes, edges, "y") == [
        ("graph / edges / b -> a", "the graph has a cycle: a -> b -> a"),
        ("graph / edges / d -> c", "the graph has a cycle: c -> d -> c"),
    ]


def test_an_edge_to_itself():
    (problem,) = problems({"x": [2]}, H | Y, path("x", "h", "h", "y"), "y")
    assert problem == ("graph / edges / h -> h", "the graph has a cycle: h -> h")


def test_unreachable():
    nodes = H | Y | {"k": {"size": 2}, "l": {"size": 2}}
    assert problems({"x": [2]}, nodes, path("x", "h", "y") | path("k", "l", "y"), "y") == [
        ("graph / nodes / k", "no input reaches 'k'; add an edge into it or remove it"),
        ("graph / nodes / l", "no input reaches 'l'; add an edge into it or remove it"),
    ]


def test_dead_ends():
    end = "leads to no output; add an edge from it, list it under outputs or remove it"
    edges = path("x", "h", "y") | path("h", "k")
    assert problems({"x": [2], "z": [3]}, H | Y | {"k": {"size": 2}}, edges, "y") == [
        ("graph / inputs / z", f"'z' {end}"),
        ("graph / nodes / k", f"'k' {end}"),
    ]


def test_orphans_and_dead_ends_come_together():
    found = problems({"x": [2]}, H | Y | {"k": {"size": 2}}, path("x", "h", "y"), "y")
    assert [path for path, _ in found] == ["graph / nodes / k"] * 2


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        ("x -> hiden", "unknown node 'hiden' (did you mean 'hidden'?); nodes: x, hidden, y"),
        ("zzz -> y", "unknown node 'zzz'; nodes: x, hidden, y"),
        ("hidden -> x", "'x' is an input; edges lead from inputs to nodes"),
    ],
)
def test_unknown_ends(edge, message):
    edges = path("x", "hidden", "y") | {edge: "linear"}
    assert problems({"x": [2]}, {"hidden": {"size": 2}} | Y, edges, "y") == [(f"graph / edges / {edge}", message)]


def test_unknown_at_both_ends_is_told_once_per_name():
    found = problems({"x": [2]}, Y, path("x", "y") | {"p -> p": "linear", "p -> q": "linear"}, "y")
    assert [(path, message.split(";")[0]) for path, message in found] == [
        ("graph / edges / p -> p", "unknown node 'p'"),
        ("graph / edges / p -> q", "unknown node 'p'"),
        ("graph / edges / p -> q", "unknown node 'q'"),
    ]


def test_outputs():
    nodes, edges = {"out": {"size": 2}, "y": {"size": 1}}, path("x", "out", "y")
    assert problems({"x": [2]}, nodes, edges, ["oot", "y", "y", "x"]) == [
        ("graph / outputs / 0", "unknown node 'oot' (did you mean 'out'?); nodes: out, y"),
        ("graph / outputs / 2", "'y' is listed twice"),
        ("graph / outputs / 3", "'x' is an input; outputs are nodes: out, y"),
    ]


def test_reserved_and_shared_names():
    nodes = {"forward": {"size": 2}, "x": {"size": 2}, "self": {"size": 1}, "y": {"size": 1}}
    edges = path("x", "forward", "self", "y")
    found = problems({"training": [2], "x": [2], "torch": [3]}, nodes, edges, "y")
    assert found[:4] == [
        ("graph / inputs / training", "'training' is an attribute of torch.nn.Module; choose another name"),
        ("graph / inputs / torch", "'torch' has a meaning in the code; choose another name"),
        ("graph / nodes / forward", "'forward' is an attribute of torch.nn.Module; choose another name"),
        ("graph / nodes / self", "'self' has a meaning in the code; choose another name"),
    ]
    assert ("graph / nodes / x", "'x' is an input already; choose another name") in found


def test_many_problems_are_listed_together_and_rendered():
    with pytest.raises(SpecError) as caught:
        Dag.of(graph({"x": [2]}, {"eval": {"size": 1}} | H, path("x", "k", "eval"), ["y", "h"]))
    assert str(caught.value).splitlines() == [
        "graph / nodes / eval: 'eval' is an attribute of torch.nn.Module; choose another name",
        "graph / edges / x -> k: unknown node 'k'; nodes: x, eval, h",
        "graph / edges / k -> eval: unknown node 'k'; nodes: x, eval, h",
        "graph / outputs / 0: unknown node 'y'; nodes: eval, h",
    ]


@settings(deadline=None)
@given(st.permutations(list("abcdef")), st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=10))
def test_the_order_puts_parents_first_and_depends_on_names_only(names, pairs):
    pairs = {(i, j) for i, j in pairs if i < j}
    edges = path("x", *names) | {f"{names[i]} -> {names[j]}": "linear" for i, j in sorted(pairs)}
    nodes = {name: {"size": 1} for name in names}
    dag = Dag.of(graph({"x": [1]}, nodes, edges, [names[-1]]))
    assert list(dag.order) == names
    again = Dag.of(graph({"x": [1]}, dict(sorted(nodes.items())), dict(sorted(edges.items())), [names[-1]]))
    assert again.order == dag.order


def test_ties_in_the_order_go_by_name():
    nodes = {name: {"size": 1} for name in ("c", "a", "b", "y")}
    edges = {f"x -> {n}": "linear" for n in ("c", "a", "b")} | {f"{n} -> y": "linear" for n in ("b", "c", "a")}
    dag = Dag.of(graph({"x": [1]}, nodes, edges, "y"))
    assert dag.order == ("a", "b", "c", "y")
    assert [str(e) for e in dag.incoming["y"]] == ["b -> y", "c -> y", "a -> y"]
    assert [str(e) for e in dag.outgoing["x"]] == ["x -> a", "x -> b", "x -> c"]


def test_a_deep_graph_is_no_problem():
    names = [f"n{i:04}" for i in range(1500)]
    dag = Dag.of(graph({"x": [1]}, {name: {"size": 1} for name in names}, path("x", *names), [names[-1]]))
    assert dag.order == tuple(names)
