"""Creases with a free direction and fold points within their segments: by hand, and against searches and autograd."""

from dataclasses import replace
from itertools import pairwise
from math import atan, degrees, pi

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_folding import chain_of, judged_by, near, preactivation, widened
from torch.nn import functional

from dagrow.contrib.folding import Fold, LabelledPredictions, ReluChain, Within, fold, fold_point
from dagrow.contrib.folding.broaden import Arcs, aligned

WIDTHS = [(2, 2, 2), (2, 3, 2), (3, 5, 4), (2, 4, 3, 2), (5, 4, 6, 4, 3)]
seeds = st.integers(0, 10**6)


def matrix(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def judged(chain, x, target):
    """Samples of a chain with their losses and gradients."""
    outputs = chain(x).requires_grad_()
    loss = functional.cross_entropy(outputs, target, reduction="none")
    (gradient,) = torch.autograd.grad(loss.sum(), outputs)
    return LabelledPredictions(
        x, loss.detach(), outputs.detach().argmax(1), target, torch.arange(len(x)), gradient.detach()
    )


def free_fold(sizes, seed, layer=0, samples=12):
    chain = chain_of(sizes, seed)
    of = judged_by(chain, seed, samples)
    of = judged(chain, of.x, of.target)
    result = fold(chain, of, layer, seed, free=True)
    assume(isinstance(result, Fold))
    return chain, of, result


# The four algorithms of the slides on a net 2-2-2, step by step, by hand.

EYE = matrix([1, 0], [0, 1])
NET = ReluChain((EYE, EYE), (matrix(1, 1), matrix(0, 0)))
"""``y = (relu(x_1 + 1), relu(x_2 + 1))``: class 0 where x_1 is larger, beyond the corner at (-1, -1)."""
POINTS, LABELS = matrix([1, 0], [0, 2], [3, 0]), torch.tensor([1, 1, 0])


def test_by_hand_the_typical_mis_predicted_instance():
    of = judged(NET, POINTS, LABELS)
    # Outputs (2, 1), (1, 3), (4, 1): losses ln(1 + e), ln(1 + e^-2), ln(1 + e^-3); every sample is a cluster.
    near(of.loss, matrix(1.3132616875182228, 0.1269280110429725, 0.04858735157374206))
    assert of.predicted.tolist() == [0, 1, 0]
    found = fold(NET, of, 0, 0)
    assert (found.sample, found.predicted, found.target) == (0, 0, 1)


def test_by_hand_the_fold_point():
    found = fold(NET, judged(NET, POINTS, LABELS), 0, 0)
    # Both units are on at (1, 0): y = x + 1, so w = (1, -1), b = 0, and x_f = (1, 0) - 1/2 (1, -1).
    near(found.segment.weight, EYE)
    near(found.segment.bias, matrix(1, 1))
    near(found.normal, matrix(1, -1))
    assert found.offset == 0.0
    near(found.point, matrix(0.5, 0.5))
    assert found.within is Within.INSIDE


def test_by_hand_the_broadened_layer_without_a_free_direction():
    found = fold(NET, judged(NET, POINTS, LABELS), 0, 0)
    # Along x_t - x_f = (1/2, -1/2), as long as the others, which have length 1; 0 at x_f. Raises class 1 over class 0.
    root = 0.5**0.5
    near(found.fan_in, matrix(root, -root, 0))
    near(found.fan_out, 0.1 * matrix(-root, root))
    assert found.angle == 0.0


def test_by_hand_the_broadened_layer_with_a_free_direction():
    """G at angle 0 leans against u = -(1, 1) / sqrt 2; on three arcs it is a sum over three, two and one samples."""
    of = judged(NET, POINTS, LABELS)
    found = fold(NET, of, 0, 0, free=True)
    # dl/dy = softmax less the right class: (.7311, -.7311), (.1192, -.1192), (-.0474, .0474); times the fan-out:
    s = matrix(-0.10339, -0.016859, 0.0067073)
    d = POINTS - matrix(0.5, 0.5)
    root = 0.5**0.5
    e, u = root * matrix(1, -1), -root * matrix(1, 1)
    arcs = Arcs.of(d, (of.gradient @ found.fan_out), e, u)
    torch.testing.assert_close(of.gradient @ found.fan_out, s, rtol=1e-4, atol=0)
    # p cos + q sin = 0: the second sample at tan = -2, the third at tan = 1.5, both off above; the first never.
    near(arcs.ends, matrix(-pi / 2, -atan(2), atan(1.5), pi / 2))
    wanted = torch.stack([s @ d, s[[0, 2]] @ d[[0, 2]], s[0] * d[0]]) / 3
    torch.testing.assert_close(arcs.gradients, wanted, rtol=1e-3, atol=1e-6)
    # GradMax: lengths .0351, .0596, .0731 (times 1/3), the last is longest. On it the step moves the old units by
    # (-.0584, .0584), which see (.5, -.5), and the new one by .0172: the cosine rises with what the new one sees.
    near(found.angle, atan(1.5) + 0.01 * (pi / 2 - atan(1.5)))
    assert degrees(found.angle) == pytest.approx(56.65, abs=0.01)
    direction = torch.cos(matrix(found.angle)) * e + torch.sin(matrix(found.angle)) * u
    near(found.fan_in, torch.cat([direction, -(direction @ matrix(0.5, 0.5))[None]]))


def test_by_hand_the_loop_deepens_to_an_equivalent_network():
    """The fourth: one more layer of relu that hands on what is not negative anyway, before growth goes on."""
    found = fold(NET, judged(NET, POINTS, LABELS), 0, 0, free=True)
    grown = widened(NET, found, torch.zeros(2, dtype=torch.float64))
    more = torch.eye(3, dtype=torch.float64)
    deeper = ReluChain((grown.weights[0], more, grown.weights[1]), (grown.biases[0], more[0] * 0, grown.biases[1]))
    assert torch.equal(deeper(POINTS), grown(POINTS))
    near(grown(POINTS), NET(POINTS))


def test_by_hand_a_fold_point_at_the_edge_and_one_beyond():
    """``y = (relu(x_1 + 2) - 5, relu(x_1 + x_2))``: around (1, 0) the boundary is x_2 = -3, as long as x_1 >= 3."""
    chain = ReluChain((matrix([1, 0], [1, 1]), EYE), (matrix(2, 0), matrix(-5, 0)))
    found = fold(chain, judged(chain, matrix([1, 0]), torch.tensor([0])), 0, 0)
    near(found.normal, matrix(0, 1))
    assert found.offset == 3.0
    assert found.within is Within.EDGE
    near(found.point, matrix(3, -3))
    assert "(at the edge of the segment)" in str(found)
    # ``y = (relu(x_1 + 1), relu(x_2 + 1) - 1)`` around (1, -2): x_1 = -2, where the first unit is off.
    beyond = ReluChain((EYE, EYE), (matrix(1, 1), matrix(0, -1)))
    found = fold(beyond, judged(beyond, matrix([1, -2]), torch.tensor([1])), 0, 0)
    assert found.within is Within.BEYOND
    near(found.point, matrix(-2, -2))
    assert not found.entry["within_segment"]


# Against other ways to find the same.


@given(st.integers(2, 8), seeds)
@settings(max_examples=40, deadline=None)
def test_of_the_boundary_within_the_segment_no_point_is_nearer(count, seed):
    """Two inputs: the boundary is a line, walked along in small steps."""
    g = torch.Generator().manual_seed(seed)
    x, normal = torch.randn(2, 2, generator=g, dtype=torch.float64)
    offset = float(torch.randn((), generator=g, dtype=torch.float64))
    A = torch.randn(count, 2, generator=g, dtype=torch.float64)
    c = torch.rand(count, generator=g, dtype=torch.float64) - A @ x
    found = fold_point(x, normal, offset, (A, c))
    foot = x - (normal @ x + offset) / (normal @ normal) * normal
    along = torch.stack([-normal[1], normal[0]]) / normal.norm()
    steps = torch.linspace(-20, 20, 400_001, dtype=torch.float64)
    inside = (A @ (foot[:, None] + along[:, None] * steps) + c[:, None] >= 0).all(0)
    assume(float((found.x - foot).norm()) < 19)
    if found.within is Within.BEYOND:
        assert int(inside.sum()) < 20
        near(found.x, foot)
        return
    near(normal @ found.x + offset, torch.zeros((), dtype=torch.float64), scale=10.0)
    assert float((A @ found.x + c).min()) > -1e-7
    if bool(inside.any()):
        assert float((found.x - foot).norm()) <= float(steps[inside].abs().min()) + 2e-4
    assert (found.within is Within.INSIDE) == bool((A @ foot + c >= 0).all())


@given(st.sampled_from(WIDTHS), seeds)
@settings(max_examples=12, deadline=None)
def test_the_segment_is_where_its_walls_say(sizes, seed):
    chain = chain_of(sizes, seed)
    x = judged_by(chain, seed, 30).x
    A, c = chain.walls(x[0])
    assert len(A) == sum(sizes[1:-1])
    for other in x:
        same = all(torch.equal(a, b) for a, b in zip(chain.pattern(x[0]), chain.pattern(other), strict=True))
        if same:
            assert float((A @ other + c).min()) >= -1e-12
        elif len(sizes) == 3:
            assert float((A @ other + c).min()) < 1e-12


@given(st.sampled_from(WIDTHS), seeds, st.data())
@settings(max_examples=15, deadline=None)
def test_the_gradient_of_each_arc_is_that_of_autograd(sizes, seed, data):
    """The fan-in turned to the middle of each arc, its bias tied to the fold point; the fan-out as good as 0."""
    layer = data.draw(st.integers(0, len(sizes) - 3))
    chain, of, new = free_fold(sizes, seed, layer)
    b_f = chain.read(new.point, layer)
    away = chain.read(new.instance, layer) - b_f
    d = chain.read(of.x, layer) - b_f
    s = chain.gradients(of.x, of.gradient, layer + 1) @ new.fan_out
    e = away / away.norm()
    u = torch.randn(len(e), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    u = u - (u @ e) * e
    assume(float(u.norm()) > 1e-3)
    u = u / u.norm()
    arcs = Arcs.of(d, s, e, u)
    for (low, high), gradient in zip(pairwise(arcs.ends), arcs.gradients, strict=True):
        if float(high - low) < 1e-6:
            continue
        angle = (low + high) / 2
        w = (torch.cos(angle) * e + torch.sin(angle) * u).requires_grad_()
        unit = (d @ w).relu()
        scale = 1e-7
        fan_out = scale * new.fan_out
        at_next = chain.read(of.x, layer) @ chain.weights[layer].T + chain.biases[layer]
        b = at_next.relu() @ chain.weights[layer + 1].T + chain.biases[layer + 1] + unit[:, None] * fan_out
        if layer + 1 < chain.hidden:
            rest = ReluChain(chain.weights[layer + 2 :], chain.biases[layer + 2 :])
            b = rest(b.relu())
        (found,) = torch.autograd.grad(functional.cross_entropy(b, of.target), w)
        size = float(s.abs() @ d.norm(dim=1)) / len(d)
        torch.testing.assert_close(found / scale, gradient, rtol=1e-4, atol=1e-5 * size)


@given(st.sampled_from(WIDTHS), seeds, st.data())
@settings(max_examples=15, deadline=None)
def test_no_other_angle_has_a_longer_gradient_and_the_crease_goes_through_the_fold_point(sizes, seed, data):
    layer = data.draw(st.integers(0, len(sizes) - 3))
    chain, of, new = free_fold(sizes, seed, layer)
    b_f = chain.read(new.point, layer)
    away, d = chain.read(new.instance, layer) - b_f, chain.read(of.x, layer) - b_f
    s = chain.gradients(of.x, of.gradient, layer + 1) @ new.fan_out
    w = new.fan_in[:-1] / new.fan_in[:-1].norm()
    e = away / away.norm()

    def length(direction):
        return float((((d @ direction > 0) * s) @ d).norm())

    assert float(w @ away) > 0, "on at the instance"
    assert float(torch.acos((w @ e).clamp(-1, 1))) == pytest.approx(abs(new.angle), abs=1e-6)
    near(preactivation(chain, new, new.point), torch.zeros((), dtype=torch.float64), scale=100.0)
    # In the plane of the normal and the free direction, which is that of the two where the angle is not 0.
    if abs(new.angle) < 1e-6:
        return
    u = (w - (w @ e) * e) / (w - (w @ e) * e).norm()
    angles = torch.linspace(-pi / 2 + 1e-4, pi / 2 - 1e-4, 2001, dtype=torch.float64)
    highest = max(length(torch.cos(angle) * e + torch.sin(angle) * u) for angle in angles)
    assert length(w) >= highest * (1 - 2e-4)


@given(seeds, st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_the_aligned_angle_is_the_one_a_fine_search_finds(seed, units):
    g = torch.Generator().manual_seed(seed)
    low, high = sorted(((torch.rand(2, generator=g) - 0.5) * pi).tolist())
    assume(high - low > 1e-3)
    moved, seen = torch.randn(2, units, generator=g, dtype=torch.float64)
    by, at = torch.randn((), generator=g, dtype=torch.float64), torch.rand((), generator=g, dtype=torch.float64) + 0.1
    found = aligned(low, high, moved, seen, (by, at))
    inset = 0.01 * (high - low)
    assert low + inset - 1e-12 <= found <= high - inset + 1e-12

    def cosine(angle):
        both = [torch.cat([moved, by[None]]), torch.cat([seen, at * torch.cos(matrix(angle))])]
        return float(functional.cosine_similarity(*both, dim=0))

    best = max(cosine(angle) for angle in torch.linspace(low + inset, high - inset, 501).tolist())
    # Angles that agree up to 1e-4 of what they are told apart by go to the one nearest to 0.
    assert cosine(found) >= best - 5e-4


@given(st.sampled_from(WIDTHS[:3]), seeds)
@settings(max_examples=15, deadline=None)
def test_it_does_not_hang_on_where_the_inputs_have_their_zero(sizes, seed):
    chain, of, new = free_fold(sizes, seed)
    shift = torch.linspace(-1, 1, sizes[0], dtype=torch.float64)
    moved = replace(chain, biases=(chain.biases[0] - chain.weights[0] @ shift, chain.biases[1]))
    samples = replace(of, x=of.x + shift)
    other = fold(moved, samples, 0, seed, free=True)
    assume(other.sample == new.sample)
    near(other.point, new.point + shift, scale=1e3)
    # The arc is the same one; where in it the angle lies hangs on the old fan-ins, whose steps know of a 0.
    d = of.x - new.point
    s = chain.gradients(of.x, of.gradient, 1) @ new.fan_out
    lengths = [float((((d @ each.fan_in[:-1] > 0) * s) @ d).norm()) for each in (new, other)]
    assert lengths[0] == pytest.approx(lengths[1], rel=5e-4)


def test_with_one_input_there_is_no_free_direction():
    chain = ReluChain((matrix([1.0], [-1.0]), EYE), (matrix(0.5, 0.5), matrix(0, 0)))
    of = judged(chain, matrix([0.4], [-0.3], [0.2]), torch.tensor([1, 1, 0]))
    plain, free = (fold(chain, of, 0, 0, free=free) for free in (False, True))
    near(plain.fan_in, free.fan_in)
    assert free.angle == 0.0
