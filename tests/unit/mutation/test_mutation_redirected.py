"""Random weights of the same norms: same shapes, same norms per feature, other directions, the same each time."""

import pytest
import torch

from dagrow.build.edge_weight import EdgeWeight
from dagrow.graph import Structure
from dagrow.mutation import Change, NewFeatures, WeightUpdate, redirected
from dagrow.ops import find_op
from dagrow.spec.graph import EdgeId

A, B, C = EdgeId("x", "h"), EdgeId("z", "h"), EdgeId("h", "y")


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def features(*kernel, positions=1):
    fan_in = {A: EdgeWeight(drawn(3, 5, *kernel), drawn(3)), B: EdgeWeight(drawn(3, 2, *kernel), None)}
    return NewFeatures("h", fan_in, {C: drawn(4, 3 * positions, *kernel)})


def norms(found, positions=1):
    fan_in = sum(w.square().flatten(1).sum(1) + (0 if b is None else b.square()) for w, b in found.fan_in.values())
    out = found.fan_out[C]
    columns = torch.stack([out[:, k * positions : (k + 1) * positions].square().sum() for k in range(3)])
    return fan_in, columns


@pytest.mark.parametrize(("kernel", "positions"), [((), 1), ((3, 3), 1), ((), 4)])
def test_each_new_feature_keeps_its_norms(kernel, positions):
    old = features(*kernel, positions=positions)
    new = redirected(Change(old)).features
    for one, other in zip(norms(old, positions), norms(new, positions), strict=True):
        torch.testing.assert_close(one, other)
    for edge, (weight, _) in old.fan_in.items():
        assert new.fan_in[edge][0].shape == weight.shape
        assert not torch.allclose(new.fan_in[edge][0], weight, atol=0.1)
    assert new.fan_out[C].shape == old.fan_out[C].shape
    again = redirected(Change(old)).features
    assert torch.equal(again.fan_out[C], new.fan_out[C])


def test_new_edges_keep_their_norm_and_updates_of_old_weights_go():
    weights = {A: EdgeWeight(drawn(3, 5), drawn(3)), B: EdgeWeight(drawn(3, 2), None)}
    change = Change(
        updates=(WeightUpdate("h", weights),), structure=Structure(edges={B: find_op("linear")(bias=False)})
    )
    (update,) = redirected(change).updates
    assert update.weights.keys() == {B}
    weight, bias = update.weights[B]
    assert bias is None
    torch.testing.assert_close(weight.norm(), weights[B][0].norm())
    assert not torch.allclose(weight, weights[B][0], atol=0.1)
