"""Graphs drawn at random: sums and concats, vectors and maps, norms and pools, one or two inputs and outputs."""

import random

from reference_network import graph

ACTIVATIONS = ("identity", "relu", "selu", "tanh", "gelu", "softplus", "leaky_relu", "elu", "silu")
MOST_PARENTS = 3


def drawn_graph(seed):
    """A graph of 3 to 8 nodes; the same seed gives the same graph."""
    return _Drawing(random.Random(seed)).graph()


class _Drawing:
    """Nodes are added one after another, each of a shape that some values before it can lead to."""

    def __init__(self, rng):
        self.rng = rng
        self.maps = rng.random() < 0.4
        self.count = rng.randint(3, 7 if self.maps else 8)
        self.inputs, self.nodes, self.edges = {}, {}, {}
        self.shapes = {}

    def graph(self):
        rng = self.rng
        for name in ("x", "z")[: 1 + (rng.random() < 0.25)]:
            shape = (
                [rng.randint(1, 2), 4, 4] if self.maps and (name == "x" or rng.random() < 0.5) else [rng.randint(2, 4)]
            )
            self.inputs[name] = shape
            self.shapes[name] = tuple(shape)
        outputs = 2 if rng.random() < 0.15 and self.count > 3 else 1
        for index in range(self.count - outputs):
            self.add(f"n{index}")
        for name in ("y", "w")[:outputs]:
            self.finish(name)
        return graph(self.inputs, self.nodes, self.edges, ("y", "w")[:outputs])

    def add(self, name):
        """A node inside: of the shape that the edge from a first parent gives it, other parents as they fit."""
        rng = self.rng
        first = rng.choice(list(self.shapes)[-4:])
        positions = self.after(first)
        others = [u for u in self.shapes if u != first and self.op(u, positions) is not None]
        parents = [first, *rng.sample(others, min(len(others), rng.randint(0, MOST_PARENTS - 1)))]
        fields = {"activation": rng.choice(ACTIVATIONS), "norm": rng.choice(("none", "none", "none", "batch", "layer"))}
        concat = len(parents) > 1 and rng.random() < 0.3
        size = 0
        for parent in parents:
            op = self.op(parent, positions)
            own = rng.randint(1, 3)
            if concat and self.shapes[parent][1:] == positions and rng.random() < 0.5:
                op, own = "identity", self.shapes[parent][0]
            elif concat:
                op["size"] = own
            self.edges[f"{parent} -> {name}"] = op
            size += own
        if concat:
            fields["merge"] = "concat"
        else:
            fields["size"] = size = rng.randint(1, 3)
            same = [p for p in parents[1:] if self.shapes[p] == (size, *positions)]
            if same and rng.random() < 0.5:
                self.edges[f"{same[0]} -> {name}"] = "identity"
        shape = (size, *positions)
        if fields["norm"] == "layer" and size == 1 and (len(positions) < 2 or set(positions) == {1}):
            # A layer norm over a single value is refused.
            fields["norm"] = "none"
        if positions:
            shape = self.pooled(fields, shape)
        self.nodes[name], self.shapes[name] = fields, shape

    def after(self, name):
        """The positions of a child of this node."""
        shape = self.shapes[name]
        return (
            ()
            if len(shape) == 1
            else self.rng.choice((shape[1:], shape[1:], tuple(-(-side // 2) for side in shape[1:])))
        )

    def op(self, source, positions):
        """An edge from a node to values at these positions, None where there is none."""
        here = self.shapes[source][1:]
        bias = self.rng.random() < 0.7
        if len(here) != len(positions):
            return None
        if not here:
            return {"op": "linear", "bias": bias}
        if here == positions:
            kernel = self.rng.choice((1, 3))
            return {"op": "conv2d", "kernel": kernel, "padding": kernel // 2, "bias": bias}
        if tuple(-(-side // 2) for side in here) == positions:
            return {"op": "conv2d", "kernel": 3, "stride": 2, "padding": 1, "bias": bias}
        if tuple(2 * side for side in here) == positions:
            return {"op": "conv_transpose2d", "kernel": 2, "stride": 2, "bias": bias}
        return None

    def pooled(self, fields, shape):
        kinds = ["none"] * 4 + ["global_average", "flatten"]
        if shape[1] >= 2:
            kinds += ["max", "average"]
        kind = self.rng.choice(kinds)
        if kind == "global_average":
            fields["pool"] = kind
            return shape[:1]
        if kind == "flatten":
            fields["flatten"] = True
            return (shape[0] * shape[1] * shape[2],)
        if kind != "none":
            fields["pool"] = {"kind": kind, "kernel": 2}
            return (shape[0], shape[1] // 2, shape[2] // 2)
        return shape

    def finish(self, name):
        """An output: a vector that reads what nothing else reads; maps are averaged or flattened before."""
        read = {edge.split(" -> ")[0] for edge in self.edges}
        loose = [u for u in self.shapes if u not in read and u not in ("y", "w")]
        if name == "w" or not loose:
            loose = loose or [self.rng.choice([u for u in self.shapes if u not in ("y", "w")])]
        for source in loose:
            shape = self.shapes[source]
            if len(shape) > 1 and (source in self.inputs or source in read):
                middle = f"{source}_mean"
                self.nodes[middle], self.shapes[middle] = {"pool": "global_average"}, shape[:1]
                self.edges[f"{source} -> {middle}"] = "identity"
                source = middle
            elif len(shape) > 1:
                fields = self.nodes[source]
                if "pool" in fields or self.rng.random() < 0.3:
                    fields["flatten"] = True
                    self.shapes[source] = (shape[0] * shape[1] * shape[2],)
                else:
                    fields["pool"], self.shapes[source] = "global_average", shape[:1]
            self.edges[f"{source} -> {name}"] = {"op": "linear", "bias": self.rng.random() < 0.7}
        self.nodes[name], self.shapes[name] = {"size": self.rng.randint(1, 3)}, (1,)
