"""Parts of a batch, clipping, autocast: what they change of a gradient step, and what they leave alone."""

import pytest
import torch
from torch.nn import functional
from zoo.checkpoints import GRAPH

import dagrow
from dagrow.distributed import Processes
from dagrow.errors import OptimizerError
from dagrow.spec import TrainingSpec
from dagrow.training.gradient_rules import GradientRules

PLAIN = {**GRAPH, "nodes": {"h": {"size": 4, "activation": "tanh"}, "y": {"size": 2}}}
X = torch.randn(24, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = (X[:, 0] > 0).long()


def network(dtype=torch.float64):
    return dagrow.build(dagrow.GraphSpec.model_validate(PLAIN), seed=0).to(dtype)


def gradient(rules, count=24, dtype=torch.float64, weight=1.0):
    net = network(dtype)
    value = rules.backward(net, functional.cross_entropy, X[:count].to(dtype), Y[:count], weight)
    rules.clip(net)
    return value, torch.cat([p.grad.flatten() for p in net.parameters()])


@pytest.mark.parametrize(("parts", "count"), [(2, 24), (5, 24), (7, 23), (100, 24), (4, 1), (3, 2)])
def test_parts_add_up_to_the_gradient_of_the_whole_batch(parts, count):
    whole_value, whole = gradient(GradientRules(), count, weight=0.5)
    value, found = gradient(GradientRules(accumulate=parts), count, weight=0.5)
    assert value == pytest.approx(whole_value, rel=1e-12)
    assert torch.allclose(found, whole, rtol=1e-10, atol=1e-14)


def test_every_part_has_two_samples_at_least_and_less_goes_through_at_once():
    sizes = []
    net = network()
    net.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    GradientRules(accumulate=100).backward(net, functional.cross_entropy, X[:23], Y[:23])
    assert (sum(sizes), min(sizes), max(sizes)) == (23, 2, 3)


def test_several_inputs_and_targets_are_cut_alike():
    def loss(output, target):
        return functional.mse_loss(output, target[0] + target[1])

    def run(rules):
        layer = torch.nn.Bilinear(3, 3, 2, dtype=torch.float64)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layer.reset_parameters()
        rules.backward(layer, loss, (X, X.flip(0)), (X[:, :2], X[:, 1:]))
        return layer.weight.grad

    assert torch.allclose(run(GradientRules(accumulate=4)), run(GradientRules()), rtol=1e-10)


def test_a_long_gradient_is_scaled_down_and_a_short_one_left():
    _, free = gradient(GradientRules())
    limit = float(free.norm()) / 3
    _, clipped = gradient(GradientRules(clip_norm=limit))
    assert float(clipped.norm()) == pytest.approx(limit, rel=1e-4)
    assert torch.allclose(clipped * free.norm() / clipped.norm(), free, rtol=1e-6)
    assert torch.equal(gradient(GradientRules(clip_norm=100.0))[1], free)


def test_bfloat16_computes_layers_in_it_and_the_loss_and_gradients_in_float32():
    seen = []

    def loss(output, target):
        seen.append(output.dtype)
        return functional.cross_entropy(output, target)

    net = network(torch.float32)
    GradientRules("bfloat16").backward(net, loss, X.float(), Y)
    found = torch.cat([p.grad.flatten() for p in net.parameters()])
    assert seen == [torch.float32]
    assert found.dtype == torch.float32
    _, exact = gradient(GradientRules(), dtype=torch.float32)
    assert not torch.equal(found, exact)
    assert float((found - exact).norm() / exact.norm()) < 0.05


def test_several_processes_share_batches_already():
    class Two(Processes):
        count = 2

    with pytest.raises(OptimizerError, match=r"training\.accumulate is 2: 2 processes share each batch already"):
        GradientRules.of(TrainingSpec(accumulate=2), Two())


def test_decisions_of_growth_are_in_full_precision():
    """A run without training decides the same with and without autocast."""
    samples = (X.float(), Y)
    training = {"epochs_between_growth": 0, "final_epochs": 0}
    growth = {"budget": {"steps": 1}, "fallback_method": "none", "neurons": 1}
    options = {"train": samples, "growth": growth, "write": False}
    plain, cast = (
        dagrow.grow(PLAIN, training={**training, "precision": precision}, **options)
        for precision in ("full", "bfloat16")
    )
    lines = [[line["plan"] for line in run.events if line["event"] == "growth"] for run in (plain, cast)]
    assert lines[0] == lines[1]
    assert lines[0]


@pytest.mark.parametrize("training", [{"precision": "bfloat16"}, {"accumulate": 3, "clip_norm": 0.1}])
def test_a_run_with_them_learns_grows_and_is_resumed_to_the_same_bits(tmp_path, training):
    class Fail(dagrow.Callback):
        def on_growth(self, run, event):
            raise ValueError

    samples = (X.float(), Y)
    own = {"batch_size": 8, "epochs_between_growth": 2, "final_epochs": 2, "optimizer": {"lr": 0.05}, **training}
    growth = {"budget": {"steps": 1}, "fallback_method": "none", "neurons": 1}
    options = {"train": samples, "test": samples, "training": own, "growth": growth}
    whole = dagrow.grow(PLAIN, **options, write=False)
    with pytest.raises(dagrow.CallbackError):
        dagrow.grow(PLAIN, **options, out=tmp_path / "run", callbacks=Fail())
    resumed = dagrow.grow(PLAIN, **options, out=tmp_path / "run", resume=True)
    pairs = zip(whole.model.state_dict().values(), resumed.model.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    start = next(line for line in whole.events if line["event"] == "start")
    assert whole.train.loss < start["train_loss"]
    plainly = {**options, "training": {key: value for key, value in own.items() if key not in training}}
    assert dagrow.grow(PLAIN, **plainly, write=False).train.loss != whole.train.loss
