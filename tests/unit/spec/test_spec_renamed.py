"""Names of earlier versions: still read, with one line of warning, wherever a run file or an option can come from."""

import warnings

import pytest
import torch
from forked import Forked

import dagrow
from dagrow.errors import SpecError
from dagrow.planner import WHERE, propose
from dagrow.registry import rollback_on_error
from dagrow.spec import RunSpec
from dagrow.spec.loaders import read_run
from dagrow.spec.proposal import ProposalOptions
from dagrow.spec.renamed import FIELDS, PROPOSAL, renamed_run

GRAPH = """\
graph:
  inputs: {x: {shape: [4]}}
  nodes: {h: {size: 2, activation: selu, norm: NORM}, y: {size: 3}}
  edges: {x -> h: linear, h -> y: linear}
  outputs: [y]
"""
OLD = """\
data: {dataset: iris, test_share: 0.3}
training:
  average: 0.9
  best_updates: true
  batch_size_grows: true
  validation: 0.1
growth:
  completion: none
  noise: 0.5
  fill: false
  price: 0.25
  in_a_row: 2
  removal: 0.75
  keep: [5, 3]
  where: naive
  scope: all
  insert: silent
  calibrate: true
  budget: {multiply_adds: 900, steps: 1}
"""
NEW = """\
data: {dataset: iris, test_fraction: 0.3}
training:
  ema_decay: 0.9
  closed_form_updates: true
  scale_batch_size: true
  validation_fraction: 0.1
growth:
  fallback_method: none
  copy_noise: 0.5
  keep_below_noise: false
  min_gain_per_parameter: 0.25
  insertions_per_step: 2
  prune_tolerance: 0.75
  max_solved: 5
  max_searched: 3
  where: round_robin
  scope: every_node
  insert: zero_fan_out_unscaled
  measure_later_gain: true
  budget: {macs: 900, steps: 1}
"""


def written(tmp_path, text, norm):
    file = tmp_path / "run.yaml"
    file.write_text(GRAPH.replace("NORM", norm) + text)
    return file


def test_a_file_with_the_old_names_is_the_run_with_the_new_ones(tmp_path):
    new, _ = read_run(written(tmp_path, NEW, "cap_batch"))
    with pytest.warns(FutureWarning) as told:
        old, _ = read_run(written(tmp_path, OLD, "cap"))
    assert old == new
    texts = {str(entry.message) for entry in told}
    assert "growth.price was renamed to growth.min_gain_per_parameter: the old name is read until 0.2" in texts
    assert "strategy 'naive' was renamed to 'round_robin': the old name is read until 0.2" in texts
    assert len(texts) == 18


def test_the_names_of_today_are_fields():
    schema = dagrow.spec.run_schema()["$defs"]
    parts = {"data": "DataSpec", "training": "TrainingSpec", "growth": "GrowthSpec", "budget": "BudgetSpec"}
    for section, names in FIELDS.items():
        fields = schema[parts[section[-1]]]["properties"].keys()
        assert fields >= set(names.values())
        assert not fields & names.keys()
    assert ProposalOptions.model_fields.keys() >= set(PROPOSAL.values())


def test_a_run_as_plain_data_is_read_too():
    plain = {"growth": {"units": {"rate": 2}, "tryout": None}, "training": {"rewind": {}}}
    with pytest.warns(FutureWarning):
        assert renamed_run(plain) == {
            "growth": {"continuous_growth": {"rate": 2}, "trial_training": None},
            "training": {"anneal": {}},
        }
    assert plain["training"] == {"rewind": {}}
    graph = {
        "inputs": {"x": {"shape": [4]}}, "nodes": {"y": {"size": 3}}, "edges": {"x -> y": "linear"}, "outputs": "y",
    }  # fmt: skip
    with pytest.warns(FutureWarning, match=r"training\.average was renamed to training\.ema_decay"):
        run = RunSpec.model_validate({"graph": graph, "training": {"average": 0.5}})
    assert run.training.ema_decay == 0.5


def test_an_override_may_have_the_old_name(tmp_path):
    file = written(tmp_path, NEW, "none")
    with pytest.warns(FutureWarning, match=r"growth\.price was renamed"):
        run, _ = read_run(file, ["growth.price=0.5"])
    assert run.growth.min_gain_per_parameter == 0.5
    with pytest.warns(FutureWarning), pytest.raises(SpecError, match=r"--set growth\.budget\.multiply_adds=no"):
        read_run(file, ["growth.budget.multiply_adds=no"])


def test_a_mistake_under_the_old_name_is_told_with_its_line(tmp_path):
    file = written(tmp_path, OLD.replace("price: 0.25", "price: much"), "none")
    with pytest.warns(FutureWarning), pytest.raises(SpecError) as caught:
        read_run(file)
    (problem,) = caught.value.problems
    assert (problem.line, problem.message) == (16, "expected a number, found 'much'")


def test_two_names_for_one_field_are_refused(tmp_path):
    file = written(tmp_path, NEW + "  removal: 3\n", "none")
    with pytest.warns(FutureWarning), pytest.raises(SpecError) as caught:
        read_run(file)
    (problem,) = caught.value.problems
    assert problem.message == "'removal' was renamed to 'prune_tolerance', which is given too"
    assert problem.line == 26


def test_keywords_of_python_have_their_old_names(tmp_path):
    model = dagrow.build(read_run(written(tmp_path, NEW, "none"))[0].graph, seed=0)
    x = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    data = [(x, x[:, :3])]
    asked = {"neurons": 1, "shrinkage": 0.1, "significance": 0}
    with pytest.warns(FutureWarning) as told:
        old = propose(model, torch.nn.functional.mse_loss, data, completion="none", keep=(3, 1), where="naive", **asked)
    new = propose(
        model, torch.nn.functional.mse_loss, data, fallback_method="none", max_solved=3, max_searched=1,
        where="round_robin", **asked,
    )  # fmt: skip
    assert str(old) == str(new)
    assert {str(entry.message).split(" was ")[0] for entry in told} == {"completion", "keep", "strategy 'naive'"}


def test_old_entries_of_registries_are_found_but_not_listed():
    assert "naive" not in list(WHERE)
    with pytest.warns(FutureWarning):
        assert WHERE["naive"] is WHERE["round_robin"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "naive" in WHERE


def test_the_command_line_says_it_in_a_line(tmp_path):
    file = written(tmp_path, NEW.replace("copy_noise: 0.5", "noise: 0.5"), "none")
    process = Forked("-m", "dagrow", "check", file)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0
    line = "dagrow: growth.noise was renamed to growth.copy_noise: the old name is read until 0.2\n"
    assert said == line


def test_old_names_end_with_the_entries_of_a_plugin_that_fails():
    with rollback_on_error() as restore:
        WHERE.rename(older="gain")
        assert "older" in WHERE
        restore()
    assert "older" not in WHERE
