"""Five hundred of the cases of `fuzz_specs`, and the largest bombs: only messages, in bounded time and memory."""

import json
import time

import pytest
from fuzz_specs import KINDS, bomb, case, chain_text, diamonds, laughs, outcome
from hypothesis import given, settings
from hypothesis import strategies as st

from dagrow.errors import SpecError
from dagrow.graph import load_run

CASES = 250


def test_cases_of_every_kind(tmp_path):
    found = set()
    for number in range(CASES):
        kind, content = case(7, number)
        found.add((kind, outcome(content, tmp_path / "run.yaml")))
    assert {kind for kind, _ in found} == set(KINDS)
    assert {end for _, end in found} == {"read", "refused"}


def test_a_case_is_the_same_in_every_run():
    assert [case(3, number) for number in range(20)] == [case(3, number) for number in range(20)]
    assert bomb is KINDS["bombs"][1]


@given(content=st.binary(max_size=200))
@settings(max_examples=50)
def test_any_bytes(content, tmp_path_factory):
    outcome(content, tmp_path_factory.getbasetemp() / "bytes.yaml")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["x", "h", "x -> h"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "h", "y", "x -> h", "size", "op"]), inner)
    ),
    max_leaves=12,
)


@given(sections=st.dictionaries(st.sampled_from(["inputs", "nodes", "edges", "outputs", "?"]), VALUES))
@settings(max_examples=50)
def test_any_values_as_a_graph(sections, tmp_path_factory):
    text = json.dumps({"graph": sections})
    outcome(text.encode(), tmp_path_factory.getbasetemp() / "values.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (laughs(30), "more than 200000 values"),
        ("graph: " + "[" * 100_000, "nested more than 40 levels deep"),
        ("name: a\n" * 3_000, "and 2949 more problems"),
        ("graph: " + "9" * 1_000_000, "graph: expected a mapping"),
        ("x" * 2_000_001, "more than 2 MB: this is no spec"),
        (chain_text(300).replace("-> n", "-> m"), "and more problems of this kind"),
        (chain_text(50, "{size: 1000000}", "{op: linear, size: 3}"), "'size' is for edges into a concat node"),
        ("graph: {nodes: {" + "a: 1, " * 50 + "}}", "given twice"),
    ],
    ids=["aliases", "nesting", "twice", "digits", "length", "unknown", "sizes", "keys"],
)
def test_a_bomb_is_one_short_message(text, message, tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(text)
    started = time.process_time()
    with pytest.raises(SpecError) as caught:
        load_run(file)
    assert time.process_time() - started < 10
    assert message in str(caught.value)
    assert len(str(caught.value)) < 50_000


def test_a_large_graph_takes_time_in_proportion(tmp_path):
    """Ten times as many nodes take some ten times as long, not a hundred times."""
    times = []
    for nodes in (100, 1_000):
        (tmp_path / "run.yaml").write_text(chain_text(nodes))
        started = time.process_time()
        outcome(chain_text(nodes).encode(), tmp_path / "run.yaml")
        times.append(time.process_time() - started)
    assert times[1] < 40 * times[0]


def test_features_with_a_million_ways_are_followed_once(tmp_path):
    started = time.process_time()
    assert outcome(diamonds(24).encode(), tmp_path / "run.yaml") == "read"
    assert time.process_time() - started < 10
