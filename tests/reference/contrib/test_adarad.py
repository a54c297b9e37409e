"""AdaRad and AdaRad-M against Algorithms 1 and 2 as loops, and what turning must not change."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_adarad import Loops, rotated
from torch import Tensor, nn

from dagrow.contrib.nonparametric import AdaRad, AdaRadM

RATES = {"radial_lr": 0.3, "lr": 0.7, "beta": 0.05, "eps": 1e-8}


def data(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(40, 5, generator=generator, dtype=torch.float64)
    return x, torch.randn(40, 3, generator=generator, dtype=torch.float64)


def loss_of(weights: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Of a net of the paper: weights ``[fan-in, units]``, relu between."""
    for W in weights[:-1]:
        x = torch.relu(x @ W)
    return (x @ weights[-1] - y).square().mean()


def gradients(x: Tensor, y: Tensor):
    def gradient(weights: list[Tensor]) -> list[Tensor]:
        leaves = [W.detach().clone().requires_grad_() for W in weights]
        return list(torch.autograd.grad(loss_of(leaves, x, y), leaves))

    return gradient


def first_weights(seed: int, sizes: tuple[int, ...] = (5, 4, 6, 3)) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(a, b, generator=generator, dtype=torch.float64) / a**0.5 for a, b in pairwise(sizes)]


def loops_of(optimizer: torch.optim.Optimizer, weights: list[Tensor], x: Tensor, y: Tensor) -> Loops:
    group = optimizer.param_groups[0]
    return Loops(
        [W.clone() for W in weights],
        gradients(x, y),
        alpha_r=group["radial_lr"],
        alpha_phi=group["lr"],
        beta=group["beta"],
        epsilon=group["eps"],
        beta_arith=group.get("momentum_beta"),
    )


