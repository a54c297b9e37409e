"""Comparisons: all cells and controls, stopped and continued, changed, with a cell that fails."""

import csv
import json
import shutil

import pytest

import dagrow
from dagrow.compare import executor as compare_jobs
from dagrow.compare.controls import FROM_SCRATCH, GROWN, equal_multiply_adds
from dagrow.compare.outcome import read_outcome
from dagrow.compare.runs import rows
from dagrow.errors import DagrowError, RunError
from dagrow.graph import Dag, training_macs

TEXT = """\
name: small
base:
  graph:
    inputs: {x: {shape: [4]}}
    nodes: {h1: {size: 1, activation: relu}, h2: {size: 1, activation: relu}, y: {size: 3}}
    edges: {x -> h1: linear, h1 -> h2: linear, h2 -> y: linear}
    outputs: [y]
  data: {dataset: iris}
  training: {epochs_between_growth: 1, final_epochs: 1, optimizer: {lr: 0.02}}
  growth: {neurons: 2, shrinkage: 0, held_out: 0, significance: 0, budget: {steps: 2}}
methods: [random]
seeds: [0, 1]
"""


class Lines:
    def __init__(self):
        self.said, self.stages = [], []

    def say(self, text):
        self.said.append(text)

    def stage(self, text, total):
        self.stages.append(text)

    def advance(self):
        pass


