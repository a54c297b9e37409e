"""Units that come with fan-out 0 and units that are taken away, wherever their features travel."""

import copy

import pytest
import torch
from mutation_cases import MLP, Picture, losses_step, network
from test_mutation_positions import GRAPHS
from torch import optim

from dagrow.build import Network, build
from dagrow.build.units import fan_outs
from dagrow.contrib.nonparametric import AdaRadM, add_units, remove_units
from dagrow.errors import GrowthError


def inputs_of(model: Network, samples: int = 6) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = [entry.shape for entry in model.spec.inputs.values()]
    return [torch.randn(samples, *shape, generator=generator, dtype=torch.float64) for shape in shapes]


def stepped(model: Network) -> optim.Optimizer:
    optimizer = optim.Adam(model.parameters())
    optimizer.zero_grad()
    out = model(*inputs_of(model))
    sum(part.square().mean() for part in (out if isinstance(out, tuple) else (out,))).backward()
    optimizer.step()
    return optimizer


def close(a, b) -> None:
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("case", GRAPHS)
def test_new_units_change_nothing_and_can_be_taken_away_again(case, training):
    node, fields = GRAPHS[case]
    model = network(fields)
    optimizer = stepped(model)
    model.train(training)
    twin = copy.deepcopy(model)
    x, size = inputs_of(model), model.dag.size(node)
    state = {key: copy.deepcopy(optimizer.state[p]) for key, p in model.named_parameters()}
    spec = model.spec
    add_units(model, node, 3, torch.Generator().manual_seed(0), optimizer)
    assert model.dag.size(node) == size + 3
    close(copy.deepcopy(model)(*x), copy.deepcopy(twin)(*x))
    gone = torch.arange(size + 3) >= size
    remove_units(model, node, gone, optimizer)
    assert {n: model.dag.size(n) for n in model.dag.order} == {n: twin.dag.size(n) for n in twin.dag.order}
    assert model.spec.nodes.keys() == spec.nodes.keys()
    for key, value in twin.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key
    for key, parameter in model.named_parameters():
        assert optimizer.state[parameter].keys() == state[key].keys()
        assert all(torch.equal(optimizer.state[parameter][k], v) for k, v in state[key].items())


@pytest.mark.parametrize("case", GRAPHS)
def test_units_that_nothing_reads_can_go(case):
    """Zeros are put where the map of fan-outs says; were it wrong, the function would change."""
    node, fields = GRAPHS[case]
    model = network(fields)
    optimizer = stepped(model)
    size = model.dag.size(node)
    side = next(side for side in fan_outs(model.dag) if side.node == node)
    gone = torch.zeros(size, dtype=torch.bool)
    gone[[0, size - 1]] = True
    with torch.no_grad():
        for block in side.blocks:
            part = block.part(model.get_parameter(block.key), size)
            part.mul_(block.spread((~gone).double(), part.dim()))
    model.eval()
    x = inputs_of(model)
    before, kept = model(*x), copy.deepcopy(model)
    if gone.all():
        gone[0] = False
    remove_units(model, node, gone, optimizer)
    close(model(*x), before)
    built = build(model.spec, seed=0)
    assert {k: v.shape for k, v in model.state_dict().items()} == {k: v.shape for k, v in built.state_dict().items()}
    assert sum(p.numel() for p in model.parameters()) < sum(p.numel() for p in kept.parameters())
    stepped(model)


def test_entries_per_unit_survive_a_node_that_shrinks_to_one_unit_and_grows_again():
    model = network(MLP)
    optimizer = AdaRadM(model.parameters())
    losses_step(model, torch.ones(3, 4, dtype=torch.float64), optimizer)
    kept = optimizer.state[model.k.from_h.weight]["capacity"].clone()
    remove_units(model, "h", torch.tensor([False, True, True]), optimizer)
    assert torch.equal(optimizer.state[model.k.from_h.weight]["capacity"], kept)
    add_units(model, "h", 2, torch.Generator().manual_seed(0), optimizer)
    assert torch.equal(optimizer.state[model.k.from_h.weight]["capacity"], kept)
    assert optimizer.state[model.h.from_x.weight]["capacity"].flatten().count_nonzero() == 1
    losses_step(model, torch.ones(3, 4, dtype=torch.float64), optimizer)


def test_new_fan_ins_have_expected_squared_length_one():
    model = network(MLP)
    add_units(model, "h", 2000, torch.Generator().manual_seed(0))
    new = model.h.from_x.weight.detach()[3:]
    assert float(new.square().sum(1).mean()) == pytest.approx(1.0, rel=0.05)
    assert float(new.mean()) == pytest.approx(0.0, abs=0.02)
    assert not model.h.from_x.bias[3:].any()
    assert not model.k.from_h.weight[:, 3:].any()


def test_what_cannot_be_taken_away_is_refused_and_nothing_changes():
    model = network(MLP)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses_step(model, torch.ones(3, 4, dtype=torch.float64), optimizer)
    before = Picture(model, optimizer)
    everything = torch.ones(3, dtype=torch.bool)
    for node, gone, message in (
        ("h", everything, "has 3 units, of which one must stay: 3 cannot be taken away"),
        ("h", everything[:2], "has 3 units"),
        ("y", everything[:1], "'y' cannot lose units: it is an output"),
        ("z", everything, "'z' cannot lose units: the graph has no such node"),
    ):
        with pytest.raises(GrowthError, match=message):
            remove_units(model, node, gone, optimizer)
    with pytest.raises(GrowthError, match="'y' cannot gain units: it is an output"):
        add_units(model, "y", 1, torch.Generator(), optimizer)
    remove_units(model, "h", ~everything, optimizer)
    before.assert_unchanged()
