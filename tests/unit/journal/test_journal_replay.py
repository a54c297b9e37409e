"""The journal of real runs: every line as the schema says, and every graph made again from the changes."""

import copy
import json

import pytest
from json_schema import accepts

import dagrow
import dagrow.growth.growth_step as growth_step
from dagrow.errors import NumbersError, RunError
from dagrow.graph import load_run
from dagrow.journal import growth_history, history_table
from dagrow.journal.events import LINE, SCHEMA, journal_schema
from dagrow.journal.replay import replay_to, replays
from dagrow.spec import GraphSpec, graph_hash, plain_graph

SHORT = (
    "training.epochs_between_growth=1", "training.final_epochs=1", "growth.budget.steps=3", "growth.neurons=3",
    "growth.max_solved=4", "growth.max_searched=2",
    "growth.samples=200", "growth.significance=0", "data={dataset: iris, standardize: true}",
)  # fmt: skip
IRIS = {
    "inputs": {"x": {"shape": [4]}},
    "nodes": {"h": {"size": 1, "activation": "selu"}, "y": {"size": 3}},
    "edges": {"x -> h": "linear", "h -> y": "linear"},
    "outputs": "y",
}


def run(tmp_path_factory, *more: str) -> tuple[dict, ...]:
    file = tmp_path_factory.mktemp("run") / "run.yaml"
    file.write_text(json.dumps({"graph": IRIS}))
    return dagrow.grow(load_run(file, [*SHORT, *more]), write=False).events


@pytest.fixture(scope="module")
def wide(tmp_path_factory) -> tuple[dict, ...]:
    return run(tmp_path_factory, "training.closed_form_updates=true")


@pytest.fixture(scope="module")
def deep(tmp_path_factory) -> tuple[dict, ...]:
    return run(tmp_path_factory, "growth.candidates=[node, edge, layer]", "growth.prune_tolerance=100")


@pytest.fixture(scope="module")
def still(tmp_path_factory) -> tuple[dict, ...]:
    return run(tmp_path_factory, "growth.significance=1e6")


@pytest.fixture(params=["wide", "deep", "still"])
def events(request) -> tuple[dict, ...]:
    return request.getfixturevalue(request.param)


def test_every_line_is_as_the_schema_says(events):
    schema = journal_schema()
    for event in events:
        line = json.loads(json.dumps(event, allow_nan=False))
        LINE.validate_python(line)
        assert accepts(schema, line, schema), line
        assert not accepts(schema, {**line, "unknown": 1}, schema)
    assert events[0]["schema"] == SCHEMA


def test_the_runs_had_what_they_were_made_for(wide, deep, still):
    assert any(event.get("updates") for event in wide)
    assert [event["event"] for event in deep].count("removal") >= 1
    assert any(event.get("removed") for event in deep)
    assert all(event["inserted"] is None for event in still if event["event"] == "growth")


def test_every_graph_is_made_again_from_the_changes(events):
    found = replays(events)
    assert [replay.step for replay in found] == list(range(len(found)))
    assert all(replay.identical for replay in found)
    told = {event.get("step", 0): event for event in events if "graph" in event and event["event"] != "end"}
    for replay in found:
        assert plain_graph(replay.graph) == told[replay.step]["graph"]
        assert replay.hash == told[replay.step]["graph_hash"] == graph_hash(replay.graph)
        assert replay_to(events, replay.step) == replay
    assert found[-1].graph == GraphSpec.model_validate(events[-1]["graph"])


def test_the_changes_alone_are_enough(deep):
    """Graphs are told besides, for readers in a hurry; a replay looks at the first one only."""
    bare = [{k: v for k, v in event.items() if k != "graph" or event["event"] == "start"} for event in deep]
    assert replays(bare) == replays(deep)


def test_a_picture_shows_the_graph_after_the_removal(deep):
    history = growth_history(deep)
    assert [step.graph for step in history.steps] == [replay.graph for replay in replays(deep)[1:]]


def test_a_tampered_change_is_seen_from_there_on(deep):
    told = copy.deepcopy(list(deep))
    second = [event for event in told if event["event"] == "growth"][1]
    change = second["change"]
    for section, entries in (
        ("nodes", {"another": {"size": 1}}),
        ("edges", {"x -> another": "linear", "another -> y": "linear"}),
    ):
        change.setdefault(section, {}).setdefault("put", {}).update(entries)
    found = replays(told)
    assert [replay.differs for replay in found[:2]] == [None, None]
    assert all(replay.differs == 2 for replay in found[2:])
    assert "NOT the recorded graph" in str(found[-1])


def test_what_cannot_be_replayed_is_told(deep):
    told = copy.deepcopy(list(deep))
    growth = next(event for event in told if event["event"] == "growth")
    growth["change"] = {"edges": {"removed": ["x -> h"]}}
    with pytest.raises(RunError, match="the journal's 'growth' of step 1 cannot be replayed"):
        replays(told)
    growth["change"] = {"nodes": 3}
    with pytest.raises(RunError, match="the journal's 'growth' of step 1 cannot be replayed"):
        replays(told)
    del growth["graph_hash"]
    with pytest.raises(RunError, match="written by an early version"):
        replays(told)
    with pytest.raises(RunError, match="tells of no graph"):
        replays([])
    with pytest.raises(RunError, match="there is no step 99; the journal has steps 0 to"):
        replay_to(deep, 99)


def test_a_step_without_numbers_is_skipped_with_a_warning(tmp_path, monkeypatch):
    """The run goes on; what happened is in the journal and in the table."""
    real, calls = growth_step.propose, []

    def once(*arguments, **options):
        calls.append(1)
        if len(calls) == 1:
            raise NumbersError("the gradient of the loss at 'h' is infinite or NaN in batch 1, though the loss is not")
        return real(*arguments, **options)

    monkeypatch.setattr(growth_step, "propose", once)
    file = tmp_path / "run.yaml"
    file.write_text(json.dumps({"graph": IRIS}))
    events = dagrow.grow(load_run(file, SHORT), write=False).events
    for event in events:
        LINE.validate_python(json.loads(json.dumps(event)))
    first, second = [event for event in events if event["event"] == "growth"][:2]
    (warning,) = [event for event in events if event["event"] == "warning"]
    assert (first["plan"], first["inserted"], first["change"]) == (None, None, {})
    assert first["reason"] in warning["message"]
    assert warning["step"] == 1
    assert second["plan"] is not None
    assert events[-1]["event"] == "end"
    assert f"warning in step 1: nothing was inserted: {first['reason']}" in history_table(events)
