"""What a split is worth behind norms, and to children that read maps, number by number."""

import itertools

import torch
from reference_network import ACTIVATIONS, graph, normal
from zoo import MAX, conv, node

EPS = {"batch": 1e-5, "cap_batch": 0.0}
MAPS = {"x->h": conv(padding=1), "h->y": conv(padding=1)}
CASES = {
    "batch norm": graph(
        {"x": [4]}, {"h": node(3, "tanh", norm="batch"), "y": 2}, {"x->h": "linear", "h->y": "linear"}
    ),
    "cap norm": graph(
        {"x": [4]}, {"h": node(3, "selu", norm="cap_batch"), "y": 2}, {"x->h": "linear", "h->y": "linear"}
    ),
    "maps, batch norm, pool": graph(
        {"x": [1, 6, 4]}, {"h": node(2, "relu", norm="batch", pool=MAX), "y": 2}, MAPS
    ),
    "maps, no norm": graph({"x": [1, 4, 3]}, {"h": node(2, "tanh"), "y": 2}, MAPS),
    "norm behind a flat concat": graph(
        {"x": [1, 3, 3]},
        {
            "k": node(1, flatten=True),
            "h": node(2, "relu", flatten=True),
            "c": {"merge": "concat", "norm": "batch", "activation": "tanh"},
            "y": 2,
        },
        {"x->h": conv(padding=1), "x->k": conv(kernel=2), "k->c": "identity", "h->c": "identity", "c->y": "linear"},
    ),
}  # fmt: skip


def with_norms(model, seed=0):
    """Norms that are not those of a new layer."""
    with torch.no_grad():
        for i, (key, value) in enumerate(model.state_dict().items()):
            if key.endswith(("norm.weight", "norm.running_var")):
                value.copy_(1.0 + normal(*value.shape, seed=seed + i).abs())
            elif key.endswith(("norm.bias", "norm.running_mean")):
                value.copy_(0.5 * normal(*value.shape, seed=seed + i))
    return model


def normed(z, model, name, entry, train):
    """Values of one feature, sample by sample and position by position, through an entry of a norm; then act."""
    spec, state = model.spec.nodes[name], model.state_dict()
    values = [value for row in z for value in row]
    if spec.norm != "none":
        if train:
            mean = sum(values) / len(values)
            variance = sum((value - mean) ** 2 for value in values) / len(values)
            variance = max(variance, 1.0) if spec.norm == "cap_batch" else variance
        else:
            mean, variance = (float(state[f"{name}.norm.running_{key}"][entry]) for key in ("mean", "var"))
        weight, bias = 1.0, 0.0
        if spec.norm == "batch":
            weight, bias = (float(state[f"{name}.norm.{key}"][entry]) for key in ("weight", "bias"))
        scale = (variance + EPS[spec.norm]) ** 0.5
        z = [[weight * (value - mean) / scale + bias for value in row] for row in z]
    act = ACTIVATIONS[spec.activation]
    return [[float(act(torch.tensor(value, dtype=torch.float64))) for value in row] for row in z]


def written(model, x, j, step, sign, train):
    """What the child gets of one neuron moved by some steps: ``[n][m][position]``, position by position."""
    spec, state = model.spec, model.state_dict()
    rows, n = state["h.from_x.weight"][j].flatten().tolist(), len(x)
    theta = [w + sign * s for w, s in zip([*rows, float(state["h.from_x.bias"][j])], step, strict=True)]
    (shape,) = (entry.shape for entry in spec.inputs.values())
    height, width = shape[1:] if len(shape) == 3 else (1, 1)
    z = [[0.0] * (height * width) for _ in range(n)]
    for i, p, q in itertools.product(range(n), range(height), range(width)):
        total = theta[-1]
        if len(shape) == 1:
            total += sum(theta[f] * float(x[i, f]) for f in range(shape[0]))
        else:
            for a, b in itertools.product(range(3), range(3)):
                if 0 <= p + a - 1 < height and 0 <= q + b - 1 < width:
                    total += theta[3 * a + b] * float(x[i, 0, p + a - 1, q + b - 1])
        z[i][p * width + q] = total
    z = normed(z, model, "h", j, train)
    if spec.nodes["h"].pool is not None:
        corners = list(itertools.product(range(0, height, 2), range(0, width, 2)))
        z = [[max(row[(p + a) * width + q + b] for a in (0, 1) for b in (0, 1)) for p, q in corners] for row in z]
        height, width = height // 2, width // 2
    if "c" in spec.nodes:
        positions, weight = height * width, state["y.from_c.weight"]
        # A concat takes its edges in the order of the file: k, four positions wide, comes first.
        first = 4 + j * positions
        for q in range(positions):
            column = normed([[row[q]] for row in z], model, "c", first + q, train)
            for row, (value,) in zip(z, column, strict=True):
                row[q] = value
        return [[[sum(float(weight[m, first + q]) * row[q] for q in range(positions))] for m in range(2)] for row in z]
    weight = state["y.from_h.weight"]
    if len(shape) == 1:
        return [[[float(weight[m, j]) * row[0]] for m in range(2)] for row in z]
    found = [[[0.0] * (height * width) for _ in range(2)] for _ in range(n)]
    for i, m, p, q in itertools.product(range(n), range(2), range(height), range(width)):
        for a, b in itertools.product(range(3), range(3)):
            if 0 <= p + a - 1 < height and 0 <= q + b - 1 < width:
                value = z[i][(p + a - 1) * width + q + b - 1]
                found[i][m][p * width + q] += float(weight[m, j, a, b]) * value
    return found


def worth(model, x, v, j, step, train):
    """What a split takes off a linear loss."""
    up, down, middle = (written(model, x, j, step, sign, train) for sign in (1.0, -1.0, 0.0))
    total = 0.0
    for i, m in itertools.product(range(len(x)), range(2)):
        for q, asked in enumerate(v[i][m]):
            total += asked * ((up[i][m][q] + down[i][m][q]) / 2 - middle[i][m][q]) / len(x)
    return total
