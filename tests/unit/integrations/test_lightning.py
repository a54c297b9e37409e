"""The callback inside Lightning itself: the network grows, the optimizer keeps what it has, wrappers are taken off."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from forked import ended, started_with
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import dagrow

# Lightning warns of itself, and of Python.
pytestmark = pytest.mark.filterwarnings("default")
GRAPH = {
    "inputs": {"x": {"shape": [2]}},
    "nodes": {"h": {"size": 2, "activation": "tanh"}, "y": {"size": 2}},
    "edges": {"x -> h": "linear", "h -> y": "linear"},
    "outputs": "y",
}
X = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] * X[:, 1] > 0).long()


def network(**options):
    nodes = {**GRAPH["nodes"], "h": {**GRAPH["nodes"]["h"], **options}}
    return dagrow.build(dagrow.GraphSpec.model_validate({**GRAPH, "nodes": nodes}), seed=0)


@pytest.fixture
def lightning():
    import lightning

    return lightning


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


def trained(lightning, module, *callbacks, y=Y, **options):
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    options = {"max_epochs": 5, "accelerator": "cpu", "enable_model_summary": False, **quiet, **options}
    trainer = lightning.Trainer(callbacks=list(callbacks), **options)
    trainer.fit(module, DataLoader(TensorDataset(X, y), batch_size=32))
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
    from dagrow.integrations.lightning_callback import found_network
    from dagrow.integrations.several_processes import refuse_unfit_strategy
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
    with pytest.raises(dagrow.GrowthError, match="SimpleNamespace of 2 processes cannot take up"):
        refuse_unfit_strategy(SimpleNamespace(world_size=2, strategy=SimpleNamespace(model=model)))


class Own(nn.Module):
    """Hidden units that see one input alone, for four classes, one per quadrant: others gain in any case."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(2, 2), nn.Linear(2, 4)
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor([[1.0, 0.0], [0.5, 0.0]]))

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))


@pytest.mark.parametrize("named", [True, False])
def test_lightning_grows_a_module_of_ones_own_and_keeps_optimizer_and_scheduler(lightning, named):
    from dagrow.lightning import ModuleGrowthCallback

    outputs, moments = [], []

    class Look(lightning.Callback):
        def on_train_epoch_end(self, trainer, module):
            weight = module.model.first.weight
            moments.append(trainer.optimizers[0].state[weight]["exp_avg"].clone())
            with torch.no_grad():
                outputs.append(module.model(X))

    torch.manual_seed(0)
    module = module_of(lightning, Own())
    part = "model" if named else dagrow.from_module(module.model, X[:2])
    growth = ModuleGrowthCallback(functional.cross_entropy, part, every=1, steps=1, neurons=3)
    trainer = trained(lightning, module, Look(), growth, Look(), y=(X > 0).long() @ torch.tensor([2, 1]))
    assert module.model.first.out_features > 2
    assert growth.plans[0].best.gain > 0
    assert float(trainer.callback_metrics["growth/gain"]) == pytest.approx(growth.plans[0].best.gain)
    before, after = moments[0], moments[1]  # around the growth step in the first epoch
    assert torch.equal(after[:2], before)
    assert not after[2:].any()
    torch.testing.assert_close(outputs[1], outputs[0])
    (group,) = trainer.optimizers[0].param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in module.parameters()]
    assert len(set(module.rates)) == 5
    assert module.model.training
    assert growth.captured.attributes["first"]["out_features"] == module.model.first.out_features


def test_lightning_says_where_a_module_of_ones_own_is_not(lightning):
    from dagrow.lightning import ModuleGrowthCallback

    module = module_of(lightning, Own())
    with pytest.raises(dagrow.GrowthError, match="the captured Own is no part of Module"):
        trained(lightning, module, ModuleGrowthCallback(functional.cross_entropy, dagrow.from_module(Own(), X[:2])))
    with pytest.raises(dagrow.GrowthError, match="the module has no 'net'"):
        trained(lightning, module, ModuleGrowthCallback(functional.cross_entropy, "net"))


PROCESSES = """
import json, os, sys
os.environ["TORCHELASTIC_RUN_ID"] = "none"  # by which Lightning knows that the processes are there
sys.path[:0] = [FOLDER]
from test_lightning import Own, Y, X, functional, module_of, network, trained
import lightning, torch
from dagrow.lightning import GrowthCallback, ModuleGrowthCallback

told = []
for grown in ("network", "module"):
    torch.manual_seed(RANK)  # the wrapper gives all processes the first weights
    if grown == "network":
        # Running statistics are those of each process's own samples until the next step.
        y, growth = Y, GrowthCallback(functional.cross_entropy, every=1, steps=2, neurons=3, significance=0.0)
        module = module_of(lightning, network(norm="batch"))
    else:
        y = (X > 0).long() @ torch.tensor([2, 1])
        growth = ModuleGrowthCallback(functional.cross_entropy, "model", steps=2)
        module = module_of(lightning, Own())
    trainer = trained(lightning, module, growth, y=y, devices=2, strategy="ddp", max_epochs=4)
    wrapped = [id(p) for p in trainer.strategy.model.parameters()]
    optimized = [id(p) for group in trainer.optimizers[0].param_groups for p in group["params"]]
    weights = torch.cat([p.detach().flatten() for p in module.parameters()])
    gains = [candidate.gain for plan in growth.plans for candidate in plan.candidates]
    told.append([growth.done, len(weights), wrapped == optimized, weights.tolist(), gains])
print("TOLD" + json.dumps(told))
"""


def test_lightning_grows_the_same_in_all_processes():
    """Two of them, each with its half of the samples: their gradients are still put together after growth."""
    code = PROCESSES.replace("FOLDER", repr(str(Path(__file__).parent)))
    results = ended(started_with(2, "-c", code))
    assert [status for _, _, status in results] == [0, 0], results
    first, second = (out.split("TOLD")[1] for out, _, _ in results)
    assert first == second
    for done, size, wrapped, *_ in json.loads(first):
        assert done == 2
        assert wrapped
        assert size > 20
