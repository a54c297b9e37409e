"""`graph_hash`: equal for all spellings of one network, different for different ones; `GraphPatch`: exact."""

import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from zoo import graph

from dagrow.errors import SpecError
from dagrow.spec import GraphPatch, GraphSpec, dump_graph, graph_hash

ROOT = Path(__file__).resolve().parents[3]
SPECS = sorted((ROOT / "specs").glob("*.yaml"))
NAMES = ("a", "b", "c", "d", "e")


def drawn(nodes: dict, edges: dict, inputs: dict | None = None, outputs: Any = "y") -> GraphSpec:
    return graph(inputs or {"x": [4]}, nodes, edges, outputs)


@st.composite
def specs(draw: st.DrawFn) -> GraphSpec:
    """Any nodes and edges in any order; hashes and patches do not ask whether they hold together."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    nodes = {
        name: {"size": draw(st.integers(1, 3)), "merge": draw(st.sampled_from(["sum", "concat"]))} for name in names
    }
    ends = st.tuples(st.sampled_from([*NAMES, "x", "z"]), st.sampled_from([*NAMES, "y"]))
    pairs = draw(st.lists(ends, unique=True, min_size=1, max_size=6))
    op = st.sampled_from(["linear", "identity", {"op": "linear", "bias": False}])
    edges = {f"{source} -> {target}": draw(op) for source, target in pairs}
    inputs = draw(st.sampled_from([{"x": [4]}, {"z": [4], "x": [4]}, {"x": [4], "z": [4]}]))
    return drawn({**nodes, "y": {"size": 2}}, edges, inputs, draw(st.sampled_from([["y"], ["y", "a"], ["a", "y"]])))


def shuffled(value: Any, seed: int) -> Any:
    """The same mappings with their keys in another order."""
    if not isinstance(value, dict):
        return value
    keys = list(value)
    random.Random(seed).shuffle(keys)
    return {key: shuffled(value[key], seed + 1) for key in keys}


def plain(file: Path) -> dict:
    return yaml.safe_load(file.read_text())["graph"]


def ordered(graph: dict) -> bool:
    """Whether the order of keys means something: concats, and several inputs."""
    return len(graph["inputs"]) > 1 or any(node.get("merge") == "concat" for node in graph["nodes"].values())


@pytest.mark.parametrize("file", SPECS, ids=lambda file: file.stem)
def test_the_order_of_keys_does_not_matter_where_it_means_nothing(file):
    graph = plain(file)
    concats = [name for name, node in graph["nodes"].items() if node.get("merge") == "concat"]
    first = graph_hash(GraphSpec.model_validate(graph))
    for seed in range(5):
        other = shuffled(graph, seed)
        other["inputs"] = graph["inputs"]
        into = [edge for edge in graph["edges"] if edge.split("->")[1].strip() in concats]
        other["edges"] = {e: op for e, op in other["edges"].items() if e not in into} | {
            e: graph["edges"][e] for e in into
        }
        assert list(other["nodes"]) != list(graph["nodes"]) or len(graph["nodes"]) < 3 or seed
        assert graph_hash(GraphSpec.model_validate(other)) == first


def test_the_shipped_specs_are_all_different():
    graphs = [plain(file) for file in SPECS]
    assert len({graph_hash(GraphSpec.model_validate(graph)) for graph in graphs}) == len({str(g) for g in graphs})


def test_the_spelling_of_defaults_does_not_matter():
    one = drawn({"y": {"size": 2}}, {"x -> y": "linear"})
    two = drawn(
        {"y": {"size": 2, "merge": "sum", "dropout": 0}}, {"x->y": {"op": "linear", "bias": True}}, outputs=["y"]
    )
    assert graph_hash(one) == graph_hash(two)


def test_what_order_says_is_part_of_it():
    nodes = {"a": {"size": 1}, "b": {"size": 1}, "c": {"merge": "concat"}, "y": {"size": 2}}
    edges = {"x -> a": "linear", "x -> b": "linear", "a -> c": "identity", "b -> c": "identity", "c -> y": "linear"}
    turned = {**{e: op for e, op in edges.items() if e != "a -> c"}, "a -> c": "identity"}
    assert graph_hash(drawn(nodes, edges)) != graph_hash(drawn(nodes, turned))
    two = {"y": {"size": 2}}, {"x -> y": "linear", "z -> y": "linear"}
    assert graph_hash(drawn(*two, {"x": [4], "z": [4]})) != graph_hash(drawn(*two, {"z": [4], "x": [4]}))
    assert graph_hash(drawn(*two, outputs=["y", "y"])) != graph_hash(drawn(*two))


@given(one=specs(), two=specs())
def test_different_graphs_have_different_hashes(one, two):
    if one != two:
        assert graph_hash(one) != graph_hash(two)


def test_it_is_the_same_in_every_release():
    """Journals keep it: a change of this figure makes old runs unreadable by replay."""
    assert graph_hash(drawn({"y": {"size": 2}}, {"x -> y": "linear"})) == KNOWN


KNOWN = "24e6b66dc1f4015a2af732e2733758590966a83b791a643ba5914f56130821ef"


@given(one=specs(), two=specs())
def test_a_patch_makes_one_graph_of_the_other_order_included(one, two):
    patch = GraphPatch.between(one, two)
    made = GraphPatch.model_validate(patch.plain).applied(one)
    assert dump_graph(made) == dump_graph(two)
    assert graph_hash(made) == graph_hash(two)


@given(one=specs())
def test_a_patch_of_nothing_is_empty(one):
    assert GraphPatch.between(one, one).plain == {}


def test_a_patch_says_only_what_changes():
    small = drawn({"h": {"size": 2}, "y": {"size": 2}}, {"x -> h": "linear", "h -> y": "linear"})
    wide = drawn({"h": {"size": 5}, "y": {"size": 2}}, {"x -> h": "linear", "h -> y": "linear"})
    deep = drawn({"h": {"size": 5}, "y": {"size": 2}}, {"x -> h": "linear", "h -> y": "linear", "x -> y": "linear"})
    assert GraphPatch.between(small, wide).plain == {"nodes": {"put": {"h": {"size": 5}}}}
    assert GraphPatch.between(wide, deep).plain == {"edges": {"put": {"x -> y": "linear"}}}
    assert GraphPatch.between(deep, wide).plain == {"edges": {"removed": ["x -> y"]}}


def test_a_patch_that_makes_no_graph_is_refused():
    one = drawn({"y": {"size": 2}}, {"x -> y": "linear"})
    with pytest.raises(SpecError, match="nodes"):
        GraphPatch.model_validate({"nodes": {"put": {"h": {"size": "large"}}}}).applied(one)
    with pytest.raises(SpecError, match="edges"):
        GraphPatch.model_validate({"edges": {"removed": ["x -> y"]}}).applied(one)
