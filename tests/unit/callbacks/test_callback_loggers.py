"""Loggers: the numbers that they write, how they go on after a resumption, and what they say where a package lacks."""

import csv
import sys
from types import ModuleType, SimpleNamespace

import pytest
from callback_runs import Told, quick

import dagrow
from dagrow.callbacks import LOGGERS, RunBegin, RunHandle
from dagrow.callbacks.loggers.base import flat


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_a_row_per_unit_and_the_numbers_of_the_journal(tmp_path):
    result = quick(out=tmp_path / "run", training={"loggers": "csv"}, metrics={"mean": lambda o, t: o.mean()})
    rows = table(tmp_path / "run" / "metrics.csv")
    epochs = [line for line in result.events if line["event"] == "epoch"]
    trained = [row for row in rows if row["learning_rate"]]
    assert [float(row["train/loss"]) for row in trained] == pytest.approx([line["running_loss"] for line in epochs])
    grown = [row for row in rows if row["growth/gain"]]
    lines = [line for line in result.events if line["event"] == "growth"]
    gains = [(line["inserted"] or {"gain": 0.0})["gain"] for line in lines]
    assert [float(row["growth/gain"]) for row in grown] == pytest.approx(gains)
    assert all(row["metrics/mean"] for row in trained)
    assert float(rows[-1]["test/loss"]) == pytest.approx(result.test.loss)
    assert any(row["note"].startswith("step 1: widen h +") for row in rows)


def test_csv_of_a_resumed_run_is_that_of_a_run_in_one_piece(tmp_path):
    def fail(run, event):
        if event.step == 1:
            raise ValueError

    options = {"training": {"loggers": ["csv"], "checkpoint": {"epochs": 1, "seconds": 1e9}}}
    with pytest.raises(dagrow.CallbackError):
        quick(Told("on_growth", fail), out=tmp_path / "a", **options)
    log = tmp_path / "a" / "metrics.csv"
    # The next unit was logged, and never kept; the last line was not written to its end.
    log.write_text(log.read_text() + "99,7,0.1\n100")
    quick(out=tmp_path / "a", resume=True, **options)
    quick(out=tmp_path / "b", **options)

    def told(path):
        return [{key: value for key, value in row.items() if key != "seconds"} for row in table(path)]

    whole, resumed = told(tmp_path / "b" / "metrics.csv"), told(log)
    # What the failing callback stood in the way of is not told a second time.
    missing = [row for row in whole if row not in resumed]
    assert all(row["step"] == "1" and (row["note"] or row["growth/gain"]) for row in missing)
    assert [row for row in resumed if row not in whole] == []


