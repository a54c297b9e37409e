"""Growth by its defaults beside what people would use instead, on the same split.

    python benchmarks/versus.py [NAME ...] [--seeds 3] [--npz FOLDER]      needs optuna, and river for the last sets

Peers: scikit-learn's MLP, gradient-boosted trees and a linear model by their defaults; Optuna (TPE) over widths,
depth, activation and learning rate of a torch MLP, within the time that growth took; the last graph of each run
trained from scratch as that run's final training does, and that of the first run also for as many multiply-adds as the
whole run took; and growth by random neurons. Growth starts from two layers of two units, and from
``input -> output`` alone with every kind of insertion. The sets of `TUNED` were looked at when the defaults were
chosen, those of `CONFIRMED` were not. Printed are accuracy (R^2 for a regression), CPU seconds and parameters: mean
over seeds, and its deviation; at the end mean ranks, and by how much the better default graph is behind the better of
scikit-learn's MLP and Optuna.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor

import dagrow

Array = NDArray[np.float32]
Predict = Callable[[Array], Array]

TUNED = ("moons", "quantiles", "clusters", "rings", "friedman1", "friedman2", "digits", "wine", "diabetes")
CONFIRMED = (
    "breast_cancer", "iris", "friedman3", "hastie", "checkerboard", "spirals", "swiss_roll", "parity", "sines",
    "sparse_linear", "bananas", "segment", "phishing",
)  # fmt: skip

FINAL_EPOCHS = 30
"""Units of the final training by default, where a network over-fits."""


class Problem(NamedTuple):
    """A set with its split; targets are class numbers, or one column of numbers."""

    x: Array
    y: Array
    x_test: Array
    y_test: Array
    regression: bool

    @property
    def outputs(self) -> int:
        """Features of the output."""
        return 1 if self.regression else int(max(self.y.max(), self.y_test.max())) + 1

    def score(self, predicted: Array) -> float:
        """Accuracy, or R^2."""
        if self.regression:
            return 1.0 - float(((predicted.reshape(-1) - self.y_test.reshape(-1)) ** 2).mean() / self.y_test.var())
        return float((predicted.reshape(-1) == self.y_test).mean())


def split(x: Array, y: Array, regression: bool) -> Problem:
    """Three quarters to learn from, features standardized by them."""
    order = np.random.default_rng(1).permutation(len(x))
    x, y, k = np.asarray(x)[order], np.asarray(y)[order], int(0.75 * len(x))
    x = ((x - x[:k].mean(0)) / (x[:k].std(0) + 1e-9)).astype(np.float32)
    y = y.astype(np.float32)[:, None] if regression else y.astype(np.int64)
    return Problem(x[:k], y[:k], x[k:], y[k:], regression)


def drawn(name: str) -> tuple[Array, Array, bool]:
    """The sets that are drawn here."""
    rng = np.random.default_rng(0)
    if name == "checkerboard":
        x = rng.uniform(-2, 2, (4000, 2))
        return x, (np.floor(x).sum(1) % 2).astype(int), False
    if name == "spirals":
        t, arm = np.sqrt(rng.uniform(0, 1, 3000)) * 3 * np.pi, rng.integers(0, 3, 3000)
        angle = t + arm * 2 * np.pi / 3
        return np.stack([t * np.cos(angle), t * np.sin(angle)], 1) + rng.normal(0, 0.4, (3000, 2)), arm, False
    if name == "parity":
        x = rng.normal(size=(3000, 8))
        return x, ((x[:, :3] > 0).sum(1) % 2).astype(int), False
    if name == "sines":
        x = rng.uniform(-1, 1, (3000, 5))
        return x, np.sin(5 * x[:, 0]) * np.cos(3 * x[:, 1]) + x[:, 2] * x[:, 3] + rng.normal(0, 0.1, 3000), True
    assert name == "sparse_linear"
    x = rng.normal(size=(800, 30))
    return x, x[:, :4] @ np.array([2.0, -1.0, 1.0, 0.5]) + rng.normal(0, 1, 800), True


def problem(name: str, npz: Path | None) -> Problem:
    """A set by its name; ``mnist`` and ``fashion_mnist`` from archives in a folder."""
    if npz is not None and (npz / f"{name}.npz").is_file():
        found = np.load(npz / f"{name}.npz")
        flat = [found[key].reshape(len(found[key]), -1).astype(np.float32) / 255 for key in ("x_train", "x_test")]
        y, y_test = (found[key].astype(np.int64) for key in ("y_train", "y_test"))
        return Problem(flat[0][:10_000], y[:10_000], flat[1], y_test, False)
    made = {
        "moons": lambda: (*datasets.make_moons(5300, noise=0.35, random_state=0), False),
        "quantiles": lambda: (
            *datasets.make_gaussian_quantiles(n_samples=4000, n_features=6, n_classes=4, random_state=0),
            False,
        ),
        "clusters": lambda: (
            *datasets.make_classification(
                4000, 20, n_informative=8, n_redundant=4, n_classes=5, n_clusters_per_class=3, flip_y=0.05,
                random_state=0,
            ),
            False,
        ),
        "rings": lambda: (*datasets.make_circles(3000, noise=0.1, factor=0.6, random_state=0), False),
        "friedman1": lambda: (*datasets.make_friedman1(4000, 10, noise=1.0, random_state=0), True),
        "friedman2": lambda: (*datasets.make_friedman2(4000, noise=50.0, random_state=0), True),
        "friedman3": lambda: (*datasets.make_friedman3(4000, noise=0.1, random_state=0), True),
        "swiss_roll": lambda: (*datasets.make_swiss_roll(3000, noise=0.5, random_state=0), True),
        "hastie": lambda: _hastie(),
        **{name: lambda name=name: _carried(name) for name in ("digits", "wine", "breast_cancer", "iris", "diabetes")},
        **{name: lambda name=name: _streamed(name) for name in ("bananas", "segment", "phishing")},
    }  # fmt: skip
    return split(*(made[name]() if name in made else drawn(name)))


def _hastie() -> tuple[Array, Array, bool]:
    x, y = datasets.make_hastie_10_2(4000, random_state=0)
    return x, (y > 0).astype(int), False


def _carried(name: str) -> tuple[Array, Array, bool]:
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return x, y, name == "diabetes"


def _streamed(name: str) -> tuple[Array, Array, bool]:
    """Small real sets that river ships."""
    from river import datasets as river

    rows = list({"bananas": river.Bananas, "segment": river.ImageSegments, "phishing": river.Phishing}[name]())
    names, classes = sorted(rows[0][0]), sorted({str(y) for _, y in rows})
    x = np.array([[row[key] for key in names] for row, _ in rows], dtype=float)
    return x, np.array([classes.index(str(y)) for _, y in rows]), False


def graphs(features: int, outputs: int) -> Iterator[tuple[str, str]]:
    """What a newcomer would write."""
    head = f"graph:\n  inputs: {{x: {{shape: [{features}]}}}}\n"
    yield (
        "2-2",
        head
        + (
            f"  nodes: {{h: {{size: 2, activation: selu}}, k: {{size: 2, activation: selu}}, y: {{size: {outputs}}}}}\n"
            "  edges: {x -> h: linear, h -> k: linear, k -> y: linear}\n  outputs: [y]\n"
        ),
    )
    yield (
        "free",
        head
        + (
            f"  nodes: {{y: {{size: {outputs}}}}}\n  edges: {{x -> y: linear}}\n  outputs: [y]\n"
            "growth: {candidates: [widen, node, edge, layer]}\n"
        ),
    )


def run_of(data: Problem, graph: str, seed: int, *changes: str) -> dagrow.GrowthResult:
    """A run by its defaults."""
    with tempfile.TemporaryDirectory() as folder:
        arrays = {"x_train": data.x, "y_train": data.y, "x_test": data.x_test, "y_test": data.y_test}
        np.savez(Path(folder) / "data.npz", **arrays)
        loss = "training: {loss: mse}\n" if data.regression else ""
        file = Path(folder) / "run.yaml"
        file.write_text(f"{graph}{loss}data: {{npz: data.npz}}\nseed: {seed}\n")
        return dagrow.grow(dagrow.load_run(file, changes), write=False)


def grow(data: Problem, graph: str, seed: int, *changes: str) -> tuple[torch.nn.Module, dagrow.GraphSpec, float]:
    """A run by its defaults: the network, its graph, and the multiply-adds of training and growth."""
    result = run_of(data, graph, seed, *changes)
    work = sum(event.get("work") or 0 for event in result.events)
    return result.model.eval(), result.model.spec, float(work)


def predictor(model: torch.nn.Module, regression: bool) -> Predict:
    """Numbers, or the most likely class."""

    @torch.no_grad()
    def predict(x: Array) -> Array:
        out = model(torch.tensor(x)).numpy()
        return out if regression else out.argmax(1)

    return predict


def from_scratch(data: Problem, graph: dagrow.GraphSpec, seed: int, *changes: str) -> tuple[torch.nn.Module, float]:
    """The last graph of a run with new weights, trained as the end of the run was; and the multiply-adds of that."""
    with tempfile.TemporaryDirectory() as folder:
        dagrow.save_graph(graph, Path(folder) / "graph.yaml")
        text = (Path(folder) / "graph.yaml").read_text()
    model, _, work = grow(data, text, seed, "growth.budget.steps=0", *changes)
    return model, work


def for_as_long(data: Problem, graph: dagrow.GraphSpec, seed: int, wanted: float, work: float) -> torch.nn.Module:
    """The same, trained for as many multiply-adds as wanted; ``work`` is what the usual final training takes."""
    units = round(FINAL_EPOCHS * wanted / work)
    return from_scratch(data, graph, seed, "growth.schedule=adaptive", f"training.final_epochs={units}")[0]


def optuna_net(data: Problem, seconds: float, seed: int) -> tuple[Predict, int]:
    """The best MLP of a search within so many seconds, trained again on all samples."""
    mean, std = (data.y.mean(), data.y.std()) if data.regression else (0.0, 1.0)
    order = np.random.default_rng(seed).permutation(len(data.x))
    held, rest = order[: len(order) // 5], order[len(order) // 5 :]
    loss = torch.nn.functional.mse_loss if data.regression else torch.nn.functional.cross_entropy
    target, inputs = torch.tensor((data.y - mean) / std if data.regression else data.y), torch.tensor(data.x)

    def fit(p: dict[str, float], index: Array) -> torch.nn.Module:
        torch.manual_seed(seed)
        sizes = [data.x.shape[1], *(int(p[f"w{i}"]) for i in range(int(p["depth"])))]
        act = {"relu": torch.nn.ReLU, "selu": torch.nn.SELU}[p["act"]]
        layers = [layer for a, b in itertools.pairwise(sizes) for layer in (torch.nn.Linear(a, b), act())]
        net = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], data.outputs))
        optimizer = torch.optim.Adam(net.parameters(), lr=p["lr"])
        for _ in range(30):
            for part in torch.randperm(len(index)).split(128):
                rows = index[part.numpy()]
                optimizer.zero_grad()
                loss(net(inputs[rows]), target[rows]).backward()
                optimizer.step()
        return net

    def predict(net: torch.nn.Module, x: Array) -> Array:
        return predictor(net, data.regression)(x) * (std if data.regression else 1) + mean

    def objective(trial: optuna.Trial) -> float:
        p = {
            "depth": trial.suggest_int("depth", 1, 3),
            "act": trial.suggest_categorical("act", ["relu", "selu"]),
            "lr": trial.suggest_float("lr", 3e-4, 3e-2, log=True),
        }
        p |= {f"w{i}": trial.suggest_int(f"w{i}", 4, 256, log=True) for i in range(p["depth"])}
        held_out = data._replace(x_test=data.x[held], y_test=data.y[held])
        return held_out.score(predict(fit(p, rest), data.x[held]))

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, timeout=seconds)
    net = fit(study.best_params, np.arange(len(data.x)))
    return (lambda x: predict(net, x)), _size(net)


def _size(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def peers(regression: bool, seed: int) -> dict[str, BaseEstimator]:
    """Of scikit-learn."""
    if regression:
        return {
            "MLP": MLPRegressor(random_state=seed),
            "trees": HistGradientBoostingRegressor(random_state=seed),
            "linear": Ridge(),
        }
    return {
        "MLP": MLPClassifier(random_state=seed),
        "trees": HistGradientBoostingClassifier(random_state=seed),
        "linear": LogisticRegression(max_iter=1000),
    }


def run(name: str, data: Problem, seeds: int) -> dict[str, NDArray[np.float64]]:
    """Rows of score, seconds and parameters by who made them."""
    rows: dict[str, list[tuple[float, float, int]]] = {}
    for seed in range(seeds):
        spent = []
        for label, graph in graphs(data.x.shape[1], data.outputs):
            start, wall = time.process_time(), time.perf_counter()
            model, spec, wanted = grow(data, graph, seed)
            spent.append(time.perf_counter() - wall)
            entry = (time.process_time() - start, _size(model))
            rows.setdefault(label, []).append((data.score(predictor(model, data.regression)(data.x_test)), *entry))
            start = time.process_time()
            scratch, work = from_scratch(data, spec, seed)
            found = data.score(predictor(scratch, data.regression)(data.x_test))
            rows.setdefault(f"{label}, from scratch", []).append((found, time.process_time() - start, entry[1]))
            if label == "2-2":
                start = time.process_time()
                longer = for_as_long(data, spec, seed, wanted, work)
                found = data.score(predictor(longer, data.regression)(data.x_test))
                rows.setdefault("2-2, equal MACs", []).append((found, time.process_time() - start, entry[1]))
                start = time.process_time()
                drawn_net, _, _ = grow(data, graph, seed, "growth.method=random")
                found, count = data.score(predictor(drawn_net, data.regression)(data.x_test)), _size(drawn_net)
                rows.setdefault("2-2, random neurons", []).append((found, time.process_time() - start, count))
        for label, model in peers(data.regression, seed).items():
            start = time.process_time()
            model.fit(data.x, data.y.ravel())
            rows.setdefault(label, []).append((data.score(model.predict(data.x_test)), time.process_time() - start, 0))
        start = time.process_time()
        predict, count = optuna_net(data, max(1.0, float(np.mean(spent))), seed)
        rows.setdefault("Optuna", []).append((data.score(predict(data.x_test)), time.process_time() - start, count))
    kind = "R^2" if data.regression else f"{data.outputs} classes"
    print(f"{name}: {len(data.x)} + {len(data.x_test)} samples, {data.x.shape[1]} features, {kind}")
    tables = {label: np.array(found) for label, found in rows.items()}
    for label, found in tables.items():
        mean, deviation = found.mean(0), found.std(0)[0]
        print(
            f"  {label:20s} {mean[0]:.4f} +- {deviation:.4f}  {mean[1]:6.1f} s  {mean[2]:7.0f} parameters", flush=True
        )
    return tables


def summary(title: str, found: dict[str, dict[str, NDArray[np.float64]]]) -> None:
    """Mean ranks, and how far the better default graph is behind the better of MLP and Optuna."""
    if not found:
        return
    labels = ("dagrow", "MLP", "Optuna", "trees", "linear")
    scores = []
    for tables in found.values():
        means = {label: float(rows[:, 0].mean()) for label, rows in tables.items()}
        means["dagrow"] = max(means["2-2"], means["free"])
        scores.append([means[label] for label in labels])
    table = np.array(scores)
    ranks = (table[:, None, :] > table[:, :, None]).sum(2) + 1 + ((table[:, None] == table[:, :, None]).sum(2) - 1) / 2
    print(
        f"{title}, {len(found)} sets: mean ranks "
        + ", ".join(f"{a} {b:.2f}" for a, b in zip(labels, ranks.mean(0), strict=True))
    )
    behind = {name: 100 * (max(row[1], row[2]) - row[0]) for name, row in zip(found, table, strict=True)}
    worst = max(behind, key=lambda name: behind[name])
    print(f"  behind the better of MLP and Optuna by {behind[worst]:.2f} points at most ({worst})")
    below = [name for name, row in zip(found, table, strict=True) if row[0] < row[4]]
    print(f"  below the linear model on {', '.join(below) or 'no set'}")


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--npz", type=Path)
    given = parser.parse_args()
    results = {name: run(name, problem(name, given.npz), given.seeds) for name in given.names or (*TUNED, *CONFIRMED)}
    summary("tuned on", {name: rows for name, rows in results.items() if name in TUNED})
    summary("not tuned on", {name: rows for name, rows in results.items() if name not in TUNED})
