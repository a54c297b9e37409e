"""Growth by validation: when it trains, grows and ends, what it takes back, and in whose units it answers."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import dagrow
from dagrow.build import build
from dagrow.data import Samples, load_data
from dagrow.graph import Dag
from dagrow.growth import loop
from dagrow.growth.final_training import (
    LEAST_DECAY,
    MOST_AT_FIRST,
    TOO_HIGH,
    ends_worse,
    floor,
    over_fit,
    set_rates,
    take_back,
    under_fit,
)
from dagrow.growth.growth_step import budget_spent
from dagrow.growth.rehearsal import begin_finish
from dagrow.methods import SiteMoments
from dagrow.methods.modes import ZeroFanOut
from dagrow.methods.moments import MethodRequest, Neurons
from dagrow.methods.padding import deviation, padded
from dagrow.objectives import LOSSES
from dagrow.report import Silent
from dagrow.runs.recorder import RunRecorder
from dagrow.spec import FrozenDict, GraphSpec
from dagrow.spec.adaptive import TIMETABLE
from dagrow.training.epochs import Objective
from dagrow.training.prior import constant_loss
from dagrow.training.progress import Progress
from dagrow.training.sample_sizes import settled
from dagrow.training.schedules import Unit, after_growth, after_training, next_unit
from dagrow.training.schedules.adaptive import PERSISTENCE
from dagrow.training.state import RunContext, RunState
from dagrow.training.targets import TargetUnits, begin_at_priors
from dagrow.training.validation import split_held_out

GRAPH = {
    "inputs": {"x": {"shape": [4]}},
    "nodes": {"h": {"size": 2, "activation": "selu"}, "y": {"size": 3}},
    "edges": {"x -> h": "linear", "h -> y": "linear"},
    "outputs": ["y"],
}
REGRESSION = {
    "inputs": {"x": {"shape": [10]}},
    "nodes": {"h": {"size": 2, "activation": "relu"}, "y": {"size": 1}},
    "edges": {"x -> h": "linear", "h -> y": "linear"},
    "outputs": ["y"],
}
SMALL = {"final_epochs": 2}


def run(training=(), graph=GRAPH, data="iris", **growth):
    sections = {"graph": graph, "data": {"dataset": data}, "training": dict(training), "growth": growth}
    return dagrow.RunSpec.model_validate(sections)


def of(events, *kinds):
    return [event for event in events if event["event"] in kinds]


@pytest.mark.parametrize("section", TIMETABLE)
def test_a_timetable_is_kept_unless_growth_by_validation_is_asked_for(section):
    values = {
        "continuous_growth": {},
        "anneal": {},
        "penalty": {},
        "scope": "every_node",
        "trial_training": {},
        "insert": "zero_fan_out_unscaled",
    }
    for field in TIMETABLE[section]:
        sections = {"graph": GRAPH, section: {field: values.get(field, 1)}}
        assert dagrow.RunSpec.model_validate(sections).growth.schedule == "auto"
    asked = dagrow.RunSpec.model_validate({"graph": GRAPH, "training": SMALL, "growth": {"schedule": "adaptive"}})
    assert (asked.growth.schedule, asked.training.final_epochs, asked.training.optimizer.name) == (
        "adaptive",
        2,
        "adamw",
    )


def test_a_resolved_run_is_the_same_run():
    found = run()
    assert dagrow.RunSpec.model_validate(found.model_dump(mode="json")) == found


def test_a_round_ends_where_neither_loss_nor_error_falls():
    spec, done = run(), Progress(started=True)
    for loss, error in ((1.0, 0.5), (0.9, 0.5), (0.9, 0.4)):
        done = after_training(spec, done, loss, error)
        assert next_unit(spec, done) is Unit.EPOCH
    done = after_training(spec, done, 0.895, 0.4)
    assert (next_unit(spec, done), done.rounds, done.best_loss) == (Unit.GROWTH, 1, 0.895)


def test_growth_ends_when_rounds_improve_nothing():
    spec, done = run(), Progress(started=True)
    for rounds in range(1, 4):
        done = replace(done, since_growth=0, lowest=None, fewest=None, epochs_without_improvement=0)
        done = after_training(spec, after_training(spec, done, 0.5, 0.25), 0.5, 0.25)
        assert (done.rounds, done.growth_finished) == (rounds, rounds == 3)
    assert next_unit(spec, done) is Unit.FINISH
    done = replace(done, finishing=True, final_units=1, since_growth=0)
    assert next_unit(spec, done) is Unit.EPOCH
    assert next_unit(spec, after_training(spec, done, 0.5)) is Unit.END


def test_places_grow_one_after_the_other_and_an_empty_round_ends_growth():
    spec, done = run(), Progress(started=True, epochs_without_improvement=1)
    done = after_growth(spec, done, gained=False, places=2)
    assert next_unit(spec, done) is Unit.GROWTH
    assert after_growth(spec, done, gained=True, places=2).growth_finished is False
    assert after_growth(spec, done, gained=False, places=2).growth_finished is True


def test_a_run_grows_by_its_width_finishes_on_all_samples_and_ends():
    result = dagrow.grow(run(SMALL, schedule="adaptive", neurons=3, budget={"parameters": 200}), write=False)
    events = result.events
    widths = [
        event["graph"]["nodes"]["h"]["size"] for event in of(events, "start", "growth") if event.get("inserted", 1)
    ]
    assert widths[:3] == [2, 5, 10]
    (finish,) = of(events, "finish")
    after = events[events.index(finish) + 1 :]
    samples = sum(event["samples"] for event in of(after, "epoch", "taken_back"))
    assert samples == finish["units"] * events[0]["samples"] / 0.8
    assert of(after, "validation") == []
    assert result.test.accuracy > 0.85


def test_growth_ends_where_the_budget_has_no_room_for_one_more_feature():
    spec, begins = (
        run(schedule="adaptive", budget={"parameters": 60}),
        build(GraphSpec.model_validate(GRAPH), seed=0).dag,
    )
    assert not budget_spent(spec, begins)
    result = dagrow.grow(run(SMALL, schedule="adaptive", budget={"parameters": 60}), write=False)
    steps = of(result.events, "growth")
    assert steps
    assert all(event["inserted"] for event in steps)
    assert budget_spent(spec, result.model.dag)


def test_what_is_inserted_changes_nothing_at_once():
    result = dagrow.grow(run(SMALL, schedule="adaptive", budget={"parameters": 200}), write=False)
    before = None
    for event in result.events:
        if event["event"] == "growth":
            assert event["test"]["loss"] == pytest.approx(event["before"]["loss"], rel=1e-5)
            before = event
    assert before is not None


@pytest.fixture
def begun():
    return begun_of(run(SMALL, schedule="adaptive"))


def begun_of(spec):
    spec = settled(spec, 120)
    split, held_out = split_held_out(spec, load_data(spec.data, Dag.of(spec.graph), LOSSES["cross_entropy"], 0))
    return RunContext.of(spec, split, held_out), RunState.fresh(spec, torch.device("cpu"))


def test_a_unit_that_loses_what_was_learned_is_taken_back(begun):
    task, state = begun
    assert take_back(task, state, 0.5, state.progress) is None
    good = {name: value.clone() for name, value in state.network.state_dict().items()}
    with torch.no_grad():
        for parameter in state.network.parameters():
            parameter.add_(1.0)
    before = state.progress
    assert "taken back" in take_back(task, state, 0.5 * TOO_HIGH + 0.01, before)
    assert all(torch.equal(good[name], value) for name, value in state.network.state_dict().items())
    set_rates(task, state)
    assert state.optimizer.param_groups[0]["lr"] == task.spec.training.optimizer.lr / 2


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_unit_of_the_loss_does_not_decide_what_is_taken_back(unit, begun):
    task, state = begun
    task = replace(task, objective=replace(task.objective, factor=unit))
    assert take_back(task, state, 0.5 * unit, state.progress) is None
    assert "taken back" in take_back(task, state, 0.5 * unit * (TOO_HIGH + 0.1), state.progress)


def test_the_learning_rate_falls_to_nearly_nothing(begun):
    task, state = begun
    task, _ = begin_finish(task, state)
    rates = []
    for unit in range(state.progress.final_units):
        state.progress = replace(state.progress, since_growth=unit)
        set_rates(task, state)
        rates.append(state.optimizer.param_groups[0]["lr"])
    highest = rates.index(max(rates))
    assert rates == [*sorted(rates[: highest + 1]), *sorted(rates[highest + 1 :], reverse=True)]
    assert highest < 0.15 * len(rates)
    assert 0.9 * task.spec.training.optimizer.lr < rates[highest] <= task.spec.training.optimizer.lr
    assert rates[0] < 0.5 * rates[highest]
    assert rates[-1] < 0.02 * rates[highest]
    assert len(task.split.train) == 120
    assert task.held_out is None


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_first_unit_of_the_final_training_that_loses_what_was_learned_is_taken_back(dropout):
    graph = {**GRAPH, "nodes": {**GRAPH["nodes"], "h": {"size": 2, "activation": "selu", "dropout": dropout}}}
    task, state = begun_of(run(SMALL, graph, schedule="adaptive"))
    task, _ = begin_finish(task, state)
    loss, before = task.score(state.network, task.split.train).loss, state.progress
    told = take_back(task, state, loss * (TOO_HIGH + 0.1), before)
    assert bool(told) == (not dropout)
    if told:
        assert state.progress.scale == 0.5


def test_what_smaller_steps_do_not_mend_at_once_is_not_their_fault(begun):
    task, state = begun
    task, _ = begin_finish(task, state)
    loss = (TOO_HIGH + 0.1) * task.score(state.network, task.split.train).loss
    told = []
    for _ in range(MOST_AT_FIRST + 1):
        before = state.progress
        told.append(take_back(task, state, loss, before))
        state.progress = replace(state.progress, since_growth=before.since_growth + 1)
    assert [bool(each) for each in told] == [True] * MOST_AT_FIRST + [False]
    assert state.progress.lowest_training == loss


@pytest.mark.parametrize("worse", [False, True])
def test_a_final_training_that_ends_above_the_best_validation_loss_is_not_handed_back(worse, begun):
    task, state = begun
    score = task.score(state.network, task.held_out)
    state.best.note(state.network, score, 0, 0)
    best = {name: value.clone() for name, value in state.network.state_dict().items()}
    task, _ = begin_finish(task, state)
    with torch.no_grad():
        state.network.y.from_h.bias.add_(torch.tensor([9.0, -9.0, 0.0]) if worse else 0.0)
    assert ends_worse(task, state) == worse
    found = loop.Loop(task, state, RunRecorder(task, None), Silent())
    found._hand_back()
    same = [torch.equal(best[name], value) for name, value in state.network.state_dict().items()]
    assert all(same)


def test_samples_are_kept_back_class_by_class(begun):
    task, _ = begun
    counts = [torch.bincount(samples.targets[0]).tolist() for samples in (task.split.train, task.held_out)]
    assert counts == [[32, 32, 32], [8, 8, 8]]


@pytest.mark.share(0.35)
@pytest.mark.parametrize("stop", [3, -1])
def test_a_stopped_run_goes_on_to_the_same_end(stop, tmp_path, monkeypatch):
    spec = run({**SMALL, "checkpoint": {"seconds": 0}}, schedule="adaptive", budget={"parameters": 60, "steps": 3})
    whole = dagrow.grow(spec, out=tmp_path / "whole")
    trained, seen = len(of(whole.events, "epoch", "taken_back")), []
    train_one = loop.train_unit

    def interrupted(*given):
        seen.append(1)
        if len(seen) == (stop if stop > 0 else trained + stop):
            raise KeyboardInterrupt
        return train_one(*given)

    monkeypatch.setattr(loop, "train_unit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dagrow.grow(spec, out=tmp_path / "run")
    monkeypatch.setattr(loop, "train_unit", train_one)
    again = dagrow.grow(spec, out=tmp_path / "run", resume=True)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_a_regression_answers_in_the_units_of_its_targets(tmp_path):
    spec = run({"loss": "mse"}, REGRESSION, "diabetes", schedule="adaptive", budget={"parameters": 100})
    spec = spec.model_copy(update={"data": spec.data.model_copy(update={"standardize": True})})
    result = dagrow.grow(spec, out=tmp_path / "run")
    split = load_data(spec.data, Dag.of(spec.graph), LOSSES["mse"], 0)
    x, y = split.test.xy()
    with torch.no_grad():
        error = torch.nn.functional.mse_loss(result.model(x), y).item()
    assert error == pytest.approx(result.test.loss, rel=1e-4)
    assert error < 0.75 * float(y.var())
    saved = build(dagrow.load_graph(tmp_path / "run" / "graph.yaml"))
    saved.load_state_dict(load_file(tmp_path / "run" / "weights.safetensors"))
    with torch.no_grad():
        assert torch.allclose(saved.eval()(x), result.model(x), rtol=1e-5)


@pytest.mark.parametrize("unit", [1.0, 1e3, 1e-3])
def test_the_unit_of_targets_changes_nothing_but_the_answer(unit):
    spec = run({"loss": "mse"}, REGRESSION, "diabetes")
    dag = Dag.of(spec.graph)
    split = load_data(spec.data, dag, LOSSES["mse"], 0)
    scaled = replace(split.train, targets=(split.train.targets[0] * unit,))
    one, other = (TargetUnits.of(spec, dag, replace_train(split, train)) for train in (split.train, scaled))
    assert other.scale == pytest.approx(unit * one.scale)
    network = build(spec.graph, seed=0)
    x, _ = split.train.xy()
    with torch.no_grad():
        expected = network(x) * other.scale + other.shift.float()
        assert torch.allclose(other.folded(network)(x), expected, rtol=1e-4, atol=1e-4 * other.scale)


def replace_train(split, train):
    return type(split)(train, split.test)


def test_classes_begin_at_their_shares():
    spec = run()
    split = load_data(spec.data, Dag.of(spec.graph), LOSSES["cross_entropy"], 0)
    kept = split.train.rows(torch.arange(len(split.train)) % 3 != 1)
    network = build(spec.graph, seed=0)
    begin_at_priors(spec, network, replace_train(split, kept))
    shares = torch.bincount(kept.targets[0], minlength=3) / len(kept)
    assert torch.allclose(network.y.from_h.bias.softmax(0), shares, atol=0.01)


def moments(features=5, outputs=3):
    generator = torch.Generator().manual_seed(0)
    B = torch.randn(100, features, generator=generator, dtype=torch.float64) * 7
    B = torch.cat([B, torch.ones(100, 1, dtype=torch.float64)], 1)
    N = torch.zeros(features + 1, outputs, dtype=torch.float64)
    return SiteMoments(B.T @ B / 100, N, N, None, B.mean(0), 1.0, torch.float64)


def test_padding_completes_what_was_found_at_its_own_scale():
    own = moments()
    alpha = torch.eye(6, 2, dtype=torch.float64)
    found = Neurons(alpha, torch.ones(2, 3, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    made = padded(found, own, MethodRequest(neurons=6, pad=True))
    assert made.count == 6
    assert torch.equal(made.alpha[:, :2], alpha)
    assert not made.omega[2:].any()
    typical = float(deviation(alpha, own).square().mean().sqrt())
    assert torch.allclose(deviation(made.alpha[:, 2:], own), torch.full((4,), typical, dtype=torch.float64))
    assert padded(found, own, MethodRequest(neurons=6)) is found


def test_padding_alone_keeps_the_function_with_pre_activations_of_about_one():
    own = moments()
    made = padded(Neurons.none(own, "none"), own, MethodRequest(neurons=4, pad=True))
    assert isinstance(made.mode, ZeroFanOut)
    assert not made.omega.any()
    assert torch.allclose(deviation(made.alpha, own), torch.ones(4, dtype=torch.float64))
    assert math.isclose(float(deviation(made.alpha * 2, own)[0]), 2.0)


@pytest.mark.parametrize(
    ("training", "share"), [(1.0, 0.0), (1.2, 0.0), (0.85, 0.5), (0.7, 1.0), (0.1, 1.0), (None, 1.0)]
)
def test_remedies_are_as_strong_as_the_network_over_fits(training, share):
    assert over_fit(training, 1.0) == pytest.approx(share)


@pytest.mark.parametrize(("share", "expected"), [(1.0, 0.5), (0.4, 0.2), (0.0, 0.5 * LEAST_DECAY)])
def test_the_weight_decay_follows(share, expected, begun):
    task, state = begun
    optimizer = task.spec.training.optimizer.model_copy(update={"options": FrozenDict({"weight_decay": 0.5})})
    training = task.spec.training.model_copy(update={"optimizer": optimizer, "weight_decay": "auto"})
    state.progress = replace(state.progress, over_fit=share)
    set_rates(replace(task, spec=task.spec.model_copy(update={"training": training})), state)
    assert [group["weight_decay"] for group in state.optimizer.param_groups] == pytest.approx([expected])


def test_where_nothing_is_learned_yet_growth_has_more_patience():
    spec, done = run(), Progress(started=True, unlearned=True)
    rounds, units = 0, 0
    while not done.growth_finished:
        begun = replace(done, since_growth=0, lowest=None, fewest=None, epochs_without_improvement=0)
        done = after_training(spec, begun, 0.69, 0.5)
        while next_unit(spec, done) is Unit.EPOCH:
            done, units = after_training(spec, done, 0.69, 0.5), units + 1
        rounds += 1
    assert rounds == 1 + PERSISTENCE * spec.growth.patience
    assert units == rounds * PERSISTENCE
    learned = replace(done, growth_finished=False, unlearned=False)
    assert next_unit(spec, replace(learned, epochs_without_improvement=1)) is Unit.GROWTH


def test_how_far_a_network_under_fits():
    assert [under_fit(train, 1.0) for train in (1.0, 0.85, 1.15, 1.45)] == pytest.approx([1.0, 0.5, 1.0, 0.5])
    assert [under_fit(train, 1.0) for train in (0.5, 2.0)] == [0.0, 0.0]
    assert under_fit(1.0, 0.0) == 0.0


@pytest.mark.parametrize(("share", "rounds"), [(1.0, 4), (0.5, 3), (0.0, 2)])
def test_growth_has_more_patience_where_the_best_network_under_fits(share, rounds):
    """However much the larger ones over-fit that come after it."""
    spec, done = run(), Progress(started=True, under_fit=share, best_loss=2.0, best_error=1.0)
    made = 0
    while not done.growth_finished:
        begun = replace(done, since_growth=0, lowest=None, fewest=None, epochs_without_improvement=1)
        done = after_training(spec, begun, 1.0, 0.5)
        while next_unit(spec, done) is Unit.EPOCH:
            done = after_training(spec, done, 1.0, 0.5)
        done, made = replace(done, under_fit=0.0), made + 1
    assert (spec.growth.patience, made) == (2, 1 + rounds)


@pytest.mark.parametrize(
    ("loss", "train", "judged", "expected"),
    [
        ("cross_entropy", [0, 0, 1], [0, 1], -(math.log(3 / 5) + math.log(2 / 5)) / 2),
        ("mse", [[1.0], [3.0]], [[2.0], [4.0]], 2.0),
        ("binary_cross_entropy", [[1.0], [1.0], [0.0]], [[1.0]], -math.log(3 / 5)),
    ],
)
def test_the_loss_of_the_best_constant_answer(loss, train, judged, expected):
    size = 2 if loss == "cross_entropy" else 1
    dag = Dag.of(run(graph={**GRAPH, "nodes": {**GRAPH["nodes"], "y": {"size": size}}}).graph)
    train, judged = (Samples((torch.zeros(len(y), 4),), (torch.tensor(y),)) for y in (train, judged))
    assert constant_loss(Objective(LOSSES[loss]), dag, train, judged) == pytest.approx(expected)
    assert constant_loss(Objective(LOSSES[loss], 9.0), dag, train, judged) == pytest.approx(9 * expected)


def test_differences_of_tiny_losses_say_nothing():
    assert floor(Objective(LOSSES["cross_entropy"]), 0.7) == 1e-3
    assert floor(Objective(LOSSES["mse"], 4.0), 400.0) == pytest.approx(4e-3)
    assert floor(Objective(LOSSES["mse"]), None) == 0.0


def test_a_class_of_one_sample_is_learned_from_and_does_not_make_the_network_large(tmp_path):
    x = np.random.default_rng(0).normal(size=(150, 4)).astype("f4")
    y = np.arange(150) == 7
    np.savez(tmp_path / "t.npz", x_train=x, y_train=y.astype(int), x_test=x, y_test=y.astype(int))
    graph = {**GRAPH, "nodes": {**GRAPH["nodes"], "y": {"size": 2}}}
    sections = {"graph": graph, "data": {"npz": str(tmp_path / "t.npz")}, "training": SMALL}
    spec = dagrow.RunSpec.model_validate({**sections, "growth": {"schedule": "adaptive"}})
    split, held_out = split_held_out(spec, load_data(spec.data, Dag.of(spec.graph), LOSSES["cross_entropy"], 0))
    assert int(split.train.targets[0].sum()) == 1
    assert (len(held_out), int(held_out.targets[0].sum())) == (30, 0)
    result = dagrow.grow(spec, write=False)
    assert sum(p.numel() for p in result.model.parameters()) < 1000


def test_a_free_graph_gets_its_first_node_though_nothing_gains(tmp_path):
    x = np.random.default_rng(0).choice([-1.0, 1.0], size=(160, 3)).astype("f4")
    y = (x.prod(1) > 0).astype(int)
    np.savez(tmp_path / "t.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    nodes, edges = {"y": {"size": 2}}, {"x -> y": "linear"}
    spec = dagrow.RunSpec.model_validate(
        {
            "graph": {"inputs": {"x": {"shape": [3]}}, "nodes": nodes, "edges": edges, "outputs": ["y"]},
            "data": {"npz": str(tmp_path / "t.npz")},
            "training": {"final_epochs": 0},
            "growth": {
                "schedule": "adaptive",
                "candidates": ["node"],
                "significance": 9,
                "held_out": 0.2,
                "budget": {"steps": 1},
            },
        }
    )
    (growth,) = of(dagrow.grow(spec, write=False).events, "growth")
    assert (growth["inserted"]["kind"], growth["inserted"]["neurons"]) == ("node", 8)
    assert growth["inserted"]["gain"] == 0
