"""Graphs for pictures: drawn ones (hypothesis) and histories that change in every way."""

from typing import Any

from hypothesis import strategies as st
from zoo import chain, graph, node

from dagrow.report import GrowthStep, History
from dagrow.spec.graph import GraphSpec

LONG = "a_name_that_goes_on_and_on_until_it_has_as_many_letters_as_a_name_can_have_" + 5 * "z"
POOL = ("a", "b", "c", "d", "stage_two", "stage_two_of_the_other_branch", LONG)


def over_x(nodes: dict, edges: dict, inputs: dict | None = None, outputs: Any = "y") -> GraphSpec:
    """A graph that reads four numbers, unless something else is said."""
    return graph(inputs or {"x": [4]}, nodes, edges, outputs)


def sized(size: int) -> GraphSpec:
    return chain(node(size, "relu"))


@st.composite
def graphs(draw: st.DrawFn, names: tuple[str, ...] = POOL) -> GraphSpec:
    """Any DAG over some of the names, in any order, with skips, all of it reached and read."""
    order = draw(st.lists(st.sampled_from(names), unique=True, max_size=len(names)))
    above, edges = ["x"], {}
    for name in order:
        parents = draw(st.lists(st.sampled_from(above), unique=True, min_size=1, max_size=3))
        edges |= {f"{parent} -> {name}": "linear" for parent in parents}
        above.append(name)
    read = {edge.split(" -> ")[0] for edge in edges}
    edges |= {f"{name} -> y": "linear" for name in above if name not in read}
    nodes = {
        name: {
            "size": draw(st.integers(1, 300)),
            "activation": draw(st.sampled_from(["identity", "relu", "leaky_relu"])),
        }
        for name in order
    }
    return over_x({**nodes, "y": {"size": 3}}, edges)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Graphs that follow each other without any order: everything may come, go, shrink and grow."""
    first, *others = draw(st.lists(graphs(POOL[:5]), min_size=1, max_size=5))
    gains = st.none() | st.floats(-1, 3)
    steps = [
        GrowthStep(number, spec, "y update", draw(gains), draw(gains), draw(gains))
        for number, spec in enumerate(others, 1)
    ]
    return History(first, tuple(steps), 2.0, draw(gains))


WIDE = tuple(f"{'wide_' * (i % 4)}n{i}" for i in range(39))
