"""Sites given by samples alone, and what neurons do there, by explicit least squares in float64."""

import numpy as np
import torch
from reference_network import normal
from torch.nn import functional

from dagrow.methods import ChildSamples, SiteMoments, SiteSamples


def with_constant(x):
    return torch.cat([x, torch.ones_like(x[..., :1])], -1)


def linear_read(outputs):
    """A linear edge: each position is read once."""
    return outputs.unsqueeze(3)


def flat_read(outputs):
    """A child that flattens: one feature per position."""
    return outputs.transpose(1, 2).unsqueeze(1)


def conv_read(side, kernel=2):
    """A convolution over ``side x side`` positions, unpadded."""

    def read(outputs):
        n, _, K = outputs.shape
        images = outputs.transpose(1, 2).reshape(n * K, 1, side, side)
        patches = functional.unfold(images, kernel)
        return patches.view(n, K, kernel**2, -1).permute(0, 3, 1, 2)

    return read


def norm_relu(Z):
    """Batch norm with the statistics of these samples, then relu."""
    return torch.relu((Z - Z.mean((0, 1))) / (Z.var((0, 1), unbiased=False) + 1e-5).sqrt())


def residual(v, existing):
    """v without what its samples' least squares on existing features can do."""
    n, Q, M = v.shape
    flat = existing.reshape(n * Q, -1).double().numpy()
    fit = flat @ np.linalg.lstsq(flat, v.reshape(n * Q, M).double().numpy(), rcond=1e-10)[0]
    return (v.double() - torch.from_numpy(fit).view(n, Q, M)).to(v)


def moments_of(samples):
    """The moments that belong to the samples; N of children with one feature per position, 0 of others."""
    n, _, F = samples.B.shape
    B = samples.B.flatten(0, 1).double()
    parts, squares = [], 0.0
    for child in samples.children:
        v = child.v_proj.flatten(0, 1).double()
        fan_out = child.read(samples.activate(samples.B[..., :1])).shape[3]
        same = fan_out == 1 and len(v) == len(B)
        parts.append(B.T @ v / n if same else torch.zeros(F, fan_out * v.shape[1]).double())
        squares += float(v.square().sum()) / n
    N = torch.cat(parts, 1)
    return SiteMoments(
        S=B.T @ B / n,
        N_proj=N,
        N_noise=torch.zeros_like(N),
        N_goal=None,
        mean=B.mean(0),
        v_goal_squared=squares,
        precision=samples.B.dtype,
        samples=lambda: samples,
        has_constant=bool((samples.B[..., -1] == 1).all()),
    )


def triangle(x, v, activate, existing=None):
    """A site beside a direct edge: the child reads x already. ``x: [n, F]``, ``v: [n, M]``."""
    B = with_constant(x).unsqueeze(1)
    existing = B if existing is None else existing.unsqueeze(1)
    child = ChildSamples(residual(v.unsqueeze(1), existing), existing, linear_read)
    return SiteSamples(B, (child,), activate)


def sites():
    """One site of each kind, in float64."""
    x = normal(40, 4, seed=1)
    hidden = with_constant(torch.cat([x, normal(40, 3, seed=2)], 1)).unsqueeze(1)
    one = triangle(x, normal(40, 3, seed=3), torch.relu)
    other = ChildSamples(residual(normal(40, 1, 2, seed=4), hidden), hidden, linear_read)
    maps = with_constant(normal(30, 9, 3, seed=5))
    patches = conv_read(3)(maps[..., :3]).flatten(2)  # [n, 4, 3 * 4]
    read_by_conv = ChildSamples(residual(normal(30, 4, 2, seed=6), patches), patches, conv_read(3))
    flattened = with_constant(maps[..., :1].transpose(1, 2))
    read_flat = ChildSamples(residual(normal(30, 1, 3, seed=7), flattened), flattened, flat_read)
    tokens = ChildSamples(residual(normal(30, 9, 2, seed=8), maps), maps, linear_read)
    return {
        "triangle": one,
        "two children": SiteSamples(one.B, (*one.children, other), functional.selu),
        "no bias": SiteSamples(one.B[..., :-1], one.children, torch.tanh),
        "convolution": SiteSamples(maps, (read_by_conv,), torch.relu),
        "behind a norm": SiteSamples(maps, (read_by_conv,), norm_relu),
        "flattened": SiteSamples(maps, (read_flat,), torch.tanh),
        "tokens": SiteSamples(maps, (tokens,), functional.gelu),
        "all kinds of children": SiteSamples(maps, (tokens, read_by_conv, read_flat), functional.selu),
    }


def removed(samples, alpha):
    """``E||v_proj||^2`` minus what is left of it by least squares on existing features and all these neurons."""
    n, drop = len(samples.B), 0.0
    outputs = samples.activate(samples.B @ alpha.to(samples.B))
    for child in samples.children:
        v = child.v_proj.flatten(0, 1).double().numpy()
        existing = child.existing.flatten(0, 1).double().numpy()
        X = child.read(outputs).flatten(0, 1).flatten(1).double().numpy()
        left = [best_left(F, v) for F in (existing, np.hstack([existing, X]))]
        drop += (left[0] - left[1]) / n
    return drop


def best_left(features, v):
    size = np.abs(features).max(0, initial=0.0)
    unit = features / np.where(size > 0, size, 1.0)
    return np.square(v - unit @ np.linalg.lstsq(unit, v, rcond=1e-9)[0]).sum()


def left_with(samples, neurons):
    """``E||v_proj - X omega - existing dW^T||^2`` with the neurons' own omega and updates."""
    n, left = len(samples.B), 0.0
    outputs = samples.activate(samples.B.double() @ neurons.alpha)
    at = 0
    for child, dW in zip(samples.children, neurons.mode.updates, strict=True):
        X = child.read(outputs)
        fan_out, M = X.shape[3], child.v_proj.shape[2]
        omega = neurons.omega[:, at : at + fan_out * M].view(-1, fan_out, M)
        at += fan_out * M
        effect = torch.einsum("nqko,kom->nqm", X, omega) + child.existing.double() @ dW.T
        left += float((child.v_proj.double() - effect).square().sum()) / n
    assert at == neurons.omega.shape[1]
    return left
