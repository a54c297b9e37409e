"""Inputs in units of their own, `data.standardize: auto`: the unit of a column decides nothing in a run."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import dagrow
from dagrow.build import build
from dagrow.graph import Dag
from dagrow.spec import GraphSpec
from dagrow.training.inputs import REACH, InputUnits, load_samples

CHAIN = {
    "inputs": {"x": {"shape": [4]}},
    "nodes": {"h": {"size": 3, "activation": "selu"}, "y": {"size": 3}},
    "edges": {"x -> h": "linear", "h -> y": "linear"},
    "outputs": ["y"],
}
SKIP = {**CHAIN, "edges": {**CHAIN["edges"], "x -> y": {"op": "linear", "bias": False}}}
CONCAT = {
    "inputs": {"x": {"shape": [2]}, "z": {"shape": [2]}},
    "nodes": {"h": {"size": 4, "merge": "concat", "activation": "tanh"}, "y": {"size": 3}},
    "edges": {"x -> h": "linear", "z -> h": "linear", "h -> y": "linear"},
    "outputs": ["y"],
}
NORMED = {**CHAIN, "nodes": {**CHAIN["nodes"], "h": {"size": 3, "norm": "batch", "activation": "relu"}}}
NO_BIAS = {**CHAIN, "edges": {**CHAIN["edges"], "x -> h": {"op": "linear", "bias": False}}}
SHORT = {"final_epochs": 0}


def run(graph=CHAIN, training=SHORT, data=None, **growth):
    growth = {"schedule": "adaptive", "budget": {"steps": 2}, **growth}
    return dagrow.RunSpec.model_validate(
        {"graph": graph, "data": data or {"dataset": "iris"}, "training": training, "growth": growth}
    )


def table(path, unit, shift, rows=200):
    """A table of three classes whose columns were measured in some unit."""
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, rows)
    x = generator.normal(size=(rows, 4)) + y[:, None] * [1.0, -1.0, 0.5, 0.0]
    x = (x * unit + shift).astype(np.float32)
    np.savez(path, x_train=x[:150], y_train=y[:150], x_test=x[150:], y_test=y[150:])
    return torch.tensor(x[150:])


@pytest.mark.parametrize("graph", [CHAIN, SKIP, CONCAT, NORMED])
def test_the_network_in_the_users_units_is_the_same_function(graph):
    spec = run(graph)
    dag, generator = Dag.of(spec.graph), torch.Generator().manual_seed(0)
    names = list(spec.graph.inputs)
    wide = [dag.spec.inputs[name].shape[0] for name in names]
    raw = [torch.randn(20, n, generator=generator, dtype=torch.float64) * 50 + 300 for n in wide]
    shift = {n: torch.full((w,), 290.0, dtype=torch.float64) for n, w in zip(names, wide, strict=True)}
    scale = {n: torch.linspace(10, 90, w, dtype=torch.float64) for n, w in zip(names, wide, strict=True)}
    scale[names[0]][0] = torch.inf
    network = build(GraphSpec.model_validate(graph), seed=1).double().eval()
    units = InputUnits(shift, scale)
    standard = [(x - shift[n]) / scale[n] for n, x in zip(names, raw, strict=True)]
    for found in (units, InputUnits.from_entry(units.entry())):
        folded = found.folded(network)
        torch.testing.assert_close(folded(*raw), network(*standard), rtol=1e-10, atol=1e-10)
    assert not torch.equal(network(*raw), network(*standard))


def test_columns_are_trained_on_with_mean_0_and_deviation_1(tmp_path):
    table(tmp_path / "t.npz", np.array([1.0, 200.0, 0.01, 30.0]), np.array([7.0, 5000.0, -3.0, 400.0]))
    split, units = load_samples(spec := run(data={"npz": str(tmp_path / "t.npz")}), Dag.of(spec.graph))
    x, _ = split.train.xy()
    assert torch.allclose(x.mean(0), torch.zeros(4), atol=1e-3)
    assert torch.allclose(x.std(0, unbiased=False), torch.ones(4), atol=1e-3)
    assert units is not None
    assert all(not entry.steps for entry in split.preprocessing.inputs)


def test_a_rare_feature_does_not_become_huge(tmp_path):
    x = np.zeros((1000, 4), np.float32)
    x[0] = 1.0
    x[:, 1:] = np.random.default_rng(0).normal(size=(1000, 3))
    y = np.arange(1000) % 3
    np.savez(tmp_path / "t.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    split, _ = load_samples(spec := run(data={"npz": str(tmp_path / "t.npz")}), Dag.of(spec.graph))
    assert float(split.train.xy()[0].abs().max()) == pytest.approx(REACH, rel=1e-3)


@pytest.mark.parametrize("candidates", [["widen"], ["widen", "node", "edge", "layer"]])
def test_the_unit_of_the_inputs_changes_nothing_in_a_whole_run(candidates, tmp_path):
    found = []
    for name, unit in (("one", 1.0), ("other", np.array([1024.0, 2.0**-10, 8.0, 2.0**20]))):
        x = table(tmp_path / f"{name}.npz", unit, 0.0)
        result = dagrow.grow(run(data={"npz": str(tmp_path / f"{name}.npz")}, candidates=candidates), write=False)
        with torch.no_grad():
            found.append((result, result.model(x)))
    (one, answer), (other, again) = found
    assert one.model.spec == other.model.spec
    assert one.test == other.test
    torch.testing.assert_close(again, answer, rtol=1e-4, atol=1e-4)


def test_offset_and_unit_move_a_run_no_more_than_rounding(tmp_path):
    found = []
    for name, unit, shift in (
        ("one", 1.0, 0.0),
        ("other", np.array([3e3, 1e-3, 7.0, 0.3]), np.array([1e4, 0.1, -9, 5])),
    ):
        table(tmp_path / f"{name}.npz", unit, shift)
        found.append(dagrow.grow(run(data={"npz": str(tmp_path / f"{name}.npz")}), write=False))
    one, other = found
    assert one.model.spec == other.model.spec
    assert other.test.loss == pytest.approx(one.test.loss, rel=0.02)


def test_everything_that_a_run_leaves_reads_the_users_values(tmp_path):
    x = table(tmp_path / "t.npz", np.array([1.0, 200.0, 0.01, 30.0]), np.array([7.0, 5000.0, -3.0, 400.0]))
    result = dagrow.grow(run(data={"npz": str(tmp_path / "t.npz")}), out=tmp_path / "run")
    with torch.no_grad():
        answer = result.model(x)
    labels = torch.tensor(np.load(tmp_path / "t.npz")["y_test"])
    assert torch.nn.functional.cross_entropy(answer, labels).item() == pytest.approx(result.test.loss, rel=1e-3)
    assert torch.allclose(result.predict(x).outputs, answer, atol=1e-5)
    assert torch.allclose(dagrow.load_model(tmp_path / "run").predict(x).outputs, answer, atol=1e-5)
    saved = build(dagrow.load_graph(tmp_path / "run" / "graph.yaml"))
    saved.load_state_dict(load_file(tmp_path / "run" / "weights.safetensors"))
    assert torch.allclose(saved.eval()(x), answer, atol=1e-5)


@pytest.mark.parametrize(
    ("graph", "growth", "carried"),
    [
        (CHAIN, {}, True),
        (NO_BIAS, {}, False),
        (CHAIN, {"candidates": ["widen", "node"]}, True),
        (CHAIN, {"candidates": ["widen", "node"], "new_node": {"norm": "batch"}}, False),
        (CHAIN, {"candidates": ["widen", "layer"], "new_node": {"activation": "relu"}}, False),
    ],
)
def test_where_weights_cannot_carry_the_units_inputs_are_preprocessed(graph, growth, carried):
    split, units = load_samples(spec := run(graph, **growth), Dag.of(spec.graph))
    steps = split.preprocessing.inputs[0].steps
    assert (units is not None, bool(steps)) == (carried, not carried)
    x, _ = split.train.xy()
    assert torch.allclose(x.mean(0), torch.zeros(4), atol=1e-3)


def test_far_from_0_inputs_are_preprocessed(tmp_path):
    table(tmp_path / "t.npz", 1.0, 1e5)
    split, units = load_samples(spec := run(data={"npz": str(tmp_path / "t.npz")}), Dag.of(spec.graph))
    assert units is None
    assert split.preprocessing.inputs[0].steps


def test_bytes_and_units_of_a_data_set_stay(tmp_path):
    x, y = np.random.default_rng(0).integers(0, 255, (60, 4)).astype(np.uint8), np.arange(60) % 3
    np.savez(tmp_path / "t.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    split, units = load_samples(spec := run(data={"npz": str(tmp_path / "t.npz")}), Dag.of(spec.graph))
    assert units is None
    assert 0 <= float(split.train.xy()[0].min()) <= float(split.train.xy()[0].max()) <= 1
    digits = {**CHAIN, "inputs": {"x": {"shape": [64]}}, "nodes": {**CHAIN["nodes"], "y": {"size": 10}}}
    split, units = load_samples(spec := run(digits, data={"dataset": "digits"}), Dag.of(spec.graph))
    assert units is None
    assert float(split.train.xy()[0].max()) == 1.0


@pytest.mark.parametrize(("standardize", "expected"), [(False, 0), (True, 1)])
def test_what_a_file_says_is_done(standardize, expected):
    spec = run(data={"dataset": "iris", "standardize": standardize})
    split, units = load_samples(spec, Dag.of(spec.graph))
    assert units is None
    assert len(split.preprocessing.inputs[0].steps) == expected


def test_a_timetable_keeps_its_inputs():
    spec = dagrow.RunSpec.model_validate({"graph": CHAIN, "training": {"epochs_between_growth": 1}})
    assert spec.data.standardize is False
