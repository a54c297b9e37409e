"""One whole growth step, dagrow beside GroMo 0.1.0 (when installed), on the same data and start weights.

    python benchmarks/growth_step.py [mlp] [conv]

Work items: (mlp) 784-128-128-10, cross-entropy, 10 000 samples in batches of 1 000, 16 more neurons in the
first hidden layer, selu and relu; (conv) 3x32x32, two 3x3 convolutions of 16 channels, global average pool,
linear 10, 2 000 samples in batches of 100, 4 more channels between the convolutions, with the full
statistics. A step is: statistics, solve, line search, insertion. The loss after it is measured on all
samples. Both sides insert neurons together with the best update of the layer behind them, at one amplitude.

The floor is one forward and backward pass over the samples plus the symmetric products that every method of
this kind must form.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

import dagrow
from dagrow.report import number, table

Batches = list[tuple[torch.Tensor, torch.Tensor]]
cross_entropy = nn.functional.cross_entropy


def teacher_data(samples: int = 10_000) -> Batches:
    """Gaussian inputs, labels of a random one-layer relu teacher."""
    torch.manual_seed(0)
    x = torch.randn(samples, 784)
    with torch.no_grad():
        y = (torch.relu(x @ torch.randn(784, 64) / 28) @ torch.randn(64, 10) / 8).argmax(1)
    return list(zip(x.split(1000), y.split(1000), strict=True))


def conv_data(samples: int = 2_000, side: int = 32) -> Batches:
    """Gaussian images, labels of a random two-convolution teacher."""
    torch.manual_seed(0)
    x = torch.randn(samples, 3, side, side)
    teacher = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10),
    )  # fmt: skip
    with torch.no_grad():
        z = torch.cat([teacher(part) for part in x.split(200)])
        y = ((z - z.mean(0)) / z.std(0)).argmax(1)
    return list(zip(x.split(100), y.split(100), strict=True))


def mlp_graph(activation: str) -> dagrow.GraphSpec:
    """784-128-128-10."""
    return dagrow.GraphSpec.model_validate(
        {
            "inputs": {"x": {"shape": [784]}},
            "nodes": {
                "h1": {"size": 128, "activation": activation},
                "h2": {"size": 128, "activation": activation},
                "y": {"size": 10},
            },
            "edges": {"x -> h1": "linear", "h1 -> h2": "linear", "h2 -> y": "linear"},
            "outputs": ["y"],
        }
    )


def conv_graph() -> dagrow.GraphSpec:
    """conv16 - conv16 - global average - linear."""
    conv = {"op": "conv2d", "kernel": 3, "padding": 1}
    return dagrow.GraphSpec.model_validate(
        {
            "inputs": {"x": {"shape": [3, 32, 32]}},
            "nodes": {
                "c1": {"size": 16, "activation": "relu"},
                "c2": {"size": 16, "activation": "relu", "pool": "global_average"},
                "y": {"size": 10},
            },
            "edges": {"x -> c1": conv, "c1 -> c2": conv, "c2 -> y": "linear"},
            "outputs": ["y"],
        }
    )


def dagrow_step(model: torch.fx.GraphModule, data: Batches, node: str, neurons: int) -> float:
    """Seconds of one step."""
    started = time.perf_counter()
    plan = dagrow.propose(
        model,
        cross_entropy,
        data,
        nodes=[node],
        neurons=neurons,
        shrinkage=0.0,
        significance=0.0,
        with_update=True,
    )
    assert plan.best is not None
    dagrow.apply(model, plan.best)
    return time.perf_counter() - started


def floor(model: torch.fx.GraphModule, data: Batches, widths: list[tuple[int, int]]) -> float:
    """Seconds of one forward and backward pass and the symmetric products ``B^T B``, B made beforehand."""
    blocks = [(torch.randn(1000, width), rows) for width, rows in widths]
    started = time.perf_counter()
    for x, y in data:
        cross_entropy(model(x), y).backward()
    for block, rows in blocks:
        for _ in range(rows // 1000):
            block.T @ block
    return time.perf_counter() - started


def gromo_step(
    model: nn.Module, layer: nn.Module, data: Batches, neurons: int, factors: list[float], **options: float
) -> float:
    """Seconds of one step as GroMo's tutorial does it, its line search over ``factors``."""
    from gromo.utils.training_utils import compute_statistics, evaluate_model

    started = time.perf_counter()
    compute_statistics(model, data, nn.CrossEntropyLoss(reduction="sum"))
    model.compute_optimal_updates(maximum_added_neurons=neurons, **options)
    model.reset_computation()
    model.dummy_select_update()
    losses = []
    for factor in factors:
        model.set_scaling_factor(factor)
        losses.append(evaluate_model(model, data, nn.CrossEntropyLoss(), use_extended_model=True)[0])
    model.set_scaling_factor(factors[min(range(len(factors)), key=losses.__getitem__)])
    model.apply_change()
    return time.perf_counter() - started


def gromo_mlp(activation: str) -> tuple[nn.Module, nn.Module]:
    """GroMo's MLP and the layer behind the growing one."""
    from gromo.containers.growing_mlp import GrowingMLP

    torch.manual_seed(1)
    act = {"selu": nn.SELU, "relu": nn.ReLU}[activation]()
    model = GrowingMLP(784, 10, hidden_size=128, number_hidden_layers=2, activation=act)
    model.set_growing_layers(index=0)
    return model, model.layers[1]


