"""A grown module on disk comes back by torch and its own class alone."""

import json
import subprocess
import sys

import pytest
import torch
from capture_zoo import ZOO, Gpt, Mlp, captured
from torch import nn

from dagrow.errors import DataError, GrowthError
from dagrow.module_growth import apply_to_module, grow_module, propose_for_module
from dagrow.resize import save_module, widen
from dagrow.resize.reload import load


def test_what_was_saved_comes_back(tmp_path):
    net = captured("gpt").copied()
    for name in ("wte:out", "h.0.attn.qkv:heads", "h.0.fc1:out"):
        widen(net, name, 2)
    save_module(net, tmp_path)
    again = load(Gpt().double(), tmp_path).eval()
    with torch.no_grad():
        assert torch.equal(again(net.example_inputs), net.model(net.example_inputs))
    assert again.lm_head.weight is again.wte.weight
    assert again.h[0].attn.num_heads == 5
    assert all(isinstance(parameter, nn.Parameter) for parameter in again.parameters())


def test_the_file_needs_torch_and_nothing_of_this_package(tmp_path):
    net = captured("mlp").copied()
    widen(net, "net.0:out", 3)
    save_module(net, tmp_path)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import torch; from torch import nn; from resize import load\n"
        "class M(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.net = nn.Sequential(nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 3))\n"
        "m = load(M(), sys.argv[1]); assert m.net[0].out_features == 10 and m.net[2].weight.shape == (5, 10)\n"
        "assert 'dagrow' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_another_class_is_refused(tmp_path):
    net = captured("mlp").copied()
    widen(net, "net.0:out", 3)
    save_module(net, tmp_path)
    with pytest.raises(ValueError, match="Linear has no tensor net.0.weight"):
        load(nn.Linear(2, 2), tmp_path)
    growth = json.loads((tmp_path / "growth.json").read_text())
    growth["attributes"]["net.0"]["_parameters"] = 3
    (tmp_path / "growth.json").write_text(json.dumps(growth))
    with pytest.raises(ValueError, match="net.0 has no attribute _parameters"):
        load(Mlp().double(), tmp_path)


def mlp_batches():
    x = torch.cat([ZOO["mlp"][1]() for _ in range(20)]).double()
    return [(part, part[:, :3].argmax(1)) for part in x.split(20)]


def test_the_loop_trains_and_grows_the_module_that_it_is_given():
    torch.manual_seed(0)
    net, lines = captured("mlp").copied(), []
    optimizer = torch.optim.Adam(net.model.parameters(), lr=0.02)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    model, loss = net.model, nn.functional.cross_entropy
    grown = grow_module(
        net, optimizer, loss, mlp_batches(), epochs=4, until=2, neurons=3, scheduler=scheduler, report=lines.append
    )
    assert grown.model is model
    assert len(grown.losses) == 4
    assert [record.epoch for record in grown.growth] == [1, 2]
    sizes = {space.name: space.size for space in net.growable}
    for record in grown.growth:
        assert not record.space or sizes[record.space] >= record.size
    assert grown.growth[-1].parameters == sum(p.numel() for p in model.parameters())
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in model.parameters()}
    assert sum(line.startswith("epoch") for line in lines) == 4


def test_silent_starts_and_budgets():
    net = captured("mlp").copied()
    optimizer = torch.optim.SGD(net.model.parameters(), lr=0.01)
    loss = nn.functional.cross_entropy
    grown = grow_module(
        net,
        optimizer,
        loss,
        mlp_batches(),
        epochs=3,
        until=2,
        neurons=3,
        method="random_zero_fan_out",
        max_parameters=115,
    )
    assert len(grown.growth) == 1
    assert (grown.growth[0].channels, grown.growth[0].gain) == (3, 0)
    plan = propose_for_module(net, loss, mlp_batches(), neurons=2)
    assert plan.best is not None
    with torch.no_grad():
        before = net.model(net.example_inputs)
        apply_to_module(net, plan.best, optimizer, silent=True)
        torch.testing.assert_close(net.model(net.example_inputs), before)
    with pytest.raises(GrowthError, match="the weights have changed since"):
        apply_to_module(net, plan.best, optimizer)


def test_copies_are_proposed_by_their_bottleneck_and_keep_the_function():
    net = captured("mlp").copied()
    plan = propose_for_module(net, nn.functional.cross_entropy, mlp_batches(), neurons=2, method="net2net")
    first, second = plan.candidates
    assert first.copies
    assert first.bottleneck > second.bottleneck
    with torch.no_grad():
        before = net.model(net.example_inputs)
        apply_to_module(net, plan.best)
        torch.testing.assert_close(net.model(net.example_inputs), before)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "folding"}, GrowthError, "the method 'folding' is not for modules of one's own; allowed: tiny"),
        ({"spaces": ["net.4:out"]}, GrowthError, "'net.4:out' cannot grow: it is an output"),
        ({"held_out": 1.0}, DataError, "held_out is a share"),
    ],
)
def test_proposals_refuse_what_makes_no_sense(options, error, message):
    with pytest.raises(error, match=message):
        propose_for_module(captured("mlp"), nn.functional.cross_entropy, mlp_batches(), **options)


def test_data_that_are_no_pairs_are_refused():
    with pytest.raises(DataError, match=r"must yield \(inputs, target\) pairs"):
        propose_for_module(captured("mlp"), nn.functional.cross_entropy, [torch.randn(2, 6)])


def test_streams_and_attention_of_a_tied_gpt_gain_what_is_promised():
    net = captured("gpt")
    ids = torch.cat([ZOO["gpt"][1]() for _ in range(8)])

    def loss(out, target):
        return nn.functional.cross_entropy(out.flatten(0, 1), target.flatten())

    plan = propose_for_module(
        net, loss, [(ids, ids)], spaces=["wte:out", "h.0.attn.qkv:query_key", "h.1.attn.qkv:heads"], shrinkage=0.01
    )
    assert all(candidate.weights is not None or candidate.rejected for candidate in plan.candidates)
    assert plan.best is not None
    grown = net.copied()
    apply_to_module(grown, plan.best)
    with torch.no_grad():
        gain = float(loss(net(ids), ids) - loss(grown(ids), ids))
    assert gain == pytest.approx(plan.best.gain, rel=1e-6)


def test_what_starts_silently_has_a_reason():
    x = torch.cat([ZOO["resnext"][1]() for _ in range(4)]).double()
    plan = propose_for_module(
        captured("resnext"), nn.functional.cross_entropy, [(x, torch.arange(8) % 5)], spaces=["reduce:groups"]
    )
    assert plan.best is not None
    assert plan.best.note == "silent: conv2d has groups of several channels"
