"""`dagrow.spot`: what is narrow is found, what is not is left alone, and the answer is told in three ways."""

import json
import math

import pytest
import torch
from torch.nn import functional

import dagrow

GRAPH = {
    "inputs": {"x": {"shape": [6]}},
    "nodes": {"h": {"size": 1}, "y": {"size": 5}},
    "edges": {"x -> h": "linear", "h -> y": "linear"},
    "outputs": ["y"],
}


def network(**changes):
    return dagrow.build(dagrow.GraphSpec.model_validate({**GRAPH, **changes}), seed=1)


def samples(count=400, rank=4, noise=0.05):
    """A linear map of a known rank, with noise."""
    draw = torch.Generator().manual_seed(3)
    x = torch.randn(count, 6, generator=draw)
    A = torch.randn(6, rank, generator=draw) @ torch.randn(rank, 5, generator=draw)
    return [(x, x @ A + noise * torch.randn(count, 5, generator=draw))]


@pytest.fixture(scope="module")
def narrow():
    return dagrow.spot(network(), functional.mse_loss, samples(), neurons=4)


def test_a_narrow_layer_is_found(narrow):
    """A map of rank 4 that goes through one feature lacks three, and these take off nearly all of the bottleneck."""
    (widening,) = narrow.widenings
    assert (widening.node, widening.features, widening.reason) == ("h", 3, "")
    assert widening.gain > 0.5 * narrow.loss
    assert widening.relief > 0.9
    low, high = widening.interval
    assert 0 < low < widening.gain < high
    assert narrow.held_out == pytest.approx(80, abs=25)
    y = next(each for each in narrow.bottlenecks if each.node == "y")
    assert y.share - 2 * y.standard_error > 0.3


def test_a_wide_one_is_not():
    """Where existing weights can do it all, more features gain nothing."""
    spec = network(edges={**GRAPH["edges"], "x -> y": "linear"})
    found = dagrow.spot(spec, functional.mse_loss, samples(noise=0.0), neurons=4)
    y = next(each for each in found.bottlenecks if each.node == "y")
    assert y.share < 1e-6
    (widening,) = found.widenings
    assert widening.features == 0
    assert widening.reason


def test_as_text_and_as_data(narrow):
    text = str(narrow)
    assert text.startswith(f"loss {narrow.loss:.6g} on 400 samples, {narrow.held_out} of them held out")
    assert "what 4 more features would gain" in text
    assert "y keeps its size: it is an output" in text
    entry = json.loads(json.dumps(narrow.entry, allow_nan=False))
    (widening,) = entry["widenings"]
    assert widening["parameters"] == 3 * (6 + 1) + 3 * 5
    assert widening["interval"] == list(narrow.widenings[0].interval)
    assert [each["node"] for each in entry["bottlenecks"]] == ["h", "y"]
    assert entry["fixed"][0]["node"] == "y"


def test_as_a_picture(narrow, tmp_path):
    path = narrow.save(tmp_path / "spot.svg", title="a <title>")
    text = path.read_text(encoding="utf-8")
    for words in ("not supplied", "gain of 4 more features", "h +3", "a &lt;title&gt;"):
        assert words in text
    assert narrow.save(tmp_path / "spot.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(dagrow.DagrowError, match="a picture ends with one of"):
        narrow.save(tmp_path / "spot.pdf")


def test_gains_that_may_be_chance_are_told_with_their_interval():
    """Targets that have nothing to do with the inputs: no features, or features whose interval holds 0."""
    data = [(samples()[0][0], torch.randn(400, 5, generator=torch.Generator().manual_seed(8)))]
    found = dagrow.spot(network(), functional.mse_loss, data, neurons=2, significance=0.0)
    (widening,) = found.widenings
    assert widening.gain is None or widening.gain - 2 * widening.standard_error <= 0
    careful = dagrow.spot(network(), functional.mse_loss, data, neurons=2)
    assert careful.widenings[0].reason


def test_some_nodes_only():
    found = dagrow.spot(network(), functional.mse_loss, samples(), nodes=["y"])
    assert [each.node for each in found.bottlenecks] == ["y"]
    assert found.widenings == ()
    assert math.isfinite(found.loss)
    assert "no node can be widened" in str(found)


def test_without_held_out_samples(narrow):
    found = dagrow.spot(network(), functional.mse_loss, samples(), held_out=0.0, shrinkage=0.0)
    assert found.held_out == 0
    assert "none of them held out" in found.title
    assert all(each.share == pytest.approx(each.fitted_share, abs=1e-5) for each in found.bottlenecks)
    assert found.widenings[0].standard_error is None


def test_refusals():
    data = samples()
    with pytest.raises(dagrow.GrowthError, match=r"there is no node 'hh' \(did you mean 'h'\?\); nodes: h, y"):
        dagrow.spot(network(), functional.mse_loss, data, nodes=["hh"])
    with pytest.raises(dagrow.GrowthError, match="must come from dagrow.build"):
        dagrow.spot(torch.nn.Linear(6, 5), functional.mse_loss, data)
    with pytest.raises(dagrow.GrowthError, match="'net2net' inserts neurons that change nothing at first"):
        dagrow.spot(network(), functional.mse_loss, data, method="net2net")
    with pytest.raises(dagrow.DagrowError, match=r"unknown method 'tony' \(did you mean 'tiny'\?\)"):
        dagrow.spot(network(), functional.mse_loss, data, method="tony")
