"""Copies and pickles of a network: networks like it, which can be grown, exported and copied again."""

import copy
import io
import pickle

import pytest
import torch
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

import dagrow
from dagrow.build import build, check_intact
from dagrow.spec import GraphSpec

SPEC = GraphSpec.model_validate(
    {
        "inputs": {"x": {"shape": [4]}, "z": {"shape": [2, 4, 4]}},
        "nodes": {
            "h": {"size": 3, "norm": "batch", "activation": "tanh"},
            "m": {"size": 2, "activation": "relu", "pool": "global_average"},
            "c": {"merge": "concat", "dropout": 0.1},
            "y": {"size": 2},
            "w": {"size": 1},
        },
        "edges": {
            "x -> h": "linear",
            "z -> m": "conv2d",
            "h -> c": "identity",
            "m -> c": "identity",
            "c -> y": "linear",
            "h -> y": "linear",
            "h -> w": "linear",
        },
        "outputs": ["y", "w"],
    }
)


def torch_saved(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


WAYS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "torch.save": torch_saved,
    "an average's": lambda model: AveragedModel(model).module,
}


class Note:
    """What a person hangs on a network."""


def added_to(model):
    """The network with things of a person's own."""
    model.scale = torch.nn.Parameter(torch.tensor(2.0))
    model.head = torch.nn.Linear(2, 2)
    model.h.gate = torch.nn.Parameter(torch.ones(3))
    model.register_buffer("seen", torch.zeros(1), persistent=False)
    model.note = "mine"
    return model


def batch():
    draw = torch.Generator().manual_seed(0)
    x, z = torch.randn(60, 4, generator=draw), torch.randn(60, 2, 4, 4, generator=draw)
    return (x, z), (torch.stack([x[:, 0] * x[:, 1], x[:, 2].abs()], 1), z[:, 0].mean((1, 2)).unsqueeze(1))


def loss(outputs, targets):
    return sum(functional.mse_loss(o, t) for o, t in zip(outputs, targets, strict=True))


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_is_a_network_like_the_first(way, tmp_path):
    model = added_to(build(SPEC, seed=0)).eval()
    other = WAYS[way](model)
    check_intact(other)
    (x, z), targets = batch()
    assert other.spec == model.spec
    assert all(torch.equal(a, b) for a, b in zip(other(x, z), model(x, z), strict=True))
    assert [name for name, _ in other.named_parameters()] == [name for name, _ in model.named_parameters()]
    assert dict(other.named_buffers()).keys() == dict(model.named_buffers()).keys()
    assert other.state_dict().keys() == model.state_dict().keys()
    assert (other.note, other.training, other.dag.order) == ("mine", False, model.dag.order)
    plans = [dagrow.propose(net, loss, [((x, z), targets)], neurons=2, significance=0) for net in (model, other)]
    assert plans[0].best.gain == pytest.approx(plans[1].best.gain, rel=1e-5)
    dagrow.export(other, out=tmp_path / "exported")


@pytest.mark.parametrize("kind", ["widen", "node", "layer"])
@pytest.mark.parametrize("way", WAYS)
def test_a_copy_grows_alone(way, kind):
    model = build(SPEC, seed=0).eval()
    other = WAYS[way](model)
    (x, z), targets = batch()
    before = [out.clone() for out in model(x, z)]
    plan = dagrow.propose(other, loss, [((x, z), targets)], candidates=[kind], neurons=2, significance=0)
    dagrow.apply(other, plan.best)
    assert other.spec != model.spec == SPEC
    check_intact(model)
    check_intact(WAYS[way](other))
    # A shallow copy shares its weights, which an insertion may update.
    assert way == "copy" or all(torch.equal(a, b) for a, b in zip(model(x, z), before, strict=True))


def test_what_module_compile_leaves_is_not_copied():
    model = build(SPEC, seed=0)
    model.compile(backend="eager")
    for way, make in WAYS.items():
        assert make(model)._compiled_call_impl is None, way
