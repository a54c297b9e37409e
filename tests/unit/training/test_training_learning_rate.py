"""Schedulers and averages of a run file, through a run that grows."""

import json
from itertools import pairwise

import pytest
import torch
from pydantic import ValidationError
from torch import optim

import dagrow
from dagrow.errors import OptimizerError, SpecError
from dagrow.journal.events import LINE
from dagrow.journal.writer import JournalPosition
from dagrow.objectives import SCHEDULERS
from dagrow.runs.checkpoint import Checkpoint, capture, restore
from dagrow.spec import RunSpec
from dagrow.spec.run import SchedulerSpec
from dagrow.training import epochs
from dagrow.training import train_unit as descent
from dagrow.training.learning_rate import LearningRate
from dagrow.training.state import RunState
from dagrow.training.weight_ema import WeightEMA

OPTIONS = {
    "constant": {"factor": 0.5, "total_iters": 3},
    "linear": {"total_iters": 4},
    "step": {"step_size": 2, "gamma": 0.5},
    "multi_step": {"milestones": (1, 3)},
    "exponential": {"gamma": 0.7},
    "polynomial": {"total_iters": 6, "power": 2.0},
    "cosine": {"T_max": 8},
    "cosine_restarts": {"T_0": 3},
    "plateau": {"patience": 0, "factor": 0.5},
}


def run(**training):
    return RunSpec.model_validate(
        {
            "graph": {
                "inputs": {"x": {"shape": [4]}},
                "nodes": {"h": {"size": 1, "activation": "selu"}, "y": {"size": 3}},
                "edges": {"x -> h": "linear", "h -> y": "linear"},
                "outputs": ["y"],
            },
            "data": {"dataset": "iris"},
            "training": {"epochs_between_growth": 2, "final_epochs": 2, **training},
            "growth": {"neurons": 2, "budget": {"steps": 2}, "significance": 0},
        }
    )


def scheduler(name):
    return SchedulerSpec.model_validate({"name": name, **OPTIONS[name]})


def rate(optimizer):
    return optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_state_of_a_scheduler_is_kept_as_plain_numbers(name):
    """Stopped after three passes and gone on from its state as JSON: the same rates."""
    rates, kept = [], None
    for part in (range(6), range(3), range(3, 6)):
        optimizer = optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
        schedule = LearningRate(optimizer, scheduler(name))
        if part.start:
            schedule.load_state_dict(json.loads(kept[0]))
            optimizer.param_groups[0]["lr"] = kept[1]
        for epoch in part:
            optimizer.step()
            schedule.after_epoch(1.0)
            rates.append((epoch, rate(optimizer)))
        kept = json.dumps(schedule.state_dict()), rate(optimizer)
    assert rates[:6] == rates[6:]
    assert len({value for _, value in rates}) > 1
    with pytest.raises(ValueError, match="not that of this scheduler"):
        LearningRate(optimizer, None).load_state_dict(json.loads(kept[0]))


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_rate_of_a_run_that_grows(monkeypatch, name):
    """Six passes with two growth steps in between: the rates are those of torch's scheduler alone."""
    found = []
    original = epochs.train_epoch

    def noted(network, objective, optimizer, *others, **more):
        found.append(rate(optimizer))
        return original(network, objective, optimizer, *others, **more)

    monkeypatch.setattr(descent, "train_epoch", noted)
    spec = run(scheduler={"name": name, **OPTIONS[name]}, optimizer={"name": "sgd", "lr": 0.05})
    result = dagrow.grow(spec, write=False)
    assert any(event.get("inserted") for event in result.events)
    losses = [event["running_loss"] for event in result.events if event["event"] == "epoch"]
    optimizer = optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.05)
    alone = SCHEDULERS[name].kind(optimizer, **OPTIONS[name])
    expected = []
    for loss in losses:
        expected.append(rate(optimizer))
        optimizer.step()
        alone.step(*((loss,) if name == "plateau" else ()))
    assert found == expected
    assert len(found) == 6


