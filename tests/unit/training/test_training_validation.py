"""A run with validation samples ends with the network that was best on them, stopped in between or not."""

import pytest
import torch
from safetensors.torch import load_file

import dagrow
from dagrow.data import load_data
from dagrow.errors import DagrowError
from dagrow.objectives import LOSSES
from dagrow.training.epochs import Score
from dagrow.training.validation import Best, split_held_out

RUN = """
graph:
  inputs: {x: {shape: [13]}}
  nodes: {h: {size: 2, activation: selu}, y: {size: 3}}
  edges: {x -> h: linear, h -> y: linear}
  outputs: [y]
data: {dataset: wine, standardize: true}
training: {final_epochs: 4, batch_size: 20, validation_fraction: 0.25, optimizer: {name: sgd, lr: 0.2}}
growth: {neurons: 2, shrinkage: 1, budget: {steps: 2}}
"""


def run_of(folder, *settings):
    (folder / "run.yaml").write_text(RUN)
    return dagrow.load_run(folder / "run.yaml", settings)


def validated(events):
    return [event for event in events if event["event"] == "validation"]


def keys(event):
    return (1 - event["score"]["accuracy"], event["score"]["loss"])


@pytest.mark.parametrize("settings", [(), ("training.ema_decay=0.5",), ("training.optimizer.lr=2",)])
def test_the_best_is_handed_back(tmp_path, settings):
    run = run_of(tmp_path, *settings)
    result = dagrow.grow(run, out=tmp_path / "out")
    told = validated(result.events)
    # The start, a pass and a growth step twice, four passes.
    assert len(told) == 9
    lowest = min(keys(event) for event in told)
    first = next(event for event in told if keys(event) == lowest)
    assert [event for event in told if event["best"]][-1] is first
    assert result.events[0]["samples"] == 106
    # Nothing comes after the last pass but the end: its graph is that of the best, whatever the run had by then.
    weights = load_file(tmp_path / "out" / "weights.safetensors")
    assert weights.keys() == result.model.state_dict().keys()
    for name, value in result.model.state_dict().items():
        assert torch.equal(weights[name], value), name
    assert dagrow.load_graph(tmp_path / "out" / "graph.yaml") == result.model.spec
    _, held_out = split_held_out(run, load_data(run.data, result.model.dag, LOSSES["cross_entropy"], run.seed))
    with torch.no_grad():
        scores = result.model(*held_out.inputs)
    (labels,) = held_out.targets
    assert (scores.argmax(1) != labels).float().mean().item() == pytest.approx(lowest[0])
    assert torch.nn.functional.cross_entropy(scores, labels).item() == pytest.approx(lowest[1], rel=1e-5)


def test_one_that_got_worse_is_not_handed_back(tmp_path):
    """A learning rate that ruins the network in the last passes."""
    ruin = ("training.optimizer.lr=0.1", "training.scheduler={name: multi_step, milestones: [3], gamma: 100}")
    best, last = (
        dagrow.grow(run_of(tmp_path, *ruin, f"training.validation_fraction={share}"), write=False)
        for share in ("0.25", "null")
    )
    assert best.test.loss < 0.5 < last.test.loss
    told = [event for event in validated(best.events) if event["best"]]
    assert told[-1]["epoch"] < best.events[-1]["epoch"]


def test_a_stopped_run_remembers_the_best(tmp_path):
    run = run_of(tmp_path, "training.checkpoint.epochs=1", "training.optimizer.lr=2")
    whole = dagrow.grow(run, out=tmp_path / "whole")

    class Stop(dagrow.report.Silent):
        count = 0

        def advance(self):
            self.count += 1
            if self.count == 7:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dagrow.grow(run, out=tmp_path / "out", reporter=Stop())
    going_on = dagrow.grow(run, out=tmp_path / "out", resume=True)
    assert [keys(e) for e in validated(going_on.events)] == [keys(e) for e in validated(whole.events)]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(going_on.model.state_dict()[name], value), name


def test_fewer_errors_first_then_the_lower_loss(tmp_path):
    network, best = dagrow.build(run_of(tmp_path).graph, seed=0), Best()
    scores = [Score(0.5, 0.8), Score(0.6, 0.8), Score(0.9, 0.9), Score(0.8, 0.9), Score(float("nan"), 0.95)]
    kept = [best.note(network, score, epoch, 0) for epoch, score in enumerate(scores)]
    assert kept == [True, False, True, True, False]
    assert not Best().note(network, Score(float("nan"), None), 1, 0)
    with torch.no_grad():
        network.get_parameter("y.from_h.weight").add_(1)
    assert not torch.equal(best.weights["y.from_h.weight"], network.state_dict()["y.from_h.weight"])


def test_what_cannot_be_is_refused(tmp_path):
    with pytest.raises(DagrowError, match="training.validation_fraction keeps 0 of 142 training samples back"):
        dagrow.grow(run_of(tmp_path, "training.validation_fraction=0.001"), write=False)
    with pytest.raises(DagrowError, match="leave 'validation_fraction' out"):
        run_of(tmp_path, "training.anneal={}")