def gromo_conv(kind: str) -> tuple[nn.Module, nn.Module]:
    """The convolutional net from GroMo's parts; ``kind`` is Full or Restricted."""
    from gromo.containers.sequential_growing_container import SequentialGrowingModel
    from gromo.modules import conv2d_growing_module
    from gromo.modules.conv2d_growing_module import Conv2dGrowingModule

    conv: type[Conv2dGrowingModule] = getattr(conv2d_growing_module, f"{kind}Conv2dGrowingModule")

    class ConvNet(SequentialGrowingModel):
        def __init__(self) -> None:
            super().__init__(3, 10)
            options = {"kernel_size": 3, "padding": 1, "input_size": (32, 32), "use_bias": True}
            self.c1 = conv(3, 16, name="c1", post_layer_function=nn.ReLU(), **options)
            self.c2 = conv(16, 16, name="c2", post_layer_function=nn.ReLU(), previous_module=self.c1, **options)
            self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(16, 10)
            self._growable_layers = [self.c2]
            self.set_growing_layers(index=0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.pool(self.c2(self.c1(x))).flatten(1))

        def extended_forward(self, x: torch.Tensor, mask: object = None) -> torch.Tensor:
            x, extension = self.c1.extended_forward(x)
            x, _ = self.c2.extended_forward(x, extension)
            return self.fc(self.pool(x).flatten(1))

    torch.manual_seed(1)
    model = ConvNet()
    return model, model.c2


def layers_of(model: nn.Module) -> list[nn.Module]:
    """The linear and convolution layers of a dagrow network, in order."""
    return [module for module in model.modules() if isinstance(module, (nn.Linear, nn.Conv2d))]


@torch.no_grad()
def mean_loss(model: nn.Module, data: Batches) -> float:
    """Mean loss over all samples."""
    model.eval()
    return sum(float(cross_entropy(model(x), y)) * len(x) for x, y in data) / sum(len(x) for x, _ in data)


def compare(
    name: str,
    make: Callable[[], tuple[torch.fx.GraphModule, str, int]],
    peers: dict[str, Callable[[], tuple[nn.Module, nn.Module, list[nn.Module]]]],
    data: Batches,
    factors: list[float],
    widths: list[tuple[int, int]],
    repeats: int,
    **options: float,
) -> None:
    """Runs both sides in turn and prints times, ratios and losses."""
    times: dict[str, list[float]] = {"dagrow": [], "floor": [], **{peer: [] for peer in peers}}
    losses: dict[str, float] = {}
    # What is done once per process (memory, kernels) belongs to neither side.
    for build_peer in peers.values():
        model, layer, _ = build_peer()
        gromo_step(model, layer, data[:2], make()[2], factors[:2], **options)
    for _ in range(2):
        model, node, neurons = make()
        dagrow_step(model.eval(), data, node, neurons)
    for _ in range(repeats):
        start: list[tuple[torch.Tensor, torch.Tensor]] = []
        for peer, build_peer in peers.items():
            model, layer, layers = build_peer()
            start = [(part.weight.detach().clone(), part.bias.detach().clone()) for part in layers]
            times[peer].append(gromo_step(model, layer, data, make()[2], factors, **options))
            losses[peer] = mean_loss(model, data)
        model, node, neurons = make()
        model.eval()
        with torch.no_grad():
            for part, (weight, bias) in zip(layers_of(model), start, strict=False):
                part.weight.copy_(weight)
                part.bias.copy_(bias)
        losses["before"] = mean_loss(model, data)
        times["floor"].append(floor(model, data, widths))
        times["dagrow"].append(dagrow_step(model, data, node, neurons))
        losses["dagrow"] = mean_loss(model, data)
    ours = statistics.median(times["dagrow"])
    body = [
        [
            who,
            f"{statistics.median(seconds):.3f}",
            f"{statistics.median(seconds) / ours:.1f}",
            number(losses.get(who), 7),
        ]
        for who, seconds in times.items()
    ]
    print(f"\n{name}: loss before {losses['before']:.6f}; median of {repeats}")
    print(table(("", "seconds", "times dagrow's", "loss after"), body))


def main() -> None:
    """Runs the chosen work items."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("items", nargs="*", help="mlp, conv; both if left out")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    items = arguments.items or ["mlp", "conv"]
    torch.set_num_threads(arguments.threads)
    gromo = importlib.util.find_spec("gromo") is not None
    if not gromo:
        print("gromo is not installed (pip install gromo==0.1.0): dagrow alone", file=sys.stderr)
    if "mlp" in items:
        data = teacher_data()
        factors = [0.0, *torch.logspace(-1, 1.4771, 19).tolist()]
        for activation in ("selu", "relu"):

            def peer(activation: str = activation) -> tuple[nn.Module, nn.Module, list[nn.Module]]:
                model, layer = gromo_mlp(activation)
                return model, layer, [part.layer for part in model.layers]

            compare(
                f"(a) MLP, {activation}",
                lambda activation=activation: (dagrow.build(mlp_graph(activation), seed=1), "h1", 16),
                {"GroMo": peer} if gromo else {},
                data,
                factors,
                [(785, 10_000), (129, 10_000)],
                arguments.repeats,
            )
    if "conv" in items:
        peers = {}
        for kind in ("Restricted", "Full") if gromo else ():

            def conv_peer(kind: str = kind) -> tuple[nn.Module, nn.Module, list[nn.Module]]:
                model, layer = gromo_conv(kind)
                return model, layer, [model.c1.layer, model.c2.layer, model.fc]

            peers[f"GroMo {kind}"] = conv_peer
        compare(
            "(b) conv, full statistics",
            lambda: (dagrow.build(conv_graph(), seed=1), "c1", 4),
            peers,
            conv_data(),
            [0.0, *torch.logspace(0, 2.5, 19).tolist()],
            [(145, 2_000 * 1024), (28, 2_000 * 1024)],
            (arguments.repeats + 1) // 2,
            statistical_threshold=0.0,
        )


if __name__ == "__main__":
    main()
