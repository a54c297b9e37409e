"""The file of weights: what it holds is noticed to be another by every bit; without checksums it is read as it is."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from dagrow.build import build
from dagrow.errors import RunError
from dagrow.runs.weights import check_graph, read_weights, weights_file
from dagrow.spec import GraphSpec

GRAPH = {
    "inputs": {"x": {"shape": [2]}},
    "nodes": {"h": {"size": 2, "activation": "relu", "norm": "batch"}, "y": {"size": 1}},
    "edges": {"x -> h": "linear", "h -> y": "linear"},
    "outputs": ["y"],
}
SPEC = GraphSpec.model_validate(GRAPH)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(weights_file(build(SPEC, seed=0).state_dict(), SPEC))
    return path


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_comes_back_and_is_plain_safetensors(file):
    weights = build(SPEC, seed=0).state_dict()
    assert same(read_weights(file, SPEC, "graph.yaml"), weights)
    assert same(load_file(file), weights)
    assert file.read_bytes() == weights_file(weights, SPEC)


def test_flipped_bits_are_noticed_or_harmless(file):
    whole, content = read_weights(file, SPEC, "graph.yaml"), file.read_bytes()
    noticed = 0
    for bit in range(0, 8 * len(content), 19):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        try:
            assert same(read_weights(file, SPEC, "graph.yaml"), whole), bit
        except RunError:
            noticed += 1
    assert noticed > 0.9 * 8 * len(content) / 19


def test_files_without_checksums_are_read(file):
    weights = load_file(file)
    save_file(weights, file)
    assert same(read_weights(file, SPEC, "graph.yaml"), weights)


@pytest.mark.parametrize("change", [{"activation": "tanh"}, {"dropout": 0.5}])
def test_another_graph_of_the_same_shapes_is_noticed(file, change):
    other = GraphSpec.model_validate({**GRAPH, "nodes": {**GRAPH["nodes"], "h": {**GRAPH["nodes"]["h"], **change}}})
    with pytest.raises(RunError, match=r"^graph.yaml does not match .*weights.safetensors"):
        read_weights(file, other, "graph.yaml")
    with pytest.raises(RunError, match=r"^graph.yaml does not match .*weights.safetensors"):
        check_graph(file, other, "graph.yaml")
    check_graph(file, SPEC, "graph.yaml")


def test_what_is_no_file_is_refused(file):
    file.unlink()
    file.mkdir()
    with pytest.raises(RunError, match="is a folder, not a file"):
        read_weights(file, SPEC, "graph.yaml")