@pytest.mark.parametrize("kind", [AdaRad, AdaRadM])
@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 1000),
    lr=st.floats(0.01, 3.0),
    radial_lr=st.floats(0.0, 1.0),
    beta=st.floats(0.005, 1.0),
)
def test_steps_are_those_of_the_loops(kind, seed, lr, radial_lr, beta):
    x, y = data(seed)
    weights = first_weights(seed)
    parameters = [nn.Parameter(W.T.clone()) for W in weights]
    optimizer = kind(parameters, lr=lr, radial_lr=radial_lr, beta=beta)
    loops = loops_of(optimizer, weights, x, y)
    for _ in range(4):
        optimizer.zero_grad()
        loss_of([p.T for p in parameters], x, y).backward()
        optimizer.step()
        loops.iteration()
    for layer, (parameter, W) in enumerate(zip(parameters, loops.W, strict=True)):
        torch.testing.assert_close(parameter.detach().T, W, rtol=1e-10, atol=1e-10)
        state = optimizer.state[parameter]
        assert state["square_avg"].flatten().tolist() == pytest.approx(loops.phi_bar[layer], rel=1e-10, abs=1e-15)
        assert state["capacity"].flatten().tolist() == pytest.approx(loops.c[layer], rel=1e-12)
        if kind is AdaRadM:
            torch.testing.assert_close(state["momentum"].T, loops.phi_tilde[layer], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", [AdaRad, AdaRadM])
def test_groups_share_the_fastest_fan_in(kind):
    """One group per layer is one group of all: the largest average is that of the whole net (line 13)."""
    x, y = data()
    weights = first_weights(3)
    alone, apart = ([nn.Parameter(W.T.clone()) for W in weights] for _ in range(2))
    pair = (kind(alone, **RATES), kind([{"params": [p]} for p in apart], **RATES))
    for _ in range(5):
        for parameters, optimizer in zip((alone, apart), pair, strict=True):
            optimizer.zero_grad()
            loss_of([p.T for p in parameters], x, y).backward()
            optimizer.step()
    for p, q in zip(alone, apart, strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize("kind", [AdaRad, AdaRadM])
def test_each_group_has_its_own_rates(kind):
    x, y = data()
    weights = first_weights(3)
    alike, still = ([nn.Parameter(W.T.clone()) for W in weights] for _ in range(2))
    slow = {"params": [still[2]], "lr": 0.0, "radial_lr": 0.0}
    for parameters, groups in ((alike, alike), (still, [{"params": still[:2]}, slow])):
        loss_of([p.T for p in parameters], x, y).backward()
        kind(groups, **RATES).step()
    assert all(torch.equal(p, q) for p, q in zip(alike[:2], still[:2], strict=True))
    assert not torch.allclose(alike[2].T, weights[2])
    torch.testing.assert_close(still[2].detach().T, weights[2], rtol=1e-14, atol=0)


@pytest.mark.parametrize(("dtype", "steps"), [(torch.float32, 20), (torch.float64, 200)])
@pytest.mark.parametrize("kind", [AdaRad, AdaRadM])
def test_turning_keeps_lengths_and_the_radial_step_changes_only_them(kind, dtype, steps):
    x, y = (t.to(dtype) for t in data())
    parameters = [nn.Parameter(W.T.to(dtype)) for W in first_weights(1)]
    optimizer = kind(parameters, lr=0.9, radial_lr=0.0)
    lengths = [p.norm(dim=1).detach() for p in parameters]
    headings = [nn.functional.normalize(p.detach(), dim=1) for p in parameters]
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of([p.T for p in parameters], x, y).backward()
        optimizer.step()
    for parameter, length, heading in zip(parameters, lengths, headings, strict=True):
        torch.testing.assert_close(parameter.norm(dim=1), length, rtol=1e-6, atol=0)
        assert float((nn.functional.normalize(parameter.detach(), dim=1) - heading).norm(dim=1).mean()) > 0.01
    optimizer.param_groups[0].update(lr=0.0, radial_lr=0.1)
    headings = [nn.functional.normalize(p.detach(), dim=1) for p in parameters]
    optimizer.step()
    for parameter, length, heading in zip(parameters, lengths, headings, strict=True):
        assert not torch.allclose(parameter.norm(dim=1), length, rtol=1e-3)
        torch.testing.assert_close(nn.functional.normalize(parameter, dim=1), heading, rtol=0, atol=1e-6)


def test_momentum_stays_across_the_fan_ins():
    x, y = data()
    parameters = [nn.Parameter(W.T.clone()) for W in first_weights(2)]
    optimizer = AdaRadM(parameters, lr=2.0, radial_lr=0.4)
    for _ in range(100):
        optimizer.zero_grad()
        loss_of([p.T for p in parameters], x, y).backward()
        optimizer.step()
        for parameter in parameters:
            momentum = optimizer.state[parameter]["momentum"]
            cosine = nn.functional.cosine_similarity(momentum, parameter.detach(), dim=1)
            assert float(momentum.norm(dim=1).median()) > 0
            assert float(cosine.abs().max()) < 1e-10


def test_both_readings_of_line_20_turn_the_momentum_alike():
    """Towards the fan-in before it is turned, or after: the same plane, and below a right angle the same side."""
    w, phi = torch.tensor([2.0, 0, 0], dtype=torch.float64), torch.tensor([0, 3.0, 4.0], dtype=torch.float64)
    for angle in (1e-6, 0.3, 1.5):
        torch.testing.assert_close(rotated(phi, angle, w), rotated(phi, angle, rotated(w, angle, -phi)))


@pytest.mark.parametrize("kind", [AdaRad, AdaRadM])
def test_a_convolution_turns_by_output_channels(kind):
    kernel = torch.randn(3, 2, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    matrix, conv = nn.Parameter(kernel.flatten(1).clone()), nn.Parameter(kernel.clone())
    turned = nn.Parameter(kernel.movedim(0, 1).clone())
    optimizers = [kind([matrix], **RATES), kind([conv], **RATES), kind([{"params": [turned], "unit_axis": 1}], **RATES)]
    for _ in range(4):
        gradient = torch.randn(kernel.shape, generator=generator, dtype=torch.float64)
        matrix.grad, conv.grad, turned.grad = gradient.flatten(1), gradient.clone(), gradient.movedim(0, 1).clone()
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(conv.detach().flatten(1), matrix.detach(), rtol=1e-13, atol=0)
    torch.testing.assert_close(turned.detach().movedim(1, 0).flatten(1), matrix.detach(), rtol=1e-13, atol=0)


@pytest.mark.parametrize("kind", [AdaRad, AdaRadM])
def test_what_has_no_direction_takes_the_radial_step(kind):
    scalar, bias = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.tensor([1.0, -3.0]))
    zero = nn.Parameter(torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
    scalar.grad, bias.grad = torch.tensor(0.5), torch.tensor([1.0, 2.0])
    zero.grad = torch.tensor([[1.0, -2.0], [3.0, 0.0]])
    kind([scalar, bias, zero], lr=1.0, radial_lr=0.1).step()
    torch.testing.assert_close(scalar.detach(), torch.tensor(1.95))
    torch.testing.assert_close(bias.detach(), torch.tensor([0.9, -3.2]))
    torch.testing.assert_close(zero.detach(), torch.tensor([[-0.1, 0.2], [0.7, 0.0]]))
