"""Callbacks: what they are told and when, what they may ask for, and what happens when one of them fails."""

import random

import numpy as np
import pytest
import torch
from callback_runs import Told, quick, samples

import dagrow


def weights(result):
    return list(result.model.state_dict().values())


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))


def test_events_come_in_order_and_agree_with_the_journal():
    told = Told()
    result = quick(told, write=False)
    names = told.names
    assert names[0] == "on_begin"
    assert names[-1] == "on_end"
    assert names.count("on_growth") == 2
    epochs = [event for name, event in told.events if name == "on_epoch_end"]
    assert [event.epoch for event in epochs] == list(range(1, len(epochs) + 1))
    lines = [line for line in result.events if line["event"] == "growth"]
    grown = [event for name, event in told.events if name == "on_growth"]
    for event, line in zip(grown, lines, strict=True):
        assert (event.step, event.gain) == (line["step"], (line["inserted"] or {}).get("gain"))
        assert list(event.candidates) == line["plan"]["candidates"]
        assert event.chosen == line["inserted"]
        assert event.test == line["test"]
    inserted = [event for name, event in told.events if name == "on_insertion"]
    assert [event.place for event in inserted] == [line["inserted"]["place"] for line in lines if line["inserted"]]
    assert inserted
    assert names.index("on_insertion") == names.index("on_growth") + 1
    end = told.events[-1][1]
    assert end.test["loss"] == result.test.loss
    assert end.parameters == sum(p.numel() for p in result.model.parameters())


def test_a_begin_says_what_the_run_is_and_shows_the_network(tmp_path):
    seen = []
    told = Told("on_growth", lambda run, event: seen.append((run, run.network.spec.nodes["h"].size)))
    quick(told, out=tmp_path / "run")
    (run, size), *_ = seen
    assert (run.name, run.out, run.config["seed"]) == ("run", tmp_path / "run", 1)
    assert size > 1
    assert told.events[0][1].resumed is False


def test_a_callback_changes_no_number_of_the_run():
    def draw(run, event):
        torch.rand(3), np.random.rand(), random.random()
        torch.manual_seed(7)

    assert same(quick(Told("on_epoch_end", draw), write=False), quick(write=False))


def test_a_validation_set_is_told_of_and_never_trained_on():
    told = Told()
    quick(told, write=False, validation=samples(40, seed=5), training={"final_epochs": 3})
    epochs = [event for name, event in told.events if name == "on_epoch_end"]
    assert all(event.validation["loss"] > 0 for event in epochs)
    start = next(line for line in quick(write=False, validation=samples(40, seed=5)).events if line["event"] == "start")
    assert start["samples"] == 96


def test_a_run_stops_where_a_callback_asks_for_it_and_ends_well(tmp_path):
    told = Told("on_epoch_end", lambda run, event: run.stop("enough of it") if event.epoch == 3 else None)
    result = quick(told, out=tmp_path / "run")
    assert told.names[-1] == "on_end"
    assert [line["epoch"] for line in result.events if line["event"] == "epoch"] == [1, 2, 3]
    (warning,) = [line for line in result.events if line["event"] == "warning"]
    assert warning["message"] == "stopped by a callback: enough of it"
    assert result.events[-1]["event"] == "end"
    assert (tmp_path / "run" / "exported" / "model.py").is_file()
    assert dagrow.load_model(tmp_path / "run").predict(samples()[0]).labels is not None


def fail(run, event):
    if event.epoch == 3:
        raise ValueError("no space for logs")


@pytest.mark.parametrize("training", [{}, {"ema_decay": 0.9, "scheduler": {"name": "cosine", "T_max": 6}}])
def test_what_a_callback_raises_ends_the_run_which_goes_on_to_the_same_bits(tmp_path, training):
    broken, other = Told("on_epoch_end", fail), Told()
    with pytest.raises(dagrow.CallbackError) as caught:
        quick(other, broken, out=tmp_path / "run", training=training)
    text = str(caught.value)
    assert "the callback Told failed in on_epoch_end (ValueError: no space for logs)" in text
    assert "epoch 3" in text
    assert str(tmp_path / "run") in text
    assert isinstance(caught.value.__cause__, ValueError)
    assert broken.names[-1] == other.names[-1] == "on_error"
    told = Told()
    again = quick(told, out=tmp_path / "run", resume=True, training=training)
    begin = told.events[0][1]
    assert (begin.resumed, begin.epoch) == (True, 3)
    assert next(event.epoch for name, event in told.events if name == "on_epoch_end") == 4
    assert same(again, quick(write=False, training=training))


def test_a_callback_that_fails_at_the_end_leaves_a_complete_run(tmp_path):
    def boom(run, event):
        raise RuntimeError("late")

    told = Told("on_end", boom)
    with pytest.raises(dagrow.CallbackError, match="the run itself has ended well"):
        quick(told, out=tmp_path / "run")
    assert (tmp_path / "run" / "SHA256SUMS").is_file()
    assert "on_error" not in told.names


def test_a_callback_that_fails_at_the_beginning():
    def boom(run, event):
        raise RuntimeError

    with pytest.raises(dagrow.CallbackError, match=r"failed in on_begin \(RuntimeError\)"):
        quick(Told("on_begin", boom), write=False)


@pytest.mark.parametrize(("given", "text"), [(Told, "the class Told, not an object"), (print, "a builtin_function")])
def test_what_is_no_callback_is_refused(given, text):
    with pytest.raises(dagrow.DagrowError, match=text):
        quick(given, write=False)


def test_units_that_are_taken_back_are_told():
    told = Told()
    quick(
        told,
        write=False,
        training={"optimizer": {"name": "sgd", "lr": 30.0}, "final_epochs": 3, "weight_decay": None},
        growth={"schedule": "adaptive", "budget": {"steps": 1}},
    )
    back = [event for name, event in told.events if name == "on_taken_back"]
    assert back
    assert "taken back, with half the learning rate" in back[0].reason
    final = [event for name, event in told.events if name == "on_final_training"]
    assert final[0].parameters > 0