def test_a_logger_needs_a_directory():
    with pytest.raises(dagrow.DagrowError, match="the logger 'csv' writes into the run directory"):
        quick(write=False, training={"loggers": "csv"})


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_package_that_is_not_installed_is_named(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(dagrow.DagrowError, match=rf"'{name}' needs '{name}': pip install 'dagrow\[{name}\]'"):
        quick(out=tmp_path / "run", training={"loggers": name})


def test_an_unknown_logger_or_option_names_the_nearest():
    with pytest.raises(dagrow.SpecError, match="did you mean 'tensorboard'"):
        quick(training={"loggers": ["tensorbord"]})
    with pytest.raises(dagrow.SpecError, match="did you mean 'experiment'"):
        quick(training={"loggers": [{"name": "mlflow", "experimnt": "a"}]})


@pytest.mark.parametrize(
    ("name", "option"), [("tensorboard", "directory"), ("mlflow", "tracking_uri"), ("wandb", "mode")]
)
def test_a_file_cannot_say_that_something_is_written_elsewhere(name, option):
    with pytest.raises(dagrow.SpecError, match=option):
        quick(training={"loggers": [{"name": name, option: "https://example.org"}]})


class Writer:
    """In the place of a writer of TensorBoard."""

    def __init__(self, folder, purge_step):
        self.folder, self.purge_step, self.scalars, self.texts, self.closed = folder, purge_step, [], [], False

    def add_scalar(self, *scalar):
        self.scalars.append(scalar)

    def add_text(self, *text):
        self.texts.append(text)

    def flush(self):
        pass

    def close(self):
        self.closed = True


def test_tensorboard(tmp_path, monkeypatch):
    made = []
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = lambda folder, purge_step: made.append(Writer(folder, purge_step)) or made[-1]
    monkeypatch.setitem(sys.modules, "tensorboard", ModuleType("tensorboard"))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    result = quick(out=tmp_path / "run", training={"loggers": "tensorboard"})
    (writer,) = made
    assert (writer.folder, writer.purge_step, writer.closed) == (str(tmp_path / "run" / "tensorboard"), None, True)
    assert ("test/loss", pytest.approx(result.test.loss), 6) in writer.scalars
    assert writer.texts[0][0] == "growth"
    handle = RunHandle("run", {}, tmp_path, result.model)
    LOGGERS["tensorboard"]().on_begin(handle, RunBegin(4, 1, resumed=True))
    assert made[-1].purge_step == 5


def test_mlflow(tmp_path, monkeypatch):
    calls = []

    class Client:
        def __init__(self, tracking_uri):
            self.uri = tracking_uri
            calls.append(("uri", tracking_uri))

        def get_experiment_by_name(self, name):
            return None

        def create_experiment(self, name):
            return f"id of {name}"

        def create_run(self, experiment, run_name, tags):
            calls.append(("run", experiment, run_name, tags))
            return SimpleNamespace(info=SimpleNamespace(run_id="7"))

        def __getattr__(self, name):
            return lambda *args, **named: calls.append((name, *args, *named.values()))

    module = ModuleType("mlflow")
    module.tracking = SimpleNamespace(MlflowClient=Client)
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    quick(out=tmp_path / "run", training={"loggers": [{"name": "mlflow", "experiment": "moons"}]})
    assert calls[0] == ("uri", f"sqlite:///{tmp_path / 'run' / 'mlflow.db'}")
    assert ("run", "id of moons", "run", {}) in calls
    assert ("log_param", "7", "growth.neurons", "2") in calls
    assert [call[-1] for call in calls if call[:3] == ("log_metric", "7", "learning_rate")] == [1, 2, 3, 4, 5, 6]
    assert calls[-1] == ("set_terminated", "7", "FINISHED")

    def boom(run, event):
        raise ValueError

    with pytest.raises(dagrow.CallbackError):
        quick(Told("on_epoch_end", boom), out=tmp_path / "other", training={"loggers": "mlflow"})
    assert calls[-1] == ("set_terminated", "7", "FAILED")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    LOGGERS["mlflow"]().on_begin(RunHandle("run", {}, tmp_path, None), RunBegin(0, 0))
    assert ("uri", None) in calls


def test_wandb_is_offline(tmp_path, monkeypatch):
    calls = []

    class Run:
        summary: dict = {}  # noqa: RUF012

        def __getattr__(self, name):
            return lambda *args, **named: calls.append((name, args, named))

    module = ModuleType("wandb")
    module.init = lambda **named: calls.append(("init", (), named)) or Run()
    monkeypatch.setitem(sys.modules, "wandb", module)
    quick(out=tmp_path / "run", training={"loggers": "wandb"})
    assert calls[0][2]["mode"] == "offline"
    assert calls[0][2]["dir"] == str(tmp_path / "run")
    assert calls[0][2]["config"]["seed"] == 1
    assert [named["step_metric"] for name, _, named in calls if name == "define_metric" and named] == ["epoch"]
    assert [args[0]["epoch"] for name, args, _ in calls if name == "log" and "learning_rate" in args[0]] == [
        1,
        2,
        3,
        4,
        5,
        6,
    ]
    assert calls[-1] == ("finish", (), {"exit_code": 0})


def test_a_configuration_becomes_one_level():
    assert flat({"a": 1, "b": {"c": 2, "d": {"e": 3}}}) == {"a": 1, "b.c": 2, "b.d.e": 3}
