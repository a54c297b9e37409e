"""Advice is told where it fits, and nowhere else; following it ends it."""

import json

import pytest

import dagrow
from dagrow.report.advice import ADVICE, advice

GRAPH = {
    "inputs": {"x": {"shape": [4]}},
    "nodes": {"h": {"size": 2, "activation": "relu"}, "y": {"size": 3}},
    "edges": {"x -> h": "linear", "h -> y": "linear"},
    "outputs": ["y"],
}
TIMED = {"epochs_between_growth": 1}
SEARCHED = {"fallback_method": "nonlinear"}
STILL = {"epochs_between_growth": 0, "final_epochs": 0}


def told(training=TIMED, growth=(), norm="none"):
    nodes = {**GRAPH["nodes"], "h": {**GRAPH["nodes"]["h"], "norm": norm}}
    sections = {"graph": {**GRAPH, "nodes": nodes}, "training": dict(training), "growth": dict(growth)}
    return advice(dagrow.RunSpec.model_validate(sections))


@pytest.mark.parametrize(
    ("words", "before", "after"),
    [
        (
            "nothing is trained",
            {"training": STILL, "growth": {"keep_below_noise": True}},
            {"training": STILL, "growth": {"keep_below_noise": False}},
        ),
        ("training follows", {"growth": {"keep_below_noise": False}}, {}),
        ("never falls", {}, {"training": {**TIMED, "ema_decay": 0.999}}),
        ("never falls", {}, {"training": {**TIMED, "scheduler": {"name": "cosine", "T_max": 10}}}),
        ("never falls", {}, {"training": {}}),
        ("only widen", {"growth": SEARCHED}, {"growth": {"fallback_method": "none"}}),
        ("only widen", {"growth": SEARCHED}, {"growth": {**SEARCHED, "candidates": ["widen", "node"]}}),
        ("only widen", {"growth": SEARCHED}, {"training": STILL, "growth": SEARCHED}),
        ("batch norm", {"norm": "batch", "growth": {"method": "tiny"}}, {"growth": {"method": "tiny"}}),
        (
            "places share",
            {"growth": {"method": "firefly"}},
            {"growth": {"method": "firefly", "insertions_per_step": 4}},
        ),
        ("places share", {"growth": {"method": "firefly"}}, {}),
    ],
)
def test_advice_ends_where_it_is_followed(words, before, after):
    assert sum(words in sentence for sentence in told(**before)) == 1
    assert not any(words in sentence for sentence in told(**after))


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("training", [{}, TIMED, STILL])
def test_defaults_are_not_advised_against(training, norm):
    """What a file leaves to dagrow is right as it is; advice that adds something is about the file's own timetable."""
    said = told(training=training, norm=norm)
    assert all("never falls" in sentence for sentence in said)
    assert training == TIMED or said == []


def test_what_does_not_grow_needs_none():
    assert told() != []
    assert told(growth={"budget": {"steps": 0}}) == []


def test_what_is_advised_can_be_set():
    """Every entry that a sentence quotes is one of a run file."""
    for each in ADVICE:
        for entry in each.says.split("'")[1::2]:
            key, value = entry.split(": ")
            key = key if "." in key else f"growth.{key}"
            base = dagrow.RunSpec.model_validate({"graph": GRAPH})
            section, name = key.split(".")
            changed = base.model_dump()
            changed[section][name] = json.loads(value) if value in ("true", "false") or value.isdigit() else value
            dagrow.RunSpec.model_validate(changed)
