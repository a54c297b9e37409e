"""What samples weigh in a loss is read off the loss itself; what is no mean over samples is refused."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

import dagrow
from dagrow.errors import GrowthError
from dagrow.statistics.weighing import CheckedLoss, Weighing

CLASSES = torch.tensor([1.0, 5.0, 0.25])


def outputs(n=30):
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(3, (n,), generator=generator)
    return torch.randn(n, 3, generator=generator), target


def ignoring(target):
    return torch.where(torch.arange(len(target)) % 3 == 1, -100, target)


def pixels(n=30):
    generator = torch.Generator().manual_seed(1)
    target = torch.randint(3, (n, 2, 2), generator=generator)
    target[torch.rand(n, 2, 2, generator=generator) < 0.3] = -100
    return torch.randn(n, 3, 2, 2, generator=generator), target


CASES = {
    "plain": (nn.CrossEntropyLoss(), outputs(), torch.ones(30)),
    "smoothed": (nn.CrossEntropyLoss(label_smoothing=0.1), outputs(), torch.ones(30)),
    "squared": (functional.mse_loss, (outputs()[0], outputs(30)[0].flip(0)), torch.ones(30)),
    "class weights": (nn.CrossEntropyLoss(weight=CLASSES), outputs(), CLASSES[outputs()[1]]),
    "ignored": (nn.CrossEntropyLoss(), (outputs()[0], ignoring(outputs()[1])), (ignoring(outputs()[1]) >= 0).float()),
    "ignored pixels": (nn.CrossEntropyLoss(), pixels(), (pixels()[1] >= 0).float().sum((1, 2))),
}


@pytest.mark.parametrize("name", CASES)
def test_weights_are_those_of_the_samples(name):
    """Relative to one another, over batches of unequal sizes and parts of them."""
    loss, (outs, target), true = CASES[name]
    weighing, cuts = Weighing(CheckedLoss(loss)), [slice(0, 12), slice(12, 17), slice(17, 30)]
    found = torch.tensor([weighing.batch(i, (outs[cut],), target[cut]) for i, cut in enumerate(cuts, start=1)])
    wanted = torch.stack([true[cut].sum() for cut in cuts])
    torch.testing.assert_close(found / found.sum(), wanted / wanted.sum(), rtol=1e-4, atol=0)
    assert weighing.plain == bool((true == 1).all())
    part = weighing.part("some", (outs[:7],), target[:7])
    assert part / float(found.sum()) == pytest.approx(float(true[:7].sum() / true.sum()), rel=1e-4)


def test_a_part_of_which_all_is_ignored_weighs_nothing():
    loss, (outs, target), _ = CASES["ignored"]
    weighing = Weighing(CheckedLoss(loss))
    weighing.batch(1, (outs,), target)
    assert weighing.part("none", (outs[1:2],), target[1:2]) == 0.0


NO_MEANS = {
    "sum": nn.CrossEntropyLoss(reduction="sum"),
    "sum over a number": lambda o, t: functional.cross_entropy(o, t, reduction="sum") / 100,
    "root of a mean": lambda o, t: functional.mse_loss(o[:, 0], t.float()).sqrt(),
}


@pytest.mark.parametrize("size", [30, 1])
@pytest.mark.parametrize("name", NO_MEANS)
def test_what_is_no_mean_is_refused(name, size):
    weighing, (outs, target) = Weighing(CheckedLoss(NO_MEANS[name])), outputs()

    def weigh():
        return [weighing.batch(i, (outs[i : i + size],), target[i : i + size]) for i in range(0, 30, size)]

    with pytest.raises(GrowthError, match="the loss must be the mean over the samples of a batch: the shares"):
        weigh()


GRAPH = dagrow.GraphSpec.model_validate({
    "inputs": {"x": {"shape": [6]}},
    "nodes": {"h": {"size": 2, "activation": "relu"}, "y": {"size": 3}},
    "edges": {"x -> h": "linear", "h -> y": "linear"},
    "outputs": ["y"],
})  # fmt: skip


@pytest.mark.share(0.35)
@pytest.mark.parametrize("held_out", [0.0, 0.25])
@pytest.mark.parametrize("name", ["class weights", "ignored"])
def test_plans_of_weighted_losses_do_not_depend_on_batches(name, held_out):
    loss, model = copy.deepcopy(CASES[name][0]).double(), dagrow.build(GRAPH, seed=0).double().eval()
    x = torch.randn(240, 6, generator=torch.Generator().manual_seed(3)).double()
    y = (x[:, 0] * x[:, 1] > 0).long() + (x[:, 2] > 1).long()
    y = ignoring(y) if name == "ignored" else y
    plans = []
    for size in (240, 50, 7, 2):
        data = [(x[i : i + size], y[i : i + size]) for i in range(0, 240, size)]
        options = {"neurons": 2, "shrinkage": 0.01, "significance": 0, "held_out": held_out, "fallback_method": "none"}
        plans.append(dagrow.propose(model, loss, data, **options))
    first = plans[0]
    for plan in plans[1:]:
        assert plan.loss == pytest.approx(first.loss, rel=1e-6)
        assert plan.best.gain == pytest.approx(first.best.gain, rel=1e-4)
    grown = copy.deepcopy(model)
    dagrow.apply(grown, first.best)
    assert float((loss(model(x), y) - loss(grown(x), y)).detach()) == pytest.approx(first.best.gain, rel=1e-5)


LOSSES = {
    "a float": (lambda o, t: functional.cross_entropy(o, t).item(), "must be a tensor, .* not a float"),
    "an array": (lambda o, t: functional.cross_entropy(o, t).detach().numpy(), "must be a tensor, .* not a ndarray"),
    "nothing": (lambda o, t: None, "must be a tensor, .* not a NoneType"),
    "detached": (lambda o, t: functional.cross_entropy(o.detach(), t), "no gradient flows"),
    "not of the shape": (lambda o, t: functional.cross_entropy(o[:, :1], t), "the loss cannot be had for outputs of"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_that_cannot_be_used_is_one_sentence(name):
    loss, said = LOSSES[name]
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(3))
    with pytest.raises(GrowthError, match=said) as caught:
        dagrow.propose(dagrow.build(GRAPH, seed=0), loss, [(x, (x[:, 0] > 0).long())])
    assert "\n" not in str(caught.value)
