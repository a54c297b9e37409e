"""The real packages: run by ``nox -s integrations``, or by name in an environment that has them.

python -m pytest tests/extras/check_extras.py
"""

import importlib

import pytest
import torch

import dagrow

# They warn of each other, and of Python.
pytestmark = pytest.mark.filterwarnings("default")
GRAPH = {
    "inputs": {"x": {"shape": [2]}},
    "nodes": {"h": {"size": 2, "activation": "tanh"}, "y": {"size": 2}},
    "edges": {"x -> h": "linear", "h -> y": "linear"},
    "outputs": "y",
}
X = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] * X[:, 1] > 0).long()
QUICK = {"epochs_between_growth": 2, "final_epochs": 2, "batch_size": 32}
GROWTH = {"budget": {"steps": 1}, "fallback_method": "none", "neurons": 2}


def logged(out, logger):
    return dagrow.grow(GRAPH, train=(X, Y), out=out, training={**QUICK, "loggers": logger}, growth=GROWTH)


def test_tensorboard(tmp_path):
    result = dagrow.grow(
        GRAPH, train=(X, Y), out=tmp_path / "run", training={**QUICK, "loggers": "tensorboard"}, growth=GROWTH
    )
    events = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    found = events.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    found.Reload()
    epochs = [line for line in result.events if line["event"] == "epoch"]
    assert [scalar.step for scalar in found.Scalars("train/loss")] == [line["epoch"] for line in epochs]
    assert [scalar.value for scalar in found.Scalars("train/loss")] == pytest.approx(
        [line["running_loss"] for line in epochs]
    )


def test_mlflow(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    result = dagrow.grow(
        GRAPH, train=(X, Y), out=tmp_path / "run", training={**QUICK, "loggers": "mlflow"}, growth=GROWTH
    )
    mlflow = importlib.import_module("mlflow")
    client = mlflow.tracking.MlflowClient(f"sqlite:///{tmp_path / 'run' / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("dagrow").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test/loss"] == pytest.approx(result.test.loss)
    assert run.data.params["growth.neurons"] == "2"


def test_wandb_offline(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    logged(tmp_path / "run", "wandb")
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb"))


def test_torchmetrics():
    torchmetrics = importlib.import_module("torchmetrics")
    metrics = {"accuracy": torchmetrics.Accuracy("multiclass", num_classes=2)}
    result = dagrow.grow(GRAPH, train=(X, Y), metrics=metrics, training=QUICK, growth=GROWTH, write=False)
    assert result.metrics["accuracy"] == pytest.approx(result.test.accuracy)