@pytest.fixture
def runs(tmp_path):
    file = tmp_path / "runs.yaml"
    file.write_text(TEXT)
    return file


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A comparison that came to its end, and what it said meanwhile: only to be read."""
    folder, lines = tmp_path_factory.mktemp("comparison"), Lines()
    (folder / "runs.yaml").write_text(TEXT)
    return dagrow.compare(folder / "runs.yaml", out=folder / "out", reporter=lines), lines


@pytest.fixture
def again(finished, tmp_path):
    """A copy of it, to go on with."""
    shutil.copytree(finished[0].out, tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def grown(monkeypatch):
    """The runs that were really made."""
    made, real = [], compare_jobs.grow

    def counted(run, **options):
        made.append(run)
        return real(run, **options)

    monkeypatch.setattr(compare_jobs, "grow", counted)
    return made


def run_file(out, folder):
    return dagrow.load_run(out / "cells" / folder / "seed-0" / "run.yaml")


def test_all_cells_and_what_is_written_of_them(finished):
    result, lines = finished
    count = 1 + len(GROWN) + len(FROM_SCRATCH)
    controls = [f"random: {control}" for control in (*GROWN, *FROM_SCRATCH)]
    assert [str(row) for row in result.rows] == ["random", *controls]
    assert len(result.cells) == 2 * count
    assert [summary.seeds for summary in result.summaries] == [(0, 1)] * count
    assert [line.split("  ")[0] for line in lines.said] == [f"{i}/{2 * count}" for i in range(1, 2 * count + 1)]
    assert lines.stages[0].startswith(f"1/{2 * count} random, seed 0: ")
    assert {path.name for path in result.out.iterdir()} == {
        "cells",
        "rows.csv",
        "cells.csv",
        "table.md",
        "accuracy.png",
    }
    assert (result.out / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    head, rule, *body = (result.out / "table.md").read_text().splitlines()
    assert len(body) == count
    assert head.count("|") == rule.count("|") == body[-1].count("|")
    with (result.out / "rows.csv").open() as file:
        table = list(csv.DictReader(file))
    with (result.out / "cells.csv").open() as file:
        cells = list(csv.DictReader(file))
    for row in table:
        names = row["run"], row["control_of"]
        own = [float(cell["test_accuracy"]) for cell in cells if (cell["run"], cell["control_of"]) == names]
        assert float(row["test_accuracy_mean"]) == pytest.approx(sum(own) / 2)
        assert float(row["test_accuracy_std"]) == pytest.approx(abs(own[0] - own[1]) / 2**0.5)
        assert ("scratch" in row["run"]) == (float(row["growth_work_mean"]) == 0)


def test_controls_are_what_they_say(finished):
    out = finished[0].out
    first = run_file(out, "random")
    assert run_file(out, "random--random-placement").growth.where == "random"
    assert run_file(out, "random--smallest-gain-placement").growth.where == "smallest_gain"
    assert run_file(out, "random--random-weights-same-norm").growth.random_weights
    outcome = read_outcome(out / "cells" / "random" / "seed-0" / "journal.jsonl")
    graph = dagrow.load_graph(out / "cells" / "random" / "seed-0" / "graph.yaml")
    epochs = run_file(out, "random--from-scratch-equal-epochs")
    work = run_file(out, "random--from-scratch-equal-multiply-adds")
    assert epochs.graph == work.graph == graph
    assert epochs.growth.budget.steps == work.growth.budget.steps == 0
    assert epochs.training.final_epochs == outcome.epochs == 3
    each = training_macs(Dag.of(graph)) * 120
    assert abs(work.training.final_epochs * each - outcome.work) <= max(each / 2, each - outcome.work)
    assert (epochs.data, epochs.seed) == (first.data, first.seed)
    assert epochs.training.optimizer == first.training.optimizer


def test_what_is_counted(finished):
    path = finished[0].out / "cells" / "random" / "seed-1"
    outcome = read_outcome(path / "journal.jsonl")
    events = [json.loads(line) for line in (path / "journal.jsonl").read_text().splitlines()]
    # Forward and to the weights each edge once, back to the nodes all but those from the input.
    expected, graph = 0, events[0]["graph"]
    for event in events:
        if event["event"] == "epoch":
            h1, h2 = graph["nodes"]["h1"]["size"], graph["nodes"]["h2"]["size"]
            expected += 120 * (2 * 4 * h1 + 3 * h1 * h2 + 3 * h2 * 3)
        graph = event.get("graph", graph)
    assert outcome.training_multiply_adds == expected
    assert outcome.growth_multiply_adds > 0
    assert outcome.training_samples == 120
    steps = [event for event in events if event["event"] == "growth" and event["inserted"]]
    assert outcome.gains == tuple((s["inserted"]["gain"], s["before"]["loss"] - s["test"]["loss"]) for s in steps)


def test_what_was_gained_later_counts_where_it_is_known(runs, tmp_path):
    run = dagrow.load_comparison(runs).base
    growth = run.growth.model_copy(update={"measure_later_gain": True, "method": "random"})
    dagrow.grow(run.model_copy(update={"growth": growth}), out=tmp_path / "run")
    path = tmp_path / "run" / "journal.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    later = [event["test_gain"] for event in events if event["event"] == "calibration"]
    assert len(later) == 2
    assert [gained for _, gained in read_outcome(path).gains] == later


def test_equal_multiply_adds_rounds_to_whole_passes(runs, tmp_path):
    spec = dagrow.load_comparison(runs)
    each = training_macs(Dag.of(spec.base.graph)) * 120

    class Grown:
        training_samples = 120

        def __init__(self, work):
            self.work = work

    found = [equal_multiply_adds(Grown(share * each), spec.base.graph) for share in (0.1, 1.4, 1.6, 7)]
    assert found == [1, 1, 2, 7]


def test_the_same_command_goes_on_where_it_was_stopped(runs, again, grown, monkeypatch, finished):
    missing = ["random/seed-1", "random--random-placement/seed-0", "random--from-scratch-equal-epochs/seed-1"]
    for folder in missing:
        shutil.rmtree(again / "cells" / folder)
    (again / ".unfinished" / "half").mkdir(parents=True)
    counted = compare_jobs.grow

    def stopped(run, **options):
        if len(grown) == 1:
            raise KeyboardInterrupt
        return counted(run, **options)

    monkeypatch.setattr(compare_jobs, "grow", stopped)
    with pytest.raises(KeyboardInterrupt):
        dagrow.compare(runs, out=again)
    assert not (again / ".unfinished").exists()
    monkeypatch.setattr(compare_jobs, "grow", counted)
    result = dagrow.compare(runs, out=again)
    assert [(run.growth.where, run.growth.budget.steps, run.seed) for run in grown] == [
        ("random", 2, 0),
        ("gain", 2, 1),
        ("gain", 0, 1),
    ]
    # The same runs give the same networks, whenever they are made.
    for one, other in zip(result.cells, finished[0].cells, strict=True):
        assert (one.row, one.seed, one.outcome.loss) == (other.row, other.seed, other.outcome.loss)
        assert (one.outcome.parameters, one.outcome.work) == (other.outcome.parameters, other.outcome.work)


def test_controls_that_are_left_out_are_not_run(runs, again, grown):
    runs.write_text(TEXT + 'controls: ["from scratch, equal epochs"]\n')
    shutil.rmtree(again / "cells" / "random--from-scratch-equal-multiply-adds")
    result = dagrow.compare(runs, out=again)
    assert not grown
    assert [str(row) for row in result.rows] == ["random", "random: from scratch, equal epochs"]
    assert [(str(cell.row), cell.seed) for cell in result.cells] == [(str(r), s) for s in (0, 1) for r in result.rows]


def test_only_what_changed_is_run_again(runs, again, grown):
    lines = Lines()
    runs.write_text(TEXT.replace("seeds: [0, 1]", "seeds: [1]"))
    dagrow.compare(runs, out=again, reporter=lines)
    assert grown == []
    assert "left as they are, not in the file any more: " in lines.said[-1]
    assert lines.said[-1].count("seed-0") == 6
    runs.write_text(TEXT.replace("seeds: [0, 1]", "seeds: [0]").replace("neurons: 2", "neurons: 3"))
    dagrow.compare(runs, out=again)
    # The final graphs may be others as well, and then what trains them from scratch.
    assert 4 <= len(grown) <= 6
    assert {run.growth.neurons for run in grown if run.growth.budget.steps} == {3}


def test_a_cell_that_fails_leaves_the_others(runs, again, monkeypatch):
    lines = Lines()
    shutil.rmtree(again / "cells" / "random--smallest-gain-placement")

    def failing(run, *, out, **options):
        out.mkdir(parents=True)
        raise DagrowError("the loss became nan")

    monkeypatch.setattr(compare_jobs, "grow", failing)
    with pytest.raises(RunError) as caught:
        dagrow.compare(runs, out=again, reporter=lines)
    assert str(caught.value) == (
        "2 of 12 cells failed, the others are in the tables; "
        "the first, random: smallest-gain placement, seed 0: the loss became nan"
    )
    assert len((again / "rows.csv").read_text().splitlines()) == 1 + 5
    assert not list(again.glob(".unfinished*"))
    assert not list(again.glob("cells/*smallest*"))


def test_a_folder_of_something_else_is_left_alone(runs, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="is not empty and not a comparison"):
        dagrow.compare(runs, out=tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("name", ["cells", "cells/random", "cells/random/seed-0", "cells/random/seed-0/run.yaml"])
def test_links_in_the_place_of_cells_are_refused(runs, again, grown, tmp_path, name):
    outside = tmp_path / "outside"
    (again / name).rename(outside)
    (again / name).symlink_to(outside)
    before = sorted(outside.rglob("*"))
    with pytest.raises(RunError, match=r" is a link: all files of a comparison must be its own$"):
        dagrow.compare(runs, out=again)
    assert sorted(outside.rglob("*")) == before
    assert not grown


def test_tables_are_not_written_through_links(runs, again, tmp_path):
    for name in ("rows.csv", "cells.csv", "table.md", "accuracy.png"):
        (tmp_path / name).write_text("precious")
        (again / name).unlink()
        (again / name).symlink_to(tmp_path / name)
    dagrow.compare(runs, out=again)
    for name in ("rows.csv", "cells.csv", "table.md", "accuracy.png"):
        assert (tmp_path / name).read_text() == "precious"
        assert not (again / name).is_symlink()


@pytest.mark.share(0.35)
@pytest.mark.parametrize("name", ["run.yaml", "journal.jsonl", "weights.safetensors"])
def test_a_damaged_cell_is_told_and_not_run_again(runs, again, grown, name):
    """Nor what follows from it; the others are in the tables."""
    cell = again / "cells" / "random" / "seed-0"
    (cell / name).write_bytes((cell / name).read_bytes()[:-1])
    with pytest.raises(RunError) as caught:
        dagrow.compare(runs, out=again)
    message = str(caught.value)
    assert message.startswith("1 of 10 cells failed, the others are in the tables; the first, random, seed 0: ")
    assert f"{cell / name}: does not match its checksum" in message
    assert message.endswith(f"remove {cell} to have this cell run again")
    assert not grown


def test_rows_have_folders_of_their_own(runs):
    spec = dagrow.load_comparison(runs)
    folders = [row.folder for row in rows(spec)]
    assert len(set(folders)) == len(folders)
    assert all(set(folder) <= set("abcdefghijklmnopqrstuvwxyz-_") for folder in folders)


def without_seconds(path):
    """The lines of a table of cells, but for what a clock said."""
    with path.open() as file:
        return [{key: text for key, text in line.items() if "seconds" not in key} for line in csv.DictReader(file)]


def test_cells_at_a_time_are_those_one_after_another(finished, tmp_path):
    """The processes have one thread each, as this one has."""
    (tmp_path / "runs.yaml").write_text(TEXT.replace("seeds: [0, 1]", "seeds: [1]"))
    lines = Lines()
    result = dagrow.compare(tmp_path / "runs.yaml", out=tmp_path / "out", jobs=2, reporter=lines)
    alone = [line for line in without_seconds(finished[0].out / "cells.csv") if line["seed"] == "1"]
    assert without_seconds(result.out / "cells.csv") == alone
    assert lines.stages == ["2 cells at a time"]
    assert [line.split("/")[0] for line in lines.said] == [str(count + 1) for count in range(6)]
    assert not (result.out / ".unfinished").exists()


def test_a_cell_whose_process_is_lost(tmp_path, monkeypatch):
    (tmp_path / "runs.yaml").write_text(TEXT.replace("seeds: [0, 1]", "seeds: [0]"))

    def lost(self, cell):
        start(self, cell)
        for _, process in self._running.values():
            process.kill()

    start = compare_jobs.Jobs.start
    monkeypatch.setattr(compare_jobs.Jobs, "start", lost)
    with pytest.raises(RunError, match=r"^4 of 4 cells failed, .*random, seed 0: its process ended with exit code -9"):
        dagrow.compare(tmp_path / "runs.yaml", out=tmp_path / "out", jobs=2)


def test_no_job_is_refused(runs, tmp_path):
    with pytest.raises(RunError, match="^jobs must be at least 1, not 0$"):
        dagrow.compare(runs, out=tmp_path / "out", jobs=0)
    assert not (tmp_path / "out").exists()
