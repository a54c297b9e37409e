"""The real packages: run by ``nox -s integrations``, or by name in an environment that has them.

python -m pytest tests/extras/check_extras.py
"""

import importlib

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

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


def network():
    return dagrow.build(dagrow.GraphSpec.model_validate(GRAPH), seed=0)


@pytest.fixture
def lightning():
    return importlib.import_module("lightning")


def module_of(lightning, model):
    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = model
            self.rates = []

        def training_step(self, batch, index):
            x, y = batch
            return functional.cross_entropy(self.model(x), y)

        def on_train_epoch_end(self):
            self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])

        def configure_optimizers(self):
            optimizer = torch.optim.Adam(self.parameters(), 0.02)
            scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
            return {"optimizer": optimizer, "lr_scheduler": scheduler}

    return Module()


def trained(lightning, module, *callbacks, **options):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    options = {"max_epochs": 5, "accelerator": "cpu", "enable_model_summary": False, **quiet, **options}
    trainer = lightning.Trainer(callbacks=list(callbacks), **options)
    trainer.fit(module, DataLoader(TensorDataset(X, Y), batch_size=32))
    return trainer


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_lightning_grows_the_network_and_keeps_the_optimizer(lightning, precision):
    from dagrow.lightning import GrowthCallback

    moments = []

    class Look(lightning.Callback):
        """Before and after growth, in the order of callbacks."""

        def on_train_epoch_end(self, trainer, module):
            weight = module.model.get_parameter("h.from_x.weight")
            moments.append(trainer.optimizers[0].state[weight]["exp_avg"].clone())

    module = module_of(lightning, network())
    growth = GrowthCallback(functional.cross_entropy, every=2, steps=1, neurons=3, significance=0.0)
    trainer = trained(lightning, module, Look(), growth, Look(), precision=precision)
    size = module.model.spec.nodes["h"].size
    assert size > 2
    assert growth.done == 1
    assert growth.plans[0].best is not None
    before, after = moments[2], moments[3]  # around the growth step in the second epoch
    assert before.shape == (2, 2)
    assert torch.equal(after[:2], before)
    assert not after[2:].any()
    (group,) = trainer.optimizers[0].param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in module.parameters()]
    assert len(set(module.rates)) == 5
    assert trainer.callback_metrics["growth/gain"] >= 0


def test_lightning_finds_the_network_or_says_why_not(lightning):
    from dagrow.integrations.lightning_callback import _alone, found_network
    from dagrow.lightning import GrowthCallback

    model = network()
    wrapped = nn.Module()
    wrapped.inner = nn.DataParallel(model)
    assert found_network(wrapped) is model
    assert found_network(wrapped, "inner") is model
    compiled = nn.Module()
    compiled.model = torch.compile(model)
    assert found_network(compiled, "model") is model
    with pytest.raises(dagrow.GrowthError, match="holds no networks of dagrow.build"):
        trained(lightning, module_of(lightning, nn.Linear(2, 2)), GrowthCallback(functional.cross_entropy))
    with pytest.raises(dagrow.GrowthError, match="the module has no 'net'"):
        found_network(wrapped, "net")
    with pytest.raises(dagrow.GrowthError, match="2 processes train this module"):
        _alone(type("Trainer", (), {"world_size": 2})())


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


def test_skorch_trains_a_grown_network():
    skorch = importlib.import_module("skorch")
    grown = dagrow.grow(GRAPH, train=(X, Y), training=QUICK, growth=GROWTH, write=False).model
    size = grown.spec.nodes["h"].size
    net = skorch.NeuralNetClassifier(
        grown, criterion=nn.CrossEntropyLoss, max_epochs=3, lr=0.1, train_split=None, verbose=0
    )
    net.fit(X.numpy(), Y.numpy())
    assert net.module_.spec.nodes["h"].size == size
    assert np.isin(net.predict(X.numpy()), [0, 1]).all()
