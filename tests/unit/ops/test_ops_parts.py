"""The parts of a node: activations, norms and pools."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from dagrow.ops import ACTIVATIONS, NORMS, Pool, ShapeError, TensorLayout

Z = torch.linspace(-3, 3, 41, dtype=torch.float64)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_one_function_in_every_form(name):
    act = ACTIVATIONS[name]
    expected = act.module()(Z)
    assert torch.equal(act.function(Z), expected)
    assert torch.equal(eval(act.call.format("Z"), {"nn": nn, "torch": torch, "Z": Z}), expected)
    assert repr(eval(act.export_line, {"nn": nn})) == repr(act.module())


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_what_growth_knows_of_an_activation_near_zero(name):
    act, eps = ACTIVATIONS[name], 1e-7
    at = act.function(torch.tensor([-eps, 0.0, eps], dtype=torch.float64))
    assert float(at[1]) == pytest.approx(act.at_zero, abs=1e-15)
    assert float(at[2] - at[1]) / eps == pytest.approx(act.slope_right, abs=1e-5)
    assert float(at[1] - at[0]) / eps == pytest.approx(act.slope_left, abs=1e-5)
    scaled = all(torch.allclose(act.function(c * Z), c * act.function(Z), rtol=1e-12) for c in (0.1, 7.0))
    assert act.homogeneous == scaled
    assert act.smooth_at_zero == (abs(act.slope_left - act.slope_right) < 1e-9)
    if act.at_zero == 0:
        torch.testing.assert_close(act.infinitesimal(Z), act.function(eps * Z) / eps, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("batch", (3,)),
        ("batch", TensorLayout((3, 4), 0)),
        ("batch", (3, 4, 5)),
        ("batch", (3, 2, 4, 5)),
        ("cap_batch", (3,)),
        ("cap_batch", (3, 4, 5)),
        ("cap_batch", (3, 2, 4, 5)),
        ("layer", (3,)),
        ("layer", (4, 3)),
        ("layer", TensorLayout((4, 5, 3), 2)),
        ("layer", TensorLayout((3, 4), 0)),
        ("layer", (3, 4, 5)),
        ("layer", (3, 2, 4, 5)),
    ],
)
def test_norms(name, shape):
    norm = NORMS[name]
    layer = norm.module(shape)
    exported = eval(norm.export_line(shape), {"nn": nn})
    assert repr(exported) == repr(layer) or name == "cap_batch"
    assert {key: value.shape for key, value in exported.state_dict().items()} == {
        key: value.shape for key, value in layer.state_dict().items()
    }
    assert sum(p.numel() for p in layer.parameters()) == norm.parameters_per_feature * TensorLayout.of(shape).channels
    assert layer(torch.randn(4, *shape)).shape == (4, *shape)
    x = torch.randn(50, *shape)
    y = layer(x)
    layout = TensorLayout.of(shape)
    grouped = [*range(1, y.dim())] if layout.order == "channels_first" else [-1]
    axes = [0, *range(2, y.dim())] if norm.over_samples else grouped
    torch.testing.assert_close(y.mean(axes), torch.zeros_like(y.mean(axes)), rtol=0, atol=1e-5)
    assert norm.per_feature == norm.over_samples
    larger = norm.module(shape)(x * 100)
    difference = (norm.module(shape)(x * 0.1) - larger).abs().median()
    assert norm.scale_invariant == (float(difference.detach()) < 0.05)


@pytest.mark.parametrize("shape", [(3,), (3, 4, 5)])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["batch", "cap_batch"])
def test_new_features_of_a_batch_norm_are_normalised_as_the_grown_layer_will(name, shape, training):
    norm, z = NORMS[name], torch.randn(20, *shape) * 3 + 1
    mean, variance = torch.rand(3), torch.rand(3) + 0.5
    layer = norm.module(shape).train(training)
    layer.load_state_dict(norm.new_entries(mean, variance), strict=False)
    torch.testing.assert_close(norm.normalise(z, mean, variance, layer), layer(z))


@pytest.mark.parametrize("name", ["batch", "cap_batch"])
def test_norms_over_samples_refuse_tokens(name):
    for ask in (NORMS[name].module, NORMS[name].export_line):
        with pytest.raises(ShapeError, match=f"norm '{name}' takes vectors or maps, not tokens"):
            ask((4, 3))


@pytest.mark.parametrize("shape", [(5,), (4, 5)])
def test_rms_norm_by_hand(shape):
    layer, z = NORMS["rms"].module(shape), torch.randn(20, *shape) * 3 + 1
    assert repr(eval(NORMS["rms"].export_line(shape), {"nn": nn})) == repr(layer)
    torch.testing.assert_close(layer(z), z / z.square().mean(-1, keepdim=True).sqrt())
    assert sum(p.numel() for p in layer.parameters()) == NORMS["rms"].parameters_per_feature * shape[-1]
    torch.testing.assert_close(layer(100 * z), layer(z))
    for wrong, said in (((3, 4, 5), "takes vectors or tokens, not maps"), ((1,), "leaves its sign")):
        with pytest.raises(ShapeError, match=f"norm 'rms' .*{said}"):
            NORMS["rms"].check(wrong)


@pytest.mark.parametrize("shape", [(4,), (4, 2, 3)])
def test_cap_norm_by_hand(shape):
    """Section 3.2: each feature less its mean, over the larger of its deviation and 1."""
    scales = torch.tensor([0.1, 0.9, 1.1, 30.0]).view(4, *[1] * (len(shape) - 1))
    layer, z = NORMS["cap_batch"].module(shape), torch.randn(50, *shape) * scales + 3
    wanted = torch.empty_like(z)
    for j in range(4):
        wanted[:, j] = (z[:, j] - z[:, j].mean()) / max(float(z[:, j].std(correction=0)), 1.0)
    torch.testing.assert_close(layer(z), wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer.running_mean, 0.1 * z.transpose(0, 1).flatten(1).mean(1))
    capped = z.transpose(0, 1).flatten(1).var(1).clamp(min=1)
    torch.testing.assert_close(layer.running_var, 0.9 + 0.1 * capped)
    assert layer.num_batches_tracked == 1


@pytest.mark.parametrize("shape", [(4,), (4, 2, 3)])
def test_cap_norm_is_exported_as_the_batch_norm_that_evaluates_alike(shape):
    norm, z = NORMS["cap_batch"], torch.randn(50, *shape) * 5
    layer = norm.module(shape)
    for _ in range(3):
        layer(z)
    exported = eval(norm.export_line(shape), {"nn": nn})
    exported.load_state_dict(layer.state_dict())
    assert torch.equal(exported.eval()(z), layer.eval()(z))


def test_layer_norms_take_in_no_features():
    for ask in (
        lambda: NORMS["layer"].new_entries(torch.zeros(1), torch.ones(1)),
        lambda: NORMS["layer"].normalise(torch.zeros(2, 1), torch.zeros(1), torch.ones(1), nn.Identity()),
    ):
        with pytest.raises(ShapeError, match="norm 'layer' cannot take in new features"):
            ask()


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["max", "average"]),
    st.integers(1, 4),
    st.none() | st.integers(1, 4),
    st.integers(0, 2),
    st.lists(st.integers(1, 8), min_size=2, max_size=4),
)
def test_pools_on_maps(kind, kernel, stride, padding, shape):
    shape = TensorLayout(shape, 0)
    assume(2 * padding <= kernel)
    pool = Pool(kind=kind, kernel=kernel, stride=stride, padding=padding)
    # torch averages no volume smaller than the window, so there it is refused.
    assume(min(shape[1:]) + (2 * padding if len(shape) < 4 else 0) >= kernel)
    layer, x = pool.module(shape), torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    y = layer(x)
    assert tuple(y.shape[1:]) == pool.output_shape(shape)
    assert repr(eval(pool.export_line(shape), {"nn": nn})) == repr(layer)
    assert torch.equal(pool.functional(x, shape), y)
    windows = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[len(shape) - 2](kernel, pool.step, padding)(x)
    assert torch.equal(pool.averaged(x, shape), windows)


@given(st.integers(1, 3), st.lists(st.integers(1, 4), min_size=2, max_size=4))
def test_upsampling(factor, shape):
    shape = TensorLayout(shape, 0)
    pool, x = Pool(kind="upsample", kernel=factor), torch.randn(2, *shape, dtype=torch.float64)
    expected = x
    for axis in shape.position_axes:
        expected = expected.repeat_interleave(factor, axis)
    assert pool.output_shape(shape) == tuple(expected.shape[1:])
    layer = pool.module(shape)
    assert repr(eval(pool.export_line(shape), {"nn": nn})) == repr(layer)
    for found in (pool.functional(x, shape), pool.averaged(x, shape), layer(x)):
        assert torch.equal(found, expected)


@given(st.lists(st.integers(1, 4), min_size=2, max_size=3))
def test_the_global_average(shape):
    pool, shape = Pool.model_validate("global_average"), tuple(shape)
    x = torch.randn(2, *shape, dtype=torch.float64)
    expected = x.flatten(2).mean(2) if len(shape) == 3 else x.mean(1)
    assert pool.output_shape(shape) == tuple(expected.shape[1:])
    torch.testing.assert_close(pool.functional(x, shape), expected)
    layer = pool.module(shape)
    assert (layer is None) == (len(shape) == 2)
    if layer is not None:
        torch.testing.assert_close(layer(x).flatten(1), expected)


def test_pools_that_make_no_sense():
    with pytest.raises(ValueError, match="padding 2 is more than half the kernel 3"):
        Pool(kind="max", kernel=3, padding=2)
    with pytest.raises(ValueError, match="'global_average' takes no kernel, stride or padding"):
        Pool(kind="global_average", kernel=3)
    with pytest.raises(ValueError, match="'upsample' takes no stride or padding"):
        Pool(kind="upsample", kernel=2, stride=2)
    with pytest.raises(ShapeError, match=r"pool 'upsample' takes maps \[channels, height, width\], not \[4\]"):
        Pool(kind="upsample").output_shape((4,))
    with pytest.raises(ShapeError, match=r"pool kernel 3 is larger than the map \[1, 2, 2, 2\]"):
        Pool(kind="max", kernel=3, padding=1).output_shape((1, 2, 2, 2))
    with pytest.raises(ValueError, match="kind"):
        Pool(kind="median")
    assert Pool(kind="max", kernel=3).plain == "max 3"
