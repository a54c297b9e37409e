"""Networks and surroundings that people have: each works, or is refused in one sentence; torch never speaks itself."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune

import dagrow

FIELDS = {"inputs": {"x": {"shape": [6]}}, "edges": {"x -> h": "linear", "h -> y": "linear"}, "outputs": ["y"]}


def model(norm="none"):
    nodes = {"h": {"size": 3, "activation": "relu", "norm": norm}, "y": {"size": 3}}
    return dagrow.build(dagrow.GraphSpec.model_validate({**FIELDS, "nodes": nodes}), seed=0).eval()


def data(size=40):
    """The last batch has one sample."""
    x = torch.randn(121, 6, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] * x[:, 1] > 0).long() + (x[:, 2] > 1).long()
    return [(x[i : i + size], y[i : i + size]) for i in range(0, 121, size)]


def grown(network, batches=None):
    """Proposes, inserts, and trains a step."""
    batches = batches or data()
    optimizer = torch.optim.Adam(network.parameters())
    plan = dagrow.propose(network, functional.cross_entropy, batches, neurons=2, significance=0, shrinkage=0.01)
    dagrow.apply(network, plan.best, optimizer)
    assert plan.best.gain > 0
    return network, optimizer


def layer(network, path="h.from_x"):
    return network.get_submodule(path)


def without_bias(network):
    layer(network).bias = None


def other_norm(**options):
    def change(network):
        layer(network, "h").norm = nn.BatchNorm1d(3, **options).eval()

    return change


def old_weight_norm(network):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nn.utils.weight_norm(layer(network))


def other_size(network):
    layer(network, "h").from_x = nn.Linear(6, 5)


REFUSED = {
    "half": (lambda m: m.half(), "the network's numbers are float16: growth needs"),
    "bfloat16": (lambda m: m.bfloat16(), "the network's numbers are bfloat16: growth needs"),
    "mixed": (lambda m: layer(m).double(), "the network's numbers are float32, float64: growth needs"),
    "weight norm": (
        lambda m: parametrizations.weight_norm(layer(m)),
        "'h.from_x' has no weight of its own: it is made",
    ),
    "old weight norm": (old_weight_norm, "'h.from_x' has no weight of its own: it is made of others"),
    "spectral norm": (lambda m: parametrizations.spectral_norm(layer(m)), "'h.from_x' has no weight of its own"),
    "pruned": (lambda m: prune.l1_unstructured(layer(m), "weight", 0.3), "'h.from_x' has no weight of its own"),
    "bias removed": (without_bias, "'h.from_x' has no bias of its own: .* write 'bias: false'"),
    "norm without weights": (other_norm(affine=False), "'h.norm' has no weight of its own"),
    "norm without averages": (other_norm(track_running_stats=False), "'h.norm' has no running_mean of its own"),
    "layer removed": (lambda m: delattr(layer(m, "h"), "norm"), "h.norm is nothing, the graph declares"),
    "layer replaced": (other_size, r"the weight of 'h.from_x' has shape \[5, 6\], and the graph says \[3, 6\]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(name):
    """By a proposal, and by an insertion of what was proposed before."""
    change, said = REFUSED[name]
    network = model("batch" if "norm" in said or "layer" in name else "none")
    best = dagrow.propose(
        network, functional.cross_entropy, data(), neurons=2, significance=0, shrinkage=0.01, fallback_method="none"
    ).best
    change(network)
    for use in (
        lambda: dagrow.propose(network, functional.cross_entropy, data(), neurons=2),
        lambda: dagrow.apply(network, best),
    ):
        with pytest.raises(dagrow.GrowthError, match=said) as caught:
            use()
        assert "\n" not in str(caught.value)


AROUND = {
    "inference mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("name", AROUND)
def test_it_works_within(name):
    """As outside, to the last bit, and the network goes on training."""
    plain, _ = grown(model())
    own = model()
    with AROUND[name]():
        network, optimizer = grown(own, [(x * 1, y * 1) for x, y in data()])
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), network.parameters(), strict=True))
    functional.cross_entropy(network(data()[0][0]), data()[0][1]).backward()
    optimizer.step()


def test_weights_made_in_inference_mode_are_refused():
    with torch.inference_mode():
        network = model()
    with pytest.raises(dagrow.GrowthError, match=r"made in torch\.inference_mode"):
        grown(network)


@pytest.mark.parametrize("norm", ["batch", "cap_batch"])
def test_a_last_batch_of_one_in_eval_mode(norm):
    grown(model(norm))


def test_a_last_batch_of_one_that_batch_norm_cannot_train_on_is_told():
    with pytest.raises(dagrow.DataError, match=r"cannot run on batch 4 of the data, of shape \[1, 6\]: Expected more"):
        grown(model("batch").train())


def test_data_that_do_not_fit_are_told():
    x, y = data(121)[0]
    for batch, said in (((x[:, :4], y), "cannot run on batch 1"), ((x, y + 5), "the loss cannot be had")):
        with pytest.raises(dagrow.DagrowError, match=said):
            dagrow.propose(model(), functional.cross_entropy, [batch])
