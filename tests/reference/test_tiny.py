"""TINY's neurons (thesis Prop. 3.2.3): what they take off the bottleneck, evaluated explicitly."""

from dataclasses import replace

import numpy as np
import pytest
import reference_loops as loops
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_checks import case, close, collected, readings
from reference_network import forward, graph, inputs_for, inserted, normal, squared, stream
from test_moments_conv import GRAPHS as MIXED
from test_moments_conv import conv, convolutions, fitting, maps
from test_moments_linear import GRAPHS as LINEAR

from dagrow.methods import METHODS, MethodRequest, Metric, SiteMoments
from dagrow.methods.modes import SearchedFanOut
from dagrow.methods.tiny import canonical_signs
from dagrow.mutation import Change, NewFeatures

ALL = MethodRequest(neurons=1000, significance=0.0)


def grown(spec, samples, seed=0, pointwise=False, node="h"):
    """The network's values, the moments of its site and all neurons that TINY finds there."""
    model, x, y, values = case(spec, samples, seed)
    found = collected(model, squared, stream(model, x, y), sites=[node], pointwise=pointwise)
    layout = found.layouts[node]
    return model, values, found.sites[node], layout, METHODS["tiny"](found.sites[node], ALL)


def effects(model, values, layout, neurons, pointwise=False, node="h"):
    """What each linearised neuron adds to the children, and v_proj: ``[K, samples, everything]``.

    Explicitly: neuron k adds ``sum_o omega[k, o, m] (B^t_j[o] . alpha_k)`` to child position j, channel m.
    """
    spec, dag = model.spec, model.dag
    K, V, goal = neurons.count, [], []
    for path, edge in readings(spec, node):
        columns, slot = layout.columns[edge], dag.slots(edge.target)[edge]
        omega = neurons.omega[:, columns].unflatten(1, (-1, slot.stop - slot.start)).numpy()
        left = loops.residuals(dag, edge.target, values)
        for n, one in enumerate(values):
            image, flattened = loops.site_image(dag, path, one)
            for j in loops.positions(left[n]):
                t = loops.fed(dag.op(edge), image, flattened, j, pointwise)[:, : len(neurons.alpha)]
                added = np.zeros((K, len(loops.at(left[n], j))))
                added[:, slot] = np.einsum("kom,of,fk->km", omega, t, neurons.alpha.numpy())
                V.append((n, added))
                goal.append((n, loops.at(left[n], j)))
    samples = len(values)
    by_sample = [np.concatenate([a for i, a in V if i == n], axis=1) for n in range(samples)]
    left = [np.concatenate([g for i, g in goal if i == n]) for n in range(samples)]
    return np.stack(by_sample, axis=1), np.stack(left)


def bottleneck(V, left, count):
    """E||v_proj - V||^2 with the first ``count`` neurons."""
    return np.square(left - V[:count].sum(0)).sum() / len(left)


def what_is_left(model, values, node="h"):
    """E||v_proj||^2 of all nodes that read the new neurons, each once, by explicit least squares."""
    children = dict.fromkeys(edge.target for _, edge in readings(model.spec, node))
    return sum(np.square(np.stack(loops.residuals(model.dag, child, values))).sum() for child in children) / len(values)


def check_drop(V, left, scores, exact):
    """The bottleneck falls by the sum of squares, or by at least that; and <v_proj, V> is that sum (3.24)."""
    start = bottleneck(V, left, 0)
    for count in range(len(scores) + 1):
        promised = np.square(scores[:count]).sum()
        inner = (left * V[:count].sum(0)).sum() / len(left)
        assert inner == pytest.approx(promised, rel=1e-6, abs=1e-9 * start)
        drop = start - bottleneck(V, left, count)
        if exact:
            assert drop == pytest.approx(promised, rel=1e-6, abs=1e-9 * start)
        else:
            assert drop >= promised - 1e-9 * start


EXACT = [
    *LINEAR.items(),
    ("global average", MIXED["global average"]),
    ("one pixel", MIXED["flatten of one pixel"]),
]


@pytest.mark.parametrize(("name", "spec"), EXACT, ids=[name for name, _ in EXACT])
def test_linear_neurons_take_the_sum_of_squares_off_the_bottleneck(name, spec):
    model, values, moments, layout, neurons = grown(spec, 25)
    V, left = effects(model, values, layout, neurons)
    assert moments.v_proj_squared == pytest.approx(what_is_left(model, values), rel=1e-9, abs=1e-12)
    check_drop(V, left, neurons.scores.numpy(), exact=True)
    # All of them together leave nothing that these features could still explain.
    if neurons.count:
        whole = np.square(neurons.scores.numpy()).sum()
        assert Metric(moments.S).whiten(moments.N_proj).square().sum() == pytest.approx(whole, rel=1e-9)


