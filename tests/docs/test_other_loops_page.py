"""docs/how-to/other-loops.md: its code grows networks inside Lightning and skorch themselves."""

import pytest
import torch
from docs_pages import ROOT, blocks, page
from torch.utils.data import DataLoader, TensorDataset

import dagrow

PAGE = page("other-loops")
GRAPH = dagrow.load_graph(ROOT / "specs" / "digits.yaml")
X = torch.randn(200, 64, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] * X[:, 1] > 0).long()

# Lightning and skorch warn of themselves, and of Python.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def space():
    found = {"__name__": "page"}
    for block in blocks(PAGE, "python"):
        exec(compile("\n" * block.line + block.text, str(PAGE), "exec"), found)
    return found


def held(optimizer, model):
    """Whether the optimizer has all weights of the network, and no others."""
    ids = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    return sorted(ids) == sorted(map(id, model.parameters()))


def test_a_callback_of_lightning(space, elsewhere):
    lightning, sizes = space["lightning"], []

    class Look(lightning.Callback):
        def on_train_epoch_end(self, trainer, module):
            sizes.append(module.network.spec.nodes["h"].size)

    module = space["Classifier"](GRAPH)
    trainer = lightning.Trainer(
        max_epochs=4,
        accelerator="cpu",
        callbacks=[space["GrowEvery"](2, [(X, Y)]), Look()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(TensorDataset(X, Y), batch_size=50))
    assert sizes[0] == 2
    assert sizes[1] == sizes[2] > 2
    assert held(trainer.optimizers[0], module.network)


def test_a_callback_of_skorch(space):
    torch.manual_seed(0)
    net = space["skorch_classifier"](GRAPH, [(X, Y)]).fit(X.numpy(), Y.numpy())
    assert net.module_.spec.nodes["h"].size > 2
    assert held(net.optimizer_, net.module_)
    assert net.predict(X.numpy()).shape == (200,)
