"""With zero fan-out, gradient descent goes on for the old weights as if nothing had been inserted."""

import copy

import pytest
import torch
from mutation_cases import MLP, losses_step, network
from optimizer_cases import CASES, LR, PER_WEIGHT

from dagrow.planner import apply, propose

UPDATES = 10
X = torch.randn(40, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def candidates():
    """A random insertion of each kind that leaves the old weights where they are."""
    model = network(MLP)
    y = torch.stack([X[:, 0] * X[:, 1], X[:, 2].abs() + X[:, 3]], 1)
    plan = propose(
        model.eval(), torch.nn.functional.mse_loss, [(X, y)], candidates=["widen", "edge", "node"], method="random",
        neurons=2, shrinkage=0, significance=0, max_solved=99, max_searched=99,
    )  # fmt: skip
    found = {}
    for candidate in plan.candidates:
        if not candidate.rejected:
            found.setdefault(candidate.kind, candidate)
    return found


KINDS = ("widen", "edge", "node")


@pytest.fixture(scope="module")
def found():
    made = candidates()
    assert sorted(made) == sorted(KINDS)
    return made


def old_part(tensor, shape):
    return tensor[tuple(slice(size) for size in shape)]


@pytest.mark.share(0.24)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PER_WEIGHT)
def test_ten_updates_of_the_old_weights_are_those_of_the_ungrown_network(name, kind, found):
    """New entries are held: their gradients are set to zero, so that fan-out stays zero and nothing else differs."""
    model = network(MLP)
    make, options = CASES[name]
    weights = [p for key, p in model.named_parameters() if key.endswith("weight")]
    biases = [p for key, p in model.named_parameters() if key.endswith("bias")]
    optimizer = make([{"params": weights}, {"params": biases, "lr": LR / 10}], lr=LR, **options)
    twin, twin_optimizer = copy.deepcopy((model, optimizer))
    apply(model, found[kind], optimizer, insert="zero_fan_out_unscaled")
    assert model.spec != twin.spec
    old = dict(twin.named_parameters())
    for turn in range(UPDATES):
        batch = X[turn::UPDATES]
        losses_step(twin, batch, twin_optimizer)
        optimizer.zero_grad()
        (model(batch) - 1).square().mean().backward()
        for key, parameter in model.named_parameters():
            kept = torch.zeros_like(parameter)
            if key in old:
                old_part(kept, old[key].shape).fill_(1.0)
            parameter.grad.mul_(kept)
        optimizer.step()
        for key, parameter in old.items():
            found_now = old_part(model.get_parameter(key).detach(), parameter.shape)
            torch.testing.assert_close(found_now, parameter.detach(), rtol=1e-11, atol=1e-13, msg=f"{key}, step {turn}")
    assert any(not torch.equal(p, q) for p, q in zip(old.values(), network(MLP).parameters(), strict=True))
