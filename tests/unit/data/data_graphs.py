"""Graphs that data has to fit, as small as they can be."""

from __future__ import annotations

from dagrow.graph import Dag
from dagrow.spec.graph import GraphSpec


def vector_dag(features: int, outputs: int) -> Dag:
    return shaped_dag((features,), outputs)


def shaped_dag(shape: tuple[int, ...], outputs: int) -> Dag:
    hidden = {"h": {"flatten": True}} if len(shape) > 1 else {"h": {}}
    return _dag(
        inputs={"x": {"shape": list(shape)}},
        nodes={**hidden, "y": {"size": outputs}},
        edges={"x -> h": "identity", "h -> y": "linear"},
        outputs=["y"],
    )


def map_dag(shape: tuple[int, int, int], channels: int) -> Dag:
    """Its output is a map as large as the input."""
    return _dag(
        inputs={"x": {"shape": list(shape)}},
        nodes={"y": {"size": channels}},
        edges={"x -> y": {"op": "conv2d", "kernel": 1}},
        outputs=["y"],
    )


def series_dag(shape: tuple[int, int], channels: int) -> Dag:
    """Its output is a series as long as the input."""
    return _dag(
        inputs={"x": {"shape": list(shape), "layout": "channels_first"}},
        nodes={"y": {"size": channels}},
        edges={"x -> y": {"op": "conv1d", "kernel": 1}},
        outputs=["y"],
    )


def token_dag(shape: tuple[int, int], features: int) -> Dag:
    """Its output has as many tokens as the input."""
    return _dag(
        inputs={"x": {"shape": list(shape)}},
        nodes={"y": {"size": features}},
        edges={"x -> y": "linear"},
        outputs=["y"],
    )


def embedding_dag(length: int, vocabulary: int, features: int) -> Dag:
    """It reads whole numbers, and says something of each."""
    return _dag(
        inputs={"x": {"shape": [length], "vocabulary": vocabulary}},
        nodes={"y": {"size": features}},
        edges={"x -> y": "embedding"},
        outputs=["y"],
    )


def two_by_two_dag(sizes: tuple[int, int] = (2, 3), outputs: tuple[int, int] = (4, 4)) -> Dag:
    """Inputs a and b, outputs p and q."""
    return _dag(
        inputs={"a": {"shape": [sizes[0]]}, "b": {"shape": [sizes[1]]}},
        nodes={"p": {"size": outputs[0]}, "q": {"size": outputs[1]}},
        edges={"a -> p": "linear", "b -> p": "linear", "b -> q": "linear"},
        outputs=["p", "q"],
    )


def _dag(**graph: object) -> Dag:
    return Dag.of(GraphSpec.model_validate(graph))
