"""Networks under torch.compile, torch.export and torch.func, before and after growth."""

import pytest
import torch
from build_networks import inputs_of, zoo_network
from torch import nn
from zoo import BUILDING as ZOO

from dagrow.build import build
from dagrow.build.edge_weight import EdgeWeight
from dagrow.mutation import Change, NewFeatures, apply_change
from dagrow.spec.graph import EdgeId


def grow(model, count=2):
    """Widens h of the small network, fan-out and all."""
    weight = model.h.from_x.weight
    features = NewFeatures(
        "h",
        {EdgeId("x", "h"): EdgeWeight(torch.ones(count, 4).to(weight), torch.ones(count).to(weight))},
        {EdgeId("h", "y"): torch.ones(2, count).to(weight)},
    )
    apply_change(model, Change(features))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_network_grows(backend):
    torch.compiler.reset()
    model = zoo_network("mlp")
    (x,) = inputs_of(model.spec)
    compiled = torch.compile(model, backend=backend)
    torch.testing.assert_close(compiled(x), model(x))
    for _ in range(2):
        before = model(x)
        grow(model)
        assert not torch.allclose(model(x), before)
        torch.testing.assert_close(compiled(x), model(x))
    compiled(x).sum().backward()
    assert model.h.from_x.weight.grad.shape == (7, 4)
    torch.compiler.reset()


@pytest.mark.parametrize("name", ["convolutions", "tokens", "two in, two out", "lone identities"])
def test_networks_compile_whole(name):
    torch.compiler.reset()
    model = zoo_network(name)
    xs = inputs_of(model.spec)
    torch.testing.assert_close(torch.compile(model, backend="eager", fullgraph=True)(*xs), model(*xs))
    torch.compiler.reset()


@pytest.mark.parametrize("name", ZOO)
def test_networks_export_with_any_batch_size(name):
    model = zoo_network(name)
    batch = torch.export.Dim("batch", min=1, max=64)
    xs = inputs_of(model.spec)
    program = torch.export.export(model, tuple(xs), dynamic_shapes=[{0: batch} for _ in xs])
    more = inputs_of(model.spec, count=7)
    torch.testing.assert_close(program.module()(*more), model(*more))


def test_a_grown_network_exports():
    model = zoo_network("mlp")
    grow(model)
    (x,) = inputs_of(model.spec)
    program = torch.export.export(model, (x,))
    torch.testing.assert_close(program.module()(x), model(x))
    assert program.state_dict["h.from_x.weight"].shape == (5, 4)


@pytest.mark.parametrize("name", ["mlp", "tokens"])
def test_functional_call_and_vmap(name):
    model = zoo_network(name)
    (x,) = inputs_of(model.spec)
    weights = dict(model.named_parameters())

    def single(x):
        return torch.func.functional_call(model, weights, (x.unsqueeze(0),)).squeeze(0)

    torch.testing.assert_close(torch.func.vmap(single)(x), model(x))


def test_training_mode_reaches_every_layer():
    model = build(ZOO["two in, two out"], seed=0)
    dropouts = [m for m in model.modules() if isinstance(m, nn.Dropout)]
    assert [m.p for m in dropouts] == [0.5]
    assert all(m.training for m in model.modules())
    assert not any(m.training for m in model.eval().modules())
