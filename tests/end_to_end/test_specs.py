"""Every graph in specs/, on drawn data: it checks, runs, grows as promised, and leaves as plain PyTorch."""

import importlib.util
import json
import runpy
import sys

import pytest
import torch
from command_tools import ROOT, command
from safetensors.torch import load_file
from zoo import example_of

import dagrow
from dagrow.objectives import LOSSES
from dagrow.planner import KINDS
from dagrow.training import Objective

SPECS = sorted((ROOT / "specs").glob("*.yaml"))
SAMPLES = 12
FEW = {"resnet18": ["h1", "h4"], "vgg11": ["c1", "c3", "h"]}
"""Where the large graphs grow here."""


def drawn(run, dag):
    """Two batches of noise in the shapes that the graph and the loss ask for."""
    generator = torch.Generator().manual_seed(0)

    def target(shape):
        if run.training.loss == "cross_entropy":
            labels = torch.randint(shape.channels, (SAMPLES, *shape.positions), generator=generator)
            return LOSSES["cross_entropy"].prepare(labels, shape)
        return torch.rand(SAMPLES, *shape, generator=generator, dtype=torch.float64)

    inputs = run.graph.inputs.values()
    x = [example_of(entry, SAMPLES, generator, torch.float64) for entry in inputs]
    y = [target(dag.output(name)) for name in run.graph.outputs]
    batches = [tuple(tuple(t[part] for t in ts) for ts in (x, y)) for part in (slice(0, 8), slice(8, SAMPLES))]
    return [(x, y if len(y) > 1 else y[0]) for x, y in batches]


def mean_loss(model, loss, data):
    with torch.no_grad():
        return sum(float(loss(model(*x), y)) * len(x[0]) for x, y in data) / SAMPLES


def step(model, loss, data, optimizer):
    """One of training, which fills the optimizer's state and the norms' statistics; then eval mode again."""
    model.train()
    optimizer.zero_grad()
    loss(model(*data[0][0]), data[0][1]).backward()
    optimizer.step()
    model.eval()


@pytest.mark.parametrize("file", SPECS, ids=lambda file: file.stem)
def test_it_is_described(file):
    outcome = command("check", file)
    assert outcome.code == 0, outcome
    # The output alone keeps its size.
    assert "can be widened" in outcome.out or len(dagrow.load_graph(file).nodes) == 1
    assert all(name in outcome.out for name in dagrow.load_graph(file).nodes)
    assert file.read_text().startswith("# ")


@pytest.mark.share(0.24)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("file", SPECS, ids=lambda file: file.stem)
def test_it_grows_as_promised_and_leaves(file, kind, tmp_path):
    run = dagrow.load_run(file)
    model = dagrow.build(run.graph, seed=0).double()
    loss, data = Objective(LOSSES[run.training.loss]), drawn(run, model.dag)
    optimizer = torch.optim.Adam(model.parameters())
    step(model, loss, data, optimizer)
    options = {
        "neurons": 2,
        "shrinkage": 0,
        "significance": 0,
        "max_solved": 2,
        "max_searched": 2,
        "prune_tolerance": 1e9,
    }
    few = FEW.get(file.stem) if kind != "remove" and (file.stem, kind) != ("vgg11", "edge") else None
    plan = dagrow.propose(model, loss, data, candidates=[kind], nodes=few, **options)
    if plan.stages.considered == 0:
        # A chain has nothing to be taken away; one node, the output, grows only by new nodes and layers.
        assert kind == "remove" or len(model.dag.order) == 1
        assert all(place.reason for place in plan.not_growable)
        return
    if len(model.dag.order) == 1 and plan.stages.drafted == 0:
        # Samples fewer than features: the one edge that is there explains all of them.
        assert sum(model.dag.output(name)[-1] for name in run.graph.inputs) > SAMPLES
        return
    assert plan.best is not None
    before, size = mean_loss(model, loss, data), sum(p.numel() for p in model.parameters())
    assert plan.loss == pytest.approx(before, rel=1e-9)
    dagrow.apply(model, plan.best, optimizer)
    assert before - mean_loss(model, loss, data) == pytest.approx(plan.best.gain, rel=1e-5)
    assert sum(p.numel() for p in model.parameters()) == size + plan.best.cost.parameters
    step(model, loss, data, optimizer)
    inputs = [tuple(t.float() if t.is_floating_point() else t for t in x) for x, _ in data]
    check_copies(model.float(), inputs, tmp_path)


@pytest.mark.parametrize(("file", "data"), [("timeseries_conv1d", "timeseries"), ("volume_conv3d", "volumes")])
def test_series_and_volumes_are_trained_on_drawn_data(file, data, tmp_path, monkeypatch):
    """With the data of ``specs/drawn_data.py``, a short run leaves a network that has learned and is exported."""
    monkeypatch.setattr(sys, "argv", ["drawn_data.py", "--out", str(tmp_path)])
    runpy.run_path(str(ROOT / "specs" / "drawn_data.py"), run_name="__main__")
    less = ["growth.budget.steps=1", "training.final_epochs=5", "training.epochs_between_growth=1"]
    sets = [part for entry in (f"data.npz={tmp_path / data}.npz", *less) for part in ("--set", entry)]
    outcome = command("grow", ROOT / "specs" / f"{file}.yaml", "--out", tmp_path / "run", *sets)
    assert outcome.code == 0, outcome
    events = [json.loads(line) for line in (tmp_path / "run" / "journal.jsonl").read_text().splitlines()]
    losses = [event["running_loss"] for event in events if event["event"] == "epoch"]
    assert losses[-1] < losses[0]
    assert any(event["event"] == "growth" for event in events)
    assert f"nn.Conv{file[-2:]}(" in (tmp_path / "run" / "exported" / "model.py").read_text()


def check_copies(model, inputs, folder):
    """The network rebuilt from its saved graph and as plain Python gives what it gives."""
    dagrow.save_graph(model.spec, folder / "graph.yaml")
    rebuilt = dagrow.build(dagrow.load_graph(folder / "graph.yaml"))
    rebuilt.load_state_dict(model.state_dict())
    dagrow.export(model, to="python", out=folder / "plain")
    source = importlib.util.spec_from_file_location("grown_model", folder / "plain" / "model.py")
    plain = importlib.util.module_from_spec(source)
    source.loader.exec_module(plain)
    (kind,) = [entry for entry in vars(plain).values() if isinstance(entry, type)]
    exported = kind()
    exported.load_state_dict(load_file(folder / "plain" / "weights.safetensors"))
    for x in inputs:
        for other in (rebuilt, exported):
            torch.testing.assert_close(other.eval()(*x), model(*x), rtol=1e-4, atol=1e-4)