def test_a_run_with_an_average_ends_with_it():
    """The average by hand, over the weights after every gradient step; the network is not disturbed by it."""
    many = {"batch_size": 16, "final_epochs": 6}
    spec, plain = run(ema_decay=0.8, **many), run(**many)
    steps, states = [], []
    original = WeightEMA.after_step

    def noted(self, network):
        original(self, network)
        steps.append({key: value.clone() for key, value in network.state_dict().items()})

    patch = pytest.MonkeyPatch()
    patch.setattr(WeightEMA, "after_step", noted)
    try:
        for each in (spec, plain):
            steps.clear()
            result = dagrow.grow(each, write=False)
            states.append((result.model.state_dict(), [dict(step) for step in steps], result))
    finally:
        patch.undo()
    (averaged, seen, result), (last, seen_plain, _) = states
    assert all(torch.equal(a[key], b[key]) for a, b in zip(seen, seen_plain, strict=True) for key in a)
    # Since the last change of size, the average is the recurrence; before that, only its start is not known here.
    size = [step["h.from_x.weight"].shape[0] for step in seen]
    start = max(i for i, (a, b) in enumerate(pairwise(size)) if a != b) + 1
    bias = torch.stack([step["y.from_h.bias"] for step in seen[start:]])
    weights = 0.2 * 0.8 ** torch.arange(len(bias) - 1, -1, -1.0)
    rest = averaged["y.from_h.bias"] - (weights[:, None] * bias).sum(0)
    assert float(rest.abs().max()) <= 0.8 ** len(bias) * 10
    assert not torch.equal(averaged["y.from_h.bias"], last["y.from_h.bias"])
    assert result.train.loss == pytest.approx(result.events[-1]["train_loss"])


def test_an_average_follows_units_that_come_and_go_and_a_run_that_rewinds():
    """The end is the average, of the size of the network; the journal holds the events."""
    spec = run(
        ema_decay=0.5,
        penalty={"strength": 0.5},
        anneal={"patience": 2, "late_patience": 1},
        final_epochs=12,
        batch_size=16,
        optimizer={"name": "adarad", "lr": 0.05, "radial_lr": 0.1},
    )
    entries = spec.model_dump(mode="json")
    entries["graph"]["nodes"]["h"].update(activation="relu", size=6)
    entries["growth"].update(continuous_growth={}, budget={"steps": 0})
    result = dagrow.grow(RunSpec.model_validate(entries), write=False)
    for event in result.events:
        LINE.validate_python(json.loads(json.dumps(event)))
    told = [event for event in result.events if event["event"] == "epoch"]
    assert any(event["added"] for event in told)
    assert any(event["removed"] for event in told)
    assert any(event["event"] == "rewind" for event in result.events)


def test_scheduler_and_rewind_exclude_each_other():
    with pytest.raises(ValidationError, match="both set the learning rate"):
        run(scheduler={"name": "exponential", "gamma": 0.9}, anneal={})


@pytest.mark.parametrize("name", ["multi_step", "plateau"])
def test_a_checkpoint_keeps_scheduler_and_average(tmp_path, name):
    spec = run(scheduler={"name": name, **OPTIONS[name]}, ema_decay=0.8)
    state = RunState.fresh(spec, torch.device("cpu"))
    for epoch in range(2):
        state.network(torch.ones(2, 4)).square().sum().backward()
        state.optimizer.step()
        state.average.after_step(state.network)
        state.learning_rate.after_epoch(1.0 + epoch)
    for file, content in capture(spec, "", JournalPosition(), state).files().items():
        (tmp_path / file).write_bytes(content)
    back = restore(Checkpoint.read(tmp_path), tmp_path, torch.device("cpu"))
    assert rate(back.optimizer) == rate(state.optimizer) != spec.training.optimizer.lr
    assert back.learning_rate.state_dict() == state.learning_rate.state_dict()
    (kept,), (average,) = back.average.models, state.average.models
    assert int(kept.n_averaged) == 2
    for key, value in average.module.state_dict().items():
        assert torch.equal(kept.module.state_dict()[key], value)
    assert not torch.equal(kept.module.h.from_x.weight, back.network.h.from_x.weight)


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        ({"name": "cosine"}, r"the scheduler cosine refuses its options: missing 1 required .* 'T_max'"),
        ({"name": "linear", "start_factor": 7.0}, r"the scheduler linear refuses its options: "),
    ],
)
def test_options_that_torch_refuses(scheduler, message):
    with pytest.raises(OptimizerError, match=message):
        dagrow.grow(run(scheduler=scheduler), write=False)


def test_unknown_options_are_named(tmp_path):
    file = tmp_path / "run.yaml"
    text = "graph:\n  inputs: {x: {shape: [4]}}\n  nodes: {y: {size: 3}}\n  edges: {x -> y: linear}\n  outputs: [y]\n"
    file.write_text(text + "training:\n  scheduler: {name: cosin, T_max: 3}\n")
    with pytest.raises(SpecError, match=r"unknown scheduler 'cosin' \(did you mean 'cosine'\?\)"):
        dagrow.load_run(file)
    file.write_text(text + "training:\n  scheduler: {name: cosine, Tmax: 3}\n")
    with pytest.raises(SpecError, match=r"unknown field 'Tmax' \(did you mean 'T_max'\?\); allowed: name, T_max, eta_"):
        dagrow.load_run(file)
