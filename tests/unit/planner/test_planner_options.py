"""A proposal is asked for by one set of options: the defaults of a run file, whole or by keyword."""

import inspect

import numpy as np
import pytest
import torch
from torch.nn import functional

import dagrow
from dagrow.errors import GrowthError
from dagrow.planner import propose
from dagrow.spec import GrowthSpec, ProposalOptions
from dagrow.spec.growth import BudgetSpec
from dagrow.spec.proposal_settings import ProposalSettings

FIELDS = {
    "inputs": {"x": {"shape": [4]}}, "nodes": {"h": {"size": 3, "activation": "relu"}, "y": {"size": 2}},
    "edges": {"x -> h": "linear", "h -> y": "linear"}, "outputs": "y",
}  # fmt: skip
OTHER = {
    "method": "random", "fallback_method": "none", "copy_noise": 0.5,
    "candidates": ("widen", "edge"), "where": "gain_per_mac",
    "nodes": ("h",), "neurons": 7, "shrinkage": 0.3, "fan_out": "pointwise", "held_out": 0.4, "significance": 2.0,
    "keep_below_noise": False, "min_gain_per_parameter": 0.1, "new_node": {"activation": "relu"},
    "max_width": 5,
    "max_solved": 3, "max_searched": 2, "with_update": "one_amplitude", "normalisation": "as_made",
    "amplitude": {"maximum": 2.0}, "update_amplitude": {"fixed": 1.0}, "noise_level": "quantile",
}  # fmt: skip


def proposed(**fields):
    model = dagrow.build(dagrow.GraphSpec.model_validate(FIELDS), seed=0).eval()
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    return propose(model, functional.mse_loss, [(x, x[:, :2].abs())], **fields)


def test_the_defaults_are_those_of_a_run_file():
    run, python = GrowthSpec(), ProposalOptions()
    assert {name: getattr(python, name) for name in ProposalSettings.model_fields} == {
        name: getattr(run, name) for name in ProposalSettings.model_fields
    }
    assert (python.neurons, python.keep_below_noise, python.copy_noise, python.held_out) == (4, True, 0.01, 0.2)


def test_a_run_file_hands_on_all_that_it_says():
    assert OTHER.keys() == ProposalSettings.model_fields.keys()
    growth = GrowthSpec(**OTHER, budget=BudgetSpec(parameters=99, macs=77))
    options = ProposalOptions.of_run(growth, seed=5)
    for name in ProposalSettings.model_fields:
        assert getattr(options, name) == getattr(growth, name) != getattr(ProposalOptions(), name), name
    assert (options.max_parameters, options.max_macs, options.seed) == (99, 77, 5)


def test_options_and_keywords_ask_for_the_same():
    keywords = proposed(neurons=2, significance=0, shrinkage=0.01, seed=3)
    options = proposed(options=ProposalOptions(neurons=2, significance=0, shrinkage=0.01, seed=3))
    mixed = proposed(options=ProposalOptions(neurons=1, significance=0, shrinkage=0.01), neurons=2, seed=3)
    for plan in (options, mixed):
        assert (plan.best.gain, plan.best.neurons, plan.loss) == (keywords.best.gain, 2, keywords.loss)


def test_nothing_is_held_out_where_nothing_is_to_be_chosen():
    assert ProposalOptions(shrinkage=0.1).held_out == ProposalOptions.of({"shrinkage": 0}).held_out == 0.0
    assert ProposalOptions.of({"shrinkage": 0, "held_out": 0.3}).held_out == 0.3
    assert ProposalOptions.of_run(GrowthSpec(shrinkage=0.1)).held_out == 0.2


def test_plain_and_other_numbers_are_the_same():
    plain = ProposalOptions(neurons=3, shrinkage=0.5, candidates=("edge",), nodes=("y",))
    given = {"neurons": np.int64(3), "shrinkage": torch.tensor(0.5), "candidates": "edge", "nodes": "y"}
    assert ProposalOptions.of({**given, "new_node": None, "max_parameters": None}) == plain


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"neuron": 3}, r"unknown option 'neuron' of a proposal \(did you mean 'neurons'\?\); allowed: method"),
        ({"neurons": 2.5}, r"neurons must be at least 1, not 2\.5"),
        ({"neurons": 10**6}, r"neurons: expected at most 100000, found 1000000"),
        ({"min_gain_per_parameter": float("inf")}, r"min_gain_per_parameter is a number from 0, not inf"),
        ({"options": {"neurons": 3}}, r"options are given as ProposalOptions, not dict"),
        ({"fallback_method": "nome"}, r"unknown fallback method 'nome' \(did you mean 'none'\?\)"),
    ],
)
def test_what_is_not_allowed_is_told_in_one_sentence(fields, message):
    with pytest.raises(GrowthError, match=f"^{message}") as caught:
        proposed(**fields)
    assert "\n" not in str(caught.value)


def test_options_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        ProposalOptions().neurons = 3


def test_the_signature_shows_every_option_and_its_default():
    shown = inspect.signature(dagrow.propose).parameters
    assert {name: shown[name].default for name in ProposalOptions.model_fields} == {
        name: field.default for name, field in ProposalOptions.model_fields.items()
    }
    assert [name for name in shown if name not in ProposalOptions.model_fields] == [
        "model", "loss", "data", "options", "precision", "processes",
    ]  # fmt: skip


def test_no_node_is_widened_beyond_its_limit():
    asked = {"significance": 0, "shrinkage": 0.01, "neurons": 3}
    # As many as the two outputs tell apart.
    assert proposed(**asked).best.neurons == 2
    assert proposed(**asked, max_width=4).best.neurons == 1
    full = proposed(**asked, max_width=3)
    assert full.best is None
    assert {candidate.rejected for candidate in full.candidates} == {"full: it has 3 features, max_width is 3"}
    with pytest.raises(dagrow.DagrowError, match="^max_width is a whole number from 1, not 0"):
        proposed(max_width=0)
