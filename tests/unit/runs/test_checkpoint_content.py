"""A run goes on from a checkpoint as if it had never stopped; what is no checkpoint is told."""

import copy
import json
import random
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load
from zoo.checkpoints import CPU, checkpoint_of, continued, put, task_of, trained

from dagrow.data import fingerprint
from dagrow.errors import RunError
from dagrow.objectives import OPTIMIZERS
from dagrow.runs.checkpoint import Checkpoint, CheckpointError, restore
from dagrow.runs.checkpoint.files import CONTENT, TENSORS, NewerCheckpointError, encode
from dagrow.runs.checkpoint.random_numbers import random_state, set_random_state

OPTIONS = {"sgd": {"momentum": 0.9, "nesterov": True}, "adam": {"amsgrad": True}, "adamw": {"weight_decay": 0.1}}


def all_of(state):
    """Everything that training changes."""
    moments = {
        (name, key): value
        for name, parameter in state.network.named_parameters()
        for key, value in state.optimizer.state[parameter].items()
    }
    return {**state.network.state_dict(), **moments}


def equal(one, two):
    found, wanted = all_of(one), all_of(two)
    same = all(
        torch.equal(found[key], value) if isinstance(value, torch.Tensor) else found[key] == value
        for key, value in wanted.items()
    )
    return same and found.keys() == wanted.keys()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_to_the_same_bits(tmp_path, name):
    task = task_of({"name": name, "lr": 0.02, "options": OPTIONS.get(name, {})})
    state = trained(task)
    folder = put(checkpoint_of(task, state).files(), tmp_path / "1")
    whole = continued(task, state, 3)
    torch.rand(7)
    found = restore(Checkpoint.read(folder), folder, CPU)
    assert not equal(found, whole)
    assert equal(continued(task, found, 3), whole)
    assert found.progress == whole.progress
    for name, generator in found.generators.items():
        assert torch.equal(generator.get_state(), whole.generators[name].get_state())


def test_everything_of_the_run_comes_back(tmp_path):
    task = task_of()
    state = trained(task)
    kept = checkpoint_of(task, state)
    found = Checkpoint.read(put(kept.files(), tmp_path / "1"))
    assert (found.run, found.samples, found.journal) == (task.spec, fingerprint(task.split), kept.journal)
    assert (found.progress, found.environment) == (state.progress, kept.environment)
    restored = restore(found, tmp_path, CPU)
    assert restored.network.spec == state.network.spec
    assert list(restored.network.state_dict()) == list(state.network.state_dict())


def test_groups_keep_their_options_and_order(tmp_path):
    task = task_of()
    state = trained(task)
    group = state.optimizer.param_groups[0]
    rest = [group["params"].pop(), group["params"].pop(0)]
    state.optimizer.param_groups.append({**group, "params": rest, "lr": 0.5, "betas": (0.1, 0.2)})
    folder = put(checkpoint_of(task, state).files(), tmp_path / "1")
    found = restore(Checkpoint.read(folder), folder, CPU)

    def named(state):
        names = {parameter: name for name, parameter in state.network.named_parameters()}
        return [{**g, "params": [names[p] for p in g["params"]]} for g in state.optimizer.param_groups]

    assert named(found) == named(state)