@pytest.mark.share(0.24)
@pytest.mark.parametrize("name", MIXED)
def test_convolutional_neurons_take_at_least_the_sum_of_squares(name):
    # More samples than features of any child: else its weights can do everything and nothing is left.
    model, values, moments, layout, neurons = grown(MIXED[name], 60)
    V, left = effects(model, values, layout, neurons)
    assert moments.v_proj_squared == pytest.approx(what_is_left(model, values), rel=1e-9)
    assert neurons.count > 0
    check_drop(V, left, neurons.scores.numpy(), exact=False)


@settings(max_examples=30)
@given(first=convolutions(), second=convolutions(), shape=maps, pointwise=st.booleans(), seed=st.integers(0, 99))
def test_any_two_convolutions(first, second, shape, pointwise, seed):
    """With a fan-out at the kernel's centre only, each position is read at most once: equality again."""
    fitting(second, fitting(first, shape))
    nodes = {"h": {"size": 2, "activation": "selu"}, "y": 2}
    spec = graph({"x": shape}, nodes, {"x->h": first, "h->y": second})
    model, values, _, layout, neurons = grown(spec, 5, seed, pointwise)
    V, left = effects(model, values, layout, neurons, pointwise)
    check_drop(V, left, neurons.scores.numpy(), exact=pointwise)


@pytest.mark.parametrize("name", [name for name in LINEAR if name not in ("sum with an identity",)])
def test_neurons_are_orthogonal(name):
    """E V_i . V_j = 0, and E ||V_k||^2 = lambda_k^2."""
    model, values, _, layout, neurons = grown(LINEAR[name], 25)
    V, _ = effects(model, values, layout, neurons)
    products = np.einsum("inx,jnx->ij", V, V) / V.shape[1]
    scores = neurons.scores.numpy()
    close(products, np.diag(scores**2), tolerance=1e-8)


ROUTES = {name: LINEAR[name] for name in ("several children", "tokens", "parents without bias")} | {
    name: MIXED[name] for name in ("flatten", "two parents", "max pool, conv")
}


@pytest.mark.parametrize("name", ROUTES)
def test_they_solve_the_generalised_eigenproblem(name):
    """Prop. 3.2.5: N N^T alpha = lambda^2 S alpha, omega proportional to N^T alpha."""
    _, _, moments, _, neurons = grown(ROUTES[name], 25)
    S, N, alpha = moments.S, moments.N_proj, neurons.alpha
    left, right = N @ (N.T @ alpha), (S @ alpha) * neurons.scores.square()
    close(left, right, tolerance=1e-7)
    close(neurons.omega.T * neurons.scores, N.T @ alpha, tolerance=1e-8)
    # Both sides share lambda: alpha in the metric, omega in its own.
    close((alpha * (S @ alpha)).sum(0), neurons.scores)
    close(neurons.omega.square().sum(1), neurons.scores)


@pytest.mark.parametrize("name", ROUTES)
def test_the_textbook_root_gives_the_same_neurons(name):
    """S^(-1/2) by eigendecomposition, as the thesis writes it: same neurons up to sign."""
    _, _, moments, _, neurons = grown(ROUTES[name], 40)
    values, Q = np.linalg.eigh(moments.S.numpy())
    assert values[0] > 1e-9 * values[-1]
    root = Q @ np.diag(values**-0.5) @ Q.T
    U, scores, Vh = np.linalg.svd(root @ moments.N_proj.numpy(), full_matrices=False)
    count = neurons.count
    close(neurons.scores, scores[:count], tolerance=1e-8)
    assert scores[count:].max(initial=0.0) < 1e-9 * scores[0]
    for k in range(count):
        alpha, omega = scores[k] ** 0.5 * (root @ U[:, k]), scores[k] ** 0.5 * Vh[k]
        together = np.outer(alpha, omega)
        close(np.outer(neurons.alpha[:, k], neurons.omega[k]), together, tolerance=1e-6)


def test_adding_some_and_then_the_rest_is_adding_all():
    """Corollary 1, at first order: N is what is left of it after the first neurons."""
    _, _, moments, _, neurons = grown(LINEAR["several children"], 25)
    first = METHODS["tiny"](moments, MethodRequest(neurons=2, significance=0.0))
    assert first.count == 2
    assert neurons.count > 2
    close(first.alpha, neurons.alpha[:, :2])
    left = moments.N_proj - moments.S @ first.alpha @ first.omega
    then = METHODS["tiny"](replace(moments, N_proj=left), ALL)
    close(then.scores, neurons.scores[2:], tolerance=1e-8)


