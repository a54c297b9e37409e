"""Moments by loops over samples, positions and kernel offsets: slow, and easy to check against the papers.

Arrays are numpy, of one sample: vectors ``[F]``, tokens ``[T, F]``, maps ``[C, H, W]``, volumes ``[C, D, H, W]``; what
an edge reads may also be a series ``[C, L]``. A position is an index: ``()`` of a vector, ``t`` of tokens, ``(row,
column)`` of a map, and a tuple of as many numbers as there are axes of anything else.
"""

import itertools

import numpy as np
from reference_network import incoming


def positions(array):
    """All positions, row-major, and a function that reads the features at one (zeros outside a map)."""
    if array.ndim == 1:
        return [()]
    if array.ndim == 2:
        return list(range(array.shape[0]))
    return list(itertools.product(*map(range, array.shape[1:])))


def at(array, position):
    """The features at a position; zeros outside the map."""
    if array.ndim == 1:
        return array
    if not isinstance(position, tuple):
        return array[position]
    if all(0 <= index < extent for index, extent in zip(position, array.shape[1:], strict=True)):
        return array[(slice(None), *position)]
    return np.zeros(array.shape[0])


def margins(op):
    if op.padding == "same":
        return tuple(d * (k - 1) // 2 for k, d in zip(op.kernel, op.dilation, strict=True))
    return op.padding


def offsets(op):
    return list(itertools.product(*map(range, op.kernel)))


def centre(op):
    return tuple(extent // 2 for extent in op.kernel)


OUTSIDE = (-1, -1)


def read_position(op, j, offset):
    """The position q(j, offset) that output position j of a convolution reads.

    A transposed one writes from q to ``q stride - margin + offset dilation``; in between, j reads nothing.
    """
    if op.name == "conv_transpose2d":
        steps = [j[i] + margins(op)[i] - offset[i] * op.dilation[i] for i in range(2)]
        fits = all(step % s == 0 for step, s in zip(steps, op.stride, strict=True))
        return tuple(step // s for step, s in zip(steps, op.stride, strict=True)) if fits else OUTSIDE
    return tuple(j[i] * op.stride[i] - margins(op)[i] + offset[i] * op.dilation[i] for i in range(len(j)))


def edge_features(op, b, j):
    """What an edge reads for its output position j: ``[F]``, channel-major for a convolution.

    A transposed convolution reads from left to right as well, so its kernel backwards.
    """
    if op.name == "linear":
        return at(b, j)
    kernel = offsets(op)[::-1] if op.name == "conv_transpose2d" else offsets(op)
    patch = np.stack([at(b, read_position(op, j, o)) for o in kernel], axis=1)
    return patch.reshape(-1)


def _read(spec, edge, b, j):
    """As `edge_features`; of tokens and of positions, a vector with a 1 at their place."""
    op = spec.edges[edge]
    if op.name == "embedding":
        return np.eye(spec.inputs[edge.source].vocabulary)[int(b[j])]
    return np.eye(len(b))[j] if op.name == "position" else edge_features(op, b, j)


def weighted(spec, node):
    return [edge for edge in incoming(spec, node) if spec.edges[edge].name != "identity"]


def node_features(spec, node, values):
    """``[positions, F]`` of one sample: all weighted edges side by side, then the constant."""
    rows = []
    for j in positions(values.a[node]):
        parts = [_read(spec, edge, values.b[edge.source], j) for edge in weighted(spec, node)]
        rows.append(np.concatenate([*parts, [1.0]]))
    return np.array(rows)


def node_goal(node, values):
    """``[positions, M]`` of one sample."""
    v = values.v_goal[node]
    return np.array([at(v, j) for j in positions(v)])


def node_moments(spec, node, samples):
    """S, N and E||v_goal||^2 of a node, one sample and position after the other."""
    S = N = squares = 0.0
    for values in samples:
        for b, v in zip(node_features(spec, node, values), node_goal(node, values), strict=True):
            S, N, squares = S + np.outer(b, b), N + np.outer(b, v), squares + v @ v
    n = len(samples)
    return S / n, N / n, squares / n


def _width(op, source):
    if op.name in ("linear", "embedding"):
        return source[-1]
    return source[0] if op.name == "position" else source[0] * len(offsets(op))


def allowed_columns(dag, node, m):
    """Which features output m of a node may use: slots of a concat, groups of a convolution, the constant."""
    columns, start, constant = [], 0, False
    for edge in weighted(dag.spec, node):
        op, source, slot = dag.op(edge), dag.output(edge.source), dag.slots(node)[edge]
        width = _width(op, source)
        if slot.start <= m < slot.stop:
            groups = getattr(op, "groups", 1)
            group = (m - slot.start) // ((slot.stop - slot.start) // groups)
            columns += range(start + group * width // groups, start + (group + 1) * width // groups)
            constant = constant or op.has_bias
        start += width
    return [*columns, *([start] if constant else [])]


def best_update(dag, node, samples):
    """dW* by least squares on the explicit design matrix, one output feature at a time: ``[M, F]``."""
    B = np.concatenate([node_features(dag.spec, node, values) for values in samples])
    V = np.concatenate([node_goal(node, values) for values in samples])
    dW = np.zeros((V.shape[1], B.shape[1]))
    for m in range(V.shape[1]):
        columns = allowed_columns(dag, node, m)
        if columns:
            dW[m, columns] = np.linalg.lstsq(B[:, columns], V[:, m], rcond=None)[0]
    return dW


def residuals(dag, node, samples):
    """v_proj per sample, in the shape of `a`."""
    dW = best_update(dag, node, samples)
    found = []
    for values in samples:
        v = node_goal(node, values) - node_features(dag.spec, node, values) @ dW.T
        shape = values.a[node].shape
        found.append(v.T.reshape(shape) if len(shape) > 2 else v.reshape(shape))
    return found


def pooled(pool, image):
    """Average pooling of one sample's map or tokens, also in place of max pooling; upsampling is itself."""
    if pool.kind == "global_average":
        return np.mean([at(image, p) for p in positions(image)], axis=0)
    if pool.kind == "upsample":
        return np.kron(image, np.ones((1, pool.kernel, pool.kernel)))
    step = pool.kernel if pool.stride is None else pool.stride
    heights = [(e + 2 * pool.padding - pool.kernel) // step + 1 for e in image.shape[1:]]
    out = np.zeros((image.shape[0], *heights))
    for row, column in itertools.product(*map(range, heights)):
        for i, j in itertools.product(range(pool.kernel), repeat=2):
            q = (row * step - pool.padding + i, column * step - pool.padding + j)
            out[:, row, column] += at(image, q) / pool.kernel**2
    return out


def site_image(dag, path, values):
    """The features that new neurons of ``path[0]`` are made of, taken through the pools of the path.

    Returns:
        The image and whether it was flattened on the way.
    """
    B = node_features(dag.spec, path[0], values)
    shape = values.a[path[0]].shape
    image = B.T.reshape(-1, *shape[1:]) if len(shape) > 2 else B.reshape(*shape[:-1], -1)
    flattened = False
    for name in path:
        node = dag.spec.nodes[name]
        if node.pool is not None:
            image = pooled(node.pool, image)
        flattened = flattened or (node.flatten and image.ndim > 1)
    return image, flattened


def fed(op, image, flattened, j, pointwise):
    """``B^t_j [fan_out, F]``: per fan-out weight, the features that it multiplies at child position j."""
    if flattened:
        return np.array([at(image, q) for q in positions(image)])
    if op.name == "linear":
        return at(image, j)[None]
    used = [centre(op)] if pointwise else offsets(op)
    return np.array([at(image, read_position(op, j, o)) for o in used])


def site_moment(dag, path, edge, samples, v, pointwise=False):
    """``N[f, (fan-out weight, m)] = E sum_j B^t_j[., f] v[j, m]`` for one child (thesis C.33)."""
    slot = dag.slots(edge.target)[edge]
    N = 0.0
    for values, goal in zip(samples, v, strict=True):
        image, flattened = site_image(dag, path, values)
        for j in positions(goal):
            t = fed(dag.op(edge), image, flattened, j, pointwise)
            N = N + np.einsum("kf,m->fkm", t, at(goal, j)[slot])
    return N.reshape(N.shape[0], -1) / len(samples)


def site_metric(dag, path, edge, samples, pointwise=False):
    """Lemma C.2.3 for one child: ``r E sum_j (B^t_j)^T B^t_j``."""
    S = 0.0
    for values in samples:
        image, flattened = site_image(dag, path, values)
        for j in positions(values.a[edge.target]):
            t = fed(dag.op(edge), image, flattened, j, pointwise)
            S = S + min(t.shape) * t.T @ t
    return S / len(samples)