def test_all_random_numbers_go_on():
    state = random_state(CPU)
    first = (torch.rand(3).tolist(), np.random.rand(3).tolist(), np.random.randn(), random.random(), random.gauss(0, 1))
    set_random_state(state, CPU)
    assert first == (
        torch.rand(3).tolist(),
        np.random.rand(3).tolist(),
        np.random.randn(),
        random.random(),
        random.gauss(0, 1),
    )


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The files of a good checkpoint."""
    task = task_of()
    return checkpoint_of(task, trained(task)).files()


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_damage_is_told(tmp_path_factory, good, data):
    files = dict(good)
    name = data.draw(st.sampled_from([CONTENT, TENSORS]))
    content = bytearray(files[name])
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[place:]
    else:
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    folder = put({**files, name: bytes(content)}, tmp_path_factory.mktemp("damaged"))
    if name == CONTENT and bytes(content).split() == good[CONTENT].split():
        # White space may change unnoticed.
        assert Checkpoint.read(folder).files() == good
        return
    with pytest.raises(CheckpointError, match=re.escape(str(folder))):
        Checkpoint.read(folder)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda f: f.pop(TENSORS), r"tensors\.safetensors: No such file"),
        (lambda f: f.pop(CONTENT), r"checkpoint\.json: No such file"),
        (lambda f: f.update({CONTENT: b""}), "damaged or cut off"),
        (lambda f: f.update({CONTENT: b"[" * 100_000}), "damaged or cut off"),
        (lambda f: f.update({CONTENT: b"\xff"}), "damaged or cut off"),
        (lambda f: f.update({CONTENT: b'{"a": 1}'}), "not a checkpoint of dagrow"),
        (lambda f: f.update({CONTENT: b"[1]"}), "not a checkpoint of dagrow"),
        (lambda f: f.update({CONTENT: b'{"format": "dagrow checkpoint"}'}), "not a checkpoint of schema 1"),
    ],
)
def test_files_that_are_no_checkpoint(tmp_path, good, make, text):
    files = dict(good)
    make(files)
    with pytest.raises(CheckpointError, match=text):
        Checkpoint.read(put(files, tmp_path / "1"))


def test_a_file_larger_than_any_is_not_read(tmp_path, good):
    folder = put(good, tmp_path / "1")
    with (folder / CONTENT).open("r+b") as file:
        file.truncate(2**33)
    with pytest.raises(CheckpointError, match="has more than 64 MB"):
        Checkpoint.read(folder)


def test_a_newer_schema_is_not_taken_for_damage(tmp_path, good):
    newer = {**json.loads(good[CONTENT]), "schema": 2, "content": "something else"}
    folder = put({**good, CONTENT: json.dumps(newer).encode()}, tmp_path / "1")
    with pytest.raises(NewerCheckpointError, match="written by a newer dagrow"):
        Checkpoint.read(folder)
    assert not issubclass(NewerCheckpointError, CheckpointError)


def removed(*path):
    def change(content, tensors):
        inner = content
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]

    return change


def put_in(value, *path):
    def change(content, tensors):
        inner = content
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value

    return change


def shorter(content, tensors):
    # Tensors come in any order, and a count of batches has no extent to be shortened.
    name = next(name for name, value in tensors.items() if name.startswith("weights") and value.dim())
    tensors[name] = tensors[name][:1]


def of_another_type(content, tensors):
    name = next(name for name in tensors if name.startswith("weights"))
    tensors[name] = tensors[name].double()


def moments_longer(content, tensors):
    name = next(name for name in tensors if name.endswith("exp_avg"))
    tensors[name] = torch.cat([tensors[name]] * 2)


@pytest.mark.parametrize(
    "change",
    [
        *(removed(name) for name in ("run", "samples", "journal", "progress", "environment", "parts")),
        *(removed("parts", name) for name in ("graph", "weights", "optimizer", "generators", "random")),
        removed("parts", "optimizer", "groups", 0, "lr"),
        removed("parts", "random", "python"),
        put_in({}, "run"),
        put_in({"bytes": "many"}, "journal"),
        put_in({"epoch": "x"}, "progress"),
        put_in([], "parts"),
        put_in({}, "parts", "graph"),
        put_in(["h.from_x.weight"], "parts", "optimizer", "groups", 0, "params"),
        put_in({"no": {}}, "parts", "optimizer", "state"),
        put_in({"=": "tuple", "value": [3, 4, 5]}, "parts", "random", "python"),
        put_in(5, "parts", "random", "torch"),
        put_in("x", "parts", "generators", "order"),
        put_in(True, "parts", "optimizer", "groups", 0, "capturable"),
        shorter,
        of_another_type,
        moments_longer,
    ],
)
def test_a_stranger_s_checkpoint_is_told(tmp_path, good, change):
    """Its checksums are right, what it says is not."""
    content, tensors = json.loads(good[CONTENT])["content"], load(good[TENSORS])
    change(content, tensors)
    folder = put(encode(content, tensors), tmp_path / "1")
    before = copy.deepcopy(random_state(CPU)["torch"])
    with pytest.raises(CheckpointError, match="does not hold a state of a run"):
        restore(Checkpoint.read(folder), folder, CPU)
    assert torch.equal(random_state(CPU)["torch"], before)


def test_what_cannot_be_kept_is_told():
    task = task_of()
    state = trained(task)
    state.optimizer.param_groups[0]["of a person"] = object()
    with pytest.raises(RunError, match="optimizer/groups/0/of a person: a object cannot be kept"):
        checkpoint_of(task, state).files()


def test_names_of_earlier_versions_are_read(tmp_path):
    task = task_of({"name": "sgd", "lr": 0.02})
    files = checkpoint_of(task, trained(task)).files()
    content = json.loads(files[CONTENT])["content"]
    old = {"steps_without_gain": "dry", "queued_steps": "left", "training_finished": "over"}
    content["progress"] = {old.get(name, name): entry for name, entry in content["progress"].items()}
    assert {"dry", "left", "over"} <= content["progress"].keys()
    folder = put(encode(content, load(files[TENSORS])), tmp_path / "1")
    assert Checkpoint.read(folder).progress == checkpoint_of(task, trained(task)).progress