@pytest.mark.parametrize("weights", ["linear", {"op": "linear", "bias": False}])
def test_a_triangle_leaves_nothing_to_find(weights):
    """Where u->v exists, u->h->v adds nothing at first order: N = 0, and no neuron is made of rounding."""
    spec = graph(
        {"x": [4]},
        {"h": {"size": 2, "activation": "selu"}, "y": 3},
        {"x->h": weights, "h->y": "linear", "x->y": "linear"},
    )
    _, _, moments, _, neurons = grown(spec, 30)
    assert float(moments.N_proj.abs().max()) < 1e-12 * float(moments.N_goal.abs().max())
    assert METHODS["tiny"](replace(moments, samples=None), ALL).count == 0
    # With the samples at hand, the non-linear neurons step in.
    assert neurons.count > 0
    assert isinstance(neurons.mode, SearchedFanOut)


def test_no_more_neurons_than_asked_and_the_best_first():
    _, _, moments, _, neurons = grown(MIXED["flatten"], 40)
    assert bool((neurons.scores[1:] <= neurons.scores[:-1]).all())
    for count in (1, 3):
        assert METHODS["tiny"](moments, MethodRequest(neurons=count, significance=0.0)).count == count


@settings(max_examples=30)
@given(features=st.integers(1, 6), outputs=st.integers(1, 5), seed=st.integers(0, 99), power=st.integers(-3, 3))
def test_any_matrices(features, outputs, seed, power):
    """sum lambda^2 = tr N^T S^-1 N for any positive definite S, and no rank is lost or made up."""
    root, N = normal(features, features, seed=seed), normal(features, outputs, seed=seed + 1) * 10.0**power
    S = root @ root.T + 0.1 * torch.eye(features).double()
    whole = float((N * torch.linalg.solve(S, N)).sum())
    moments = SiteMoments(
        S=S, N_proj=N, N_goal=N, N_noise=torch.zeros_like(N), mean=torch.zeros(features).double(),
        v_goal_squared=2 * whole, precision=torch.float64,
    )  # fmt: skip
    neurons = METHODS["tiny"](moments, ALL)
    assert neurons.count == min(features, outputs)
    assert float(neurons.scores.square().sum()) == pytest.approx(whole, rel=1e-9)
    close(neurons.alpha @ neurons.omega, torch.linalg.solve(S, N), tolerance=1e-7)


def test_only_singular_values_above_the_noise_are_kept():
    """With S = 1 the singular values are those of N: 3, 2, 1; the noise level is the largest of N_noise."""
    S, N = torch.eye(4).double(), torch.zeros(4, 3).double()
    N[:3] = torch.diag(torch.tensor([3.0, 2.0, 1.0]).double())
    noise = torch.zeros_like(N)
    noise[3, 1], noise[0, 0] = 1.5, 0.3
    moments = SiteMoments(
        S=S,
        N_proj=N,
        N_goal=N,
        N_noise=noise,
        mean=torch.zeros(4).double(),
        v_goal_squared=20.0,
        precision=torch.float64,
    )
    for significance, count in ((0.0, 3), (0.5, 3), (1.0, 2), (1.5, 1), (2.5, 0)):
        neurons = METHODS["tiny"](moments, MethodRequest(neurons=9, significance=significance))
        assert neurons.scores.tolist() == pytest.approx([3.0, 2.0, 1.0][:count])
        assert neurons.noise_level == pytest.approx(1.5 if significance else 0.0)


@pytest.mark.parametrize("off", [0.0, 1e-7, -1e-7], ids=["equal", "above", "below"])
def test_signs_do_not_hang_on_the_last_bit(off):
    """Of two classes, a neuron's weights are each other's negative: neither is the larger."""
    eye = torch.eye(2).double()
    moments = SiteMoments(eye, eye, eye, eye, mean=torch.zeros(2).double(), v_goal_squared=1.0, precision=torch.float32)
    omega = torch.tensor([[-0.5 * (1 + off), 0.5], [0.5, -0.5 * (1 + off)]]).double()
    assert canonical_signs(eye, omega, moments).tolist() == [-1.0, 1.0]


def test_conv_neurons_inserted_into_a_linear_network_do_what_the_loops_say():
    """The same neurons, read back from the network after insertion."""
    pool = {"kind": "average", "kernel": 3, "stride": 2, "padding": 1}
    spec = graph(
        {"x": [2, 5, 6]},
        {"h": {"size": 2, "pool": pool}, "y": 3},
        {
            "x->h": conv(kernel=(3, 2), stride=(1, 2), padding=1),
            "h->y": conv(kernel=2, padding=1, dilation=(1, 2)),
        },
    )
    model, values, _, layout, neurons = grown(spec, 6)
    V, _ = effects(model, values, layout, neurons)
    fan_in = layout.split_fan_in(neurons.alpha, torch.float64)
    fan_out = layout.split_fan_out(neurons.omega, torch.float64)
    after, _ = forward(inserted(model, Change(NewFeatures("h", fan_in, fan_out))), inputs_for(spec, 6))
    before, _ = forward(model, inputs_for(spec, 6))
    change = (after["y"] - before["y"]).detach().flatten(2).transpose(1, 2).flatten(1)
    close(change, V.sum(0))
