"""A run of `grow_module` on disk: its journal, and resuming to the same bits."""

import json
import shutil

import pytest
import torch
from json_schema import accepts
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Dataset, TensorDataset

import dagrow
from dagrow.cli.main import main
from dagrow.errors import RunError
from dagrow.journal import journal_schema, read_journal
from dagrow.module_growth import grow_module
from dagrow.module_growth.data_fingerprint import data_fingerprint
from dagrow.resize.reload import load
from dagrow.runs.checkpoint import CheckpointError, ModuleCheckpoint


class Small(nn.Module):
    """Two spaces, a batch norm, dropout, and a buffer that is not saved."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)
        self.hidden = nn.Linear(4, 4)
        self.register_buffer("shift", torch.full((6,), 0.1, dtype=torch.float64), persistent=False)

    def forward(self, x):
        h = torch.relu(self.norm(self.first(x + self.shift)))
        return self.last(nn.functional.dropout(torch.relu(self.hidden(h)), 0.2, self.training))


class Stop(Exception):
    pass


def objects(seed=3):
    """What a run needs, made anew and always alike; its data are drawn by a generator of their own."""
    torch.manual_seed(seed)
    model = Small().double()
    optimizer = torch.optim.AdamW(
        [{"params": [p for n, p in model.named_parameters() if "weight" in n], "weight_decay": 0.1},
         {"params": [p for n, p in model.named_parameters() if "bias" in n], "weight_decay": 0.0}], lr=0.02
    )  # fmt: skip
    x = torch.randn(60, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    data = TensorDataset(x, x[:, :3].argmax(1))
    return {
        "model": model,
        "optimizer": optimizer,
        "train": DataLoader(data, 20, shuffle=True, generator=torch.Generator().manual_seed(5)),
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6),
        "averages": [AveragedModel(model)],
    }


def run(made, directory, stop=None, **more):
    lines = []

    def report(line):
        lines.append(line)
        if stop is not None and line.startswith(stop):
            raise Stop

    settings = {"epochs": 3, "until": 1, "neurons": 2, "spaces": ["first:out"]}
    given = {"loss": nn.functional.cross_entropy, **settings, **made, **more}
    grown = grow_module(**given, directory=directory, report=report)
    return grown, lines


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An undisturbed run, its objects and where it is."""
    made, path = objects(), tmp_path_factory.mktemp("whole") / "run"
    grown, _ = run(made, path)
    return made, path, grown


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that was stopped after its growth step, in the second epoch."""
    path = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.raises(Stop):
        run(objects(), path, "epoch 2")
    return path


def tensors(made):
    state = {f"optimizer {i} {k}": v for i, own in enumerate(made["optimizer"].state.values()) for k, v in own.items()}
    return {**made["model"].state_dict(), **state, **made["averages"][0].state_dict()}


def same(made, other):
    one, two = tensors(made), tensors(other)
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def told(path):
    return [{k: v for k, v in event.items() if k != "seconds"} for event in read_journal(path / "journal.jsonl")]


def test_a_run_that_was_stopped_ends_as_one_in_one_piece(whole, stopped, tmp_path):
    path = shutil.copytree(stopped, tmp_path / "run")
    torch.rand(7)
    made = objects(seed=8)
    grown, lines = run(made, path, resume=True)
    assert lines[0] == f"{path}: continued after epoch 1"
    assert same(made, whole[0])
    assert told(path) == told(whole[1])
    assert (grown.losses, grown.growth) == (whole[2].losses, whole[2].growth)
    assert made["scheduler"].state_dict() == whole[0]["scheduler"].state_dict()
    assert [group["lr"] for group in made["optimizer"].param_groups] == whole[0]["scheduler"].get_last_lr()
    held = {id(p) for group in made["optimizer"].param_groups for p in group["params"]}
    assert held == set(map(id, grown.model.parameters()))


def test_a_run_that_was_stopped_before_it_grew_grows_alike(whole, stopped, tmp_path):
    path = shutil.copytree(stopped, tmp_path / "run")
    # Of the two checkpoints that are kept, the one before the growth step is left.
    flip(path / "checkpoints" / "000002" / "weights.safetensors")
    made = objects(seed=8)
    _, lines = run(made, path, resume=True)
    assert lines[0].startswith("warning: ")
    assert lines[0].endswith("its checksum does not fit; the checkpoint before it is used")
    assert lines[1].endswith("continued after epoch 0")
    assert same(made, whole[0])
    assert told(path) == told(whole[1])


def test_every_line_is_as_the_schema_says(whole):
    schema, events = journal_schema(), list(map(json.loads, (whole[1] / "journal.jsonl").read_text().splitlines()))
    assert all(accepts(schema, event, schema) for event in events)
    assert [event["event"] for event in events] == ["start", "epoch", "growth", "epoch", "epoch", "end"]
    step = next(event for event in events if event.get("inserted"))
    assert step["spaces"][step["inserted"]["place"]] == 6
    assert step["inserted"] in step["plan"]["candidates"]


def test_a_run_that_has_ended_is_loaded_and_not_trained(whole):
    made = objects(seed=8)
    before = (whole[1] / "journal.jsonl").read_bytes()
    grown, lines = run(made, whole[1], resume="if_begun")
    assert lines == [f"{whole[1]}: has ended, so nothing is trained"]
    assert (grown.losses, grown.growth) == (whole[2].losses, whole[2].growth)
    assert same(made, whole[0])
    assert (whole[1] / "journal.jsonl").read_bytes() == before
    again = load(Small().double(), whole[1])
    assert all(torch.equal(value, made["model"].state_dict()[name]) for name, value in again.state_dict().items())


def test_what_is_there_is_not_written_over(whole, tmp_path):
    with pytest.raises(RunError, match="is not empty; choose another directory"):
        run(objects(), whole[1])
    with pytest.raises(RunError, match="is not there, so there is no run to continue"):
        run(objects(), tmp_path / "none", resume=True)
    with pytest.raises(RunError, match="give 'directory'"):
        run(objects(), None, resume=True)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"neurons": 3}, "holds another run: neurons is 3, it began with 2"),
        ({"scheduler": None}, "begun with scheduler: CosineAnnealingLR, not none"),
        ({"model": nn.Linear(6, 3).double()}, "holds a run of test_module_runs.Small, not torch.nn"),
        ({"train": [(torch.zeros(60, 6).double(), torch.zeros(60).long())]}, "began with other data: give those"),
    ],
)
def test_another_run_is_refused(whole, other, message):
    with pytest.raises(RunError, match=message):
        run(objects(), whole[1], resume=True, **other)


def test_samples_are_known_again_in_any_order_and_by_their_length_where_reading_them_is_dear():
    x, y = torch.arange(60.0).view(20, 3), torch.arange(20)
    other = torch.cat([x[:19], torch.zeros(1, 3)])
    loaders = [DataLoader(TensorDataset(x, y), 4, shuffle=shuffle) for shuffle in (False, True)]
    assert len({data_fingerprint(each) for each in loaders}) == 1
    assert data_fingerprint(DataLoader(TensorDataset(other, y), 4)) != data_fingerprint(loaders[0])
    assert data_fingerprint([(x, y)]) == data_fingerprint([(x.clone(), y)]) != data_fingerprint([(x, y), (x, y)])
    assert data_fingerprint([(x, y)]) != data_fingerprint([(other, y)])
    read = []

    class Own(Dataset):
        def __len__(self):
            return 9

        def __getitem__(self, index):
            read.append(index)

    assert data_fingerprint(DataLoader(Own())) == data_fingerprint(Own()) != ""
    assert data_fingerprint(iter([(x, y)])) == ""
    assert not read


@pytest.mark.parametrize("file", ["tensors.safetensors", "weights.safetensors", "checkpoint.json", "growth.json"])
def test_a_flipped_bit_of_a_checkpoint_is_noticed(stopped, tmp_path, file):
    folder = shutil.copytree(stopped / "checkpoints" / "000002", tmp_path / "checkpoint")
    assert ModuleCheckpoint.read(folder).epoch == 1
    flip(folder / file)
    with pytest.raises(CheckpointError, match="damaged"):
        ModuleCheckpoint.read(folder)


@pytest.mark.parametrize("file", ["steps/000001/weights.safetensors", "journal.jsonl", "checkpoints/000004/resize.py"])
def test_a_flipped_bit_after_the_end_is_noticed(whole, tmp_path, file):
    path = shutil.copytree(whole[1], tmp_path / "run")
    flip(path / file)
    with pytest.raises(RunError, match="does not match its checksum"):
        run(objects(), path, resume=True)


def test_what_cannot_be_kept_is_said_before_anything_is_written(tmp_path):
    made = objects()
    made["scheduler"] = torch.optim.lr_scheduler.MultiStepLR(made["optimizer"], [2])
    with pytest.raises(RunError, match="scheduler/milestones: a Counter cannot be kept"):
        run(made, tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_run_is_taken_back_to_before_an_insertion(whole, tmp_path):
    made = dagrow.revert(whole[1], 0, out=tmp_path / "back")
    assert "grow_module with this directory and resume=True goes on" in str(made)
    with pytest.raises(RunError, match="keeps no weights of step 2; it keeps those of 0, 1$"):
        dagrow.revert(whole[1], 2)
    before = load(Small().double(), tmp_path / "back" / "steps" / "000000")
    assert before.first.out_features == 4
    assert load(Small().double(), whole[1] / "steps" / "000001").first.out_features == 6
    objects_again = objects(seed=8)
    run(objects_again, tmp_path / "back", resume=True)
    assert same(objects_again, whole[0])
    dagrow.revert(tmp_path / "back", 1)
    assert told(tmp_path / "back") == told(whole[1])[:3]
    assert (tmp_path / "back.before-revert").is_dir()


def test_the_commands_read_the_run(whole, stopped, capsys):
    shown = str(dagrow.diff(f"{whole[1]}@start", f"{whole[1]}@1")).splitlines()
    assert shown[0] == f"--- {whole[1]}, start"
    assert [line.split() for line in shown[4:]] == [
        ["~", "space", "first:out", "4", "6", "+2"],
        ["~", "parameters", "71", "97", "+26"],
    ]
    assert not dagrow.diff(stopped, f"{whole[1]}@end")
    page = dagrow.write_report(stopped).read_text()
    assert "first:out" in page
    assert "This run has not come to its end." in page
    main_ends(["log", str(whole[1])], 0)
    assert "first:out +2" in capsys.readouterr().out
    main_ends(["log", str(whole[1]), "--step", "1"], 0)
    assert "made" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", [["export"], ["show"], ["replay"], ["spot"], ["diff", "HERE", "specs/digits.yaml"], ["grow", "--resume"]]
)
def test_other_commands_say_why_not(whole, command, capsys):
    name, *rest = command
    words = [str(whole[1]) if word == "HERE" else word for word in rest] if "HERE" in rest else [str(whole[1]), *rest]
    main_ends([name, *words], 2)
    error = capsys.readouterr().err
    assert "module of one's own" in error
    assert len(error.splitlines()) == 1


def main_ends(arguments, code):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == code
