"""Candidates that are tried out: the best after some training is inserted, the run is not touched otherwise."""

import math
from types import SimpleNamespace

import pytest
import torch

import dagrow
from dagrow.errors import DagrowError
from dagrow.graph import training_macs
from dagrow.growth.counterfactual import best_of_each_type

RUN = """
graph:
  inputs: {x: {shape: [13]}}
  nodes: {h: {size: 2, activation: selu, dropout: 0.1}, y: {size: 3}}
  edges: {x -> h: linear, h -> y: linear}
  outputs: [y]
data: {dataset: wine, standardize: true}
training: {final_epochs: 1, batch_size: 20, optimizer: {name: adam, lr: 0.01}}
growth:
  candidates: [widen, edge, node]
  neurons: 2
  shrinkage: 1
  samples: 1000
  held_out: 0
  significance: 0
  trial_training: {candidates: 3, steps: 30}
  budget: {steps: 2}
"""


def grown(folder, *settings):
    (folder / "run.yaml").write_text(RUN)
    return dagrow.grow(dagrow.load_run(folder / "run.yaml", settings), write=False)


def steps_of(result):
    return [event for event in result.events if event["event"] == "growth"]


@pytest.mark.share(0.35)
@pytest.mark.parametrize("where", ["gain", "gain_per_parameter"])
def test_what_has_gained_most_is_inserted(tmp_path, where):
    others = 0
    for seed in range(3):
        for step in steps_of(grown(tmp_path, f"seed={seed}", f"growth.where={where}")):
            first = next(c for c in step["plan"]["candidates"] if not c["rejected"])
            costs = {(c["kind"], c["place"]): c["parameters"] for c in step["plan"]["candidates"]}
            by_cost = where == "gain_per_parameter"
            worth = {(e["kind"], e["place"]): e["gain"] for e in step["tryout"]}
            worth = {key: gain / (costs[key] if by_cost else 1) for key, gain in worth.items()}
            best = max(worth, key=worth.get)
            assert len(worth) == 3
            assert (step["inserted"]["kind"], step["inserted"]["place"]) == best
            others += best != (first["kind"], first["place"])
    assert others > 0


def test_steps_of_no_length_choose_by_the_gain_at_insertion(tmp_path):
    """The run goes on as it would have without: no random number of its own is spent."""
    still = ("training.optimizer={name: sgd, lr: 1e-12}",)
    tried, plain = grown(tmp_path, *still), grown(tmp_path, *still, "growth.trial_training=null")
    for step in steps_of(tried):
        gains = {(c["kind"], c["place"]): c["gain"] for c in step["plan"]["candidates"]}
        for entry in step["tryout"]:
            assert entry["gain"] == pytest.approx(gains[entry["kind"], entry["place"]], rel=1e-4, abs=1e-6)
    for name, value in plain.model.state_dict().items():
        assert torch.equal(tried.model.state_dict()[name], value), name


def test_the_work_is_counted(tmp_path):
    """A gradient step more on 20 samples, of the network as it is and of three that have grown."""
    short, long = (grown(tmp_path, "growth.budget.steps=1", f"growth.trial_training.steps={n}") for n in ("5", "6"))
    (short,), (long,) = steps_of(short), steps_of(long)
    before = training_macs(dagrow.build(dagrow.load_graph(tmp_path / "run.yaml"), seed=0).dag)
    more = long["work"] - short["work"]
    assert more % 20 == 0
    # All that grows costs more than what it has grown from.
    assert more > 4 * 20 * before


def test_copies_that_explode_are_not_chosen(tmp_path):
    rate = ("training.optimizer={name: sgd, lr: 1e6}", "training.epochs_between_growth=0", "training.final_epochs=0")
    for step in steps_of(grown(tmp_path, *rate)):
        assert [entry["gain"] for entry in step["tryout"]] == [None] * 3
        first = next(c for c in step["plan"]["candidates"] if not c["rejected"])
        assert step["inserted"]["place"] == first["place"]


def test_entrants_are_of_every_kind():
    ranked = [SimpleNamespace(kind=kind, rank=i) for i, kind in enumerate(["edge", "edge", "node", "edge", "layer"])]
    assert [c.rank for c in best_of_each_type(ranked, 4)] == [0, 2, 4, 1]
    assert [c.rank for c in best_of_each_type(ranked, 9)] == [0, 2, 4, 1, 3]


def test_it_needs_a_strategy_by_gain(tmp_path):
    with pytest.raises(DagrowError, match="'trial_training' chooses by what was gained: 'where' must be gain, "):
        grown(tmp_path, "growth.where=round_robin")
    with pytest.raises(DagrowError, match="candidates"):
        grown(tmp_path, "growth.trial_training.candidates=1")
    assert math.isfinite(grown(tmp_path, "growth.trial_training={}").train.loss)
