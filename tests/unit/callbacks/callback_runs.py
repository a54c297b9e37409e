"""A small run on samples drawn here, and a callback that writes down what it is told."""

import torch

import dagrow
from dagrow.callbacks import Callback

GRAPH = {
    "inputs": {"x": {"shape": [2]}},
    "nodes": {"h": {"size": 1, "activation": "tanh"}, "y": {"size": 2}},
    "edges": {"x -> h": "linear", "h -> y": "linear"},
    "outputs": "y",
}
QUICK = {"batch_size": 32, "epochs_between_growth": 2, "final_epochs": 2, "checkpoint": {"seconds": 1e9}}
GROWTH = {"neurons": 2, "budget": {"steps": 2}, "samples": 64, "significance": 0.0}


def samples(count=96, seed=0):
    x = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return x, ((x[:, 0] * x[:, 1]) > 0).long()


class Told(Callback):
    """Keeps the events, and may do something at one of them."""

    def __init__(self, at=None, do=None):
        self.events, self.at, self.do = [], at, do

    def _tell(self, name, run, event):
        self.events.append((name, event))
        if name == self.at:
            self.do(run, event)

    @property
    def names(self):
        return [name for name, _ in self.events]


for _name in [name for name in vars(Callback) if name.startswith("on_")]:
    setattr(Told, _name, lambda self, run, event, name=_name: self._tell(name, run, event))


def quick(*callbacks, training=None, growth=None, **options):
    options = {"train": samples(), "seed": 1, **options}
    own = {**QUICK, **(training or {})}
    return dagrow.grow(GRAPH, callbacks=callbacks, training=own, growth={**GROWTH, **(growth or {})}, **options)
