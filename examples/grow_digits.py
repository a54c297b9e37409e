"""Grow a small network on handwritten digits with your own training loop.

    python examples/grow_digits.py

The loop is plain PyTorch. Every second epoch dagrow looks at the training samples, measures what more units
would gain, and inserts the best; the optimizer keeps what it has learned.
"""

from __future__ import annotations

from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

import dagrow

SPEC = Path(__file__).resolve().parents[1] / "specs" / "digits.yaml"
STEPS, EPOCHS_BETWEEN, FINAL_EPOCHS = 4, 2, 15


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """1797 images of 8 x 8 pixels, as rows of 64 numbers from 0 to 1, with their labels. No download."""
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(labels)


def train(model: torch.nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor) -> None:
    """One epoch of gradient descent: nothing here knows of growth."""
    model.train()
    for rows in torch.randperm(len(x)).split(64):
        optimizer.zero_grad()
        cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()


@torch.no_grad()
def accuracy(model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Share of the samples that are classified right."""
    return float((model.eval()(x).argmax(1) == y).float().mean())


def main() -> None:
    """Train, grow, train, and write the result as plain PyTorch."""
    torch.manual_seed(0)
    x, y = digits()
    order = torch.randperm(len(x))
    train_rows, test_rows = order[:1437], order[1437:]
    x_train, y_train, x_test, y_test = x[train_rows], y[train_rows], x[test_rows], y[test_rows]

    model = dagrow.build(dagrow.load_graph(SPEC), seed=0)  # 64 -> 2 -> 10
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)

    for step in range(1, STEPS + 1):
        for _ in range(EPOCHS_BETWEEN):
            train(model, optimizer, x_train, y_train)
        model.eval()  # losses count in the mode that the model is in
        plan = dagrow.propose(model, cross_entropy, [(x_train, y_train)], neurons=3, significance=0.5)
        if step == 1:
            print(plan)  # every candidate with its gain, amplitude and cost; what cannot grow, and why
        if plan.best is None:
            print(f"step {step}: nothing gains")
            continue
        # Weights, optimizer moments and the spec change together, or not at all.
        dagrow.apply(model, plan.best, optimizer)
        print(f"step {step}: {plan.best.place} +{plan.best.neurons}, gain {plan.best.gain:.3f}")

    for _ in range(FINAL_EPOCHS):
        train(model, optimizer, x_train, y_train)
    print(f"hidden units: {model.spec.nodes['h'].size}, test accuracy: {accuracy(model, x_test, y_test):.3f}")

    # model.py imports nothing but torch; it was loaded back and compared before this returns.
    exported = dagrow.export(model, to="python", out="grown-digits")
    print("exported:", *(file.as_posix() for file in exported.files))


if __name__ == "__main__":
    main()
