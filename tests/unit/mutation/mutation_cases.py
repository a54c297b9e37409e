"""Small graphs, changes of random weights, and a picture of all that growth may touch."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from zoo import graph

from dagrow.build import Network, build
from dagrow.build.edge_weight import EdgeWeight
from dagrow.graph import Dag, GrowableNode, site
from dagrow.mutation import Change, NewFeatures, widened_spec
from dagrow.mutation.operations import Operation, Transaction
from dagrow.spec.graph import EdgeId

MLP: dict[str, Any] = {
    "inputs": {"x": {"shape": [4]}},
    "nodes": {
        "h": {"size": 3, "activation": "tanh"},
        "k": {"size": 2, "activation": "selu"},
        "y": {"size": 2},
    },
    "edges": {"x -> h": "linear", "h -> k": "linear", "k -> y": "linear", "h -> y": "linear"},
    "outputs": ["y"],
}


def network(fields: dict[str, Any], dtype: torch.dtype = torch.float64) -> Network:
    return build(graph(**fields), seed=3).to(dtype)


def random_change(model: Network, node: str, count: int, fan_out: float = 1.0, seed: int = 0) -> Change:
    """New features of random weights; shapes are those of a network built at the grown size."""
    generator = torch.Generator().manual_seed(seed)
    dtype = next(model.parameters()).dtype

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    dag, place = model.dag, site(model.dag, node)
    assert isinstance(place, GrowableNode)
    grown = widened_spec(dag, node, count)
    wide = build(grown, seed=0).state_dict()
    old = model.state_dict()
    fan_in = {}
    for edge in dag.incoming[node]:
        key = f"{node}.from_{edge.source}"
        rows = draw(count, *old[f"{key}.weight"].shape[1:])
        fan_in[edge] = EdgeWeight(rows, draw(count) if f"{key}.bias" in old else None)
    blocks = {}
    for edge in (reading.edge for reading in place.readings):
        key = f"{edge.target}.from_{edge.source}.weight"
        shape = list(wide[key].shape)
        shape[1] -= old[key].shape[1]
        blocks[edge] = draw(*shape) * fan_out
    statistics = {}
    for name in (node, *place.passed):
        if dag.node(name).norm != "none":
            extra = Dag.of(grown).size(name) - dag.size(name)
            statistics[name] = (draw(extra), draw(extra).square() + 0.5)
    return Change(NewFeatures(node, fan_in, blocks, place.passed, statistics))


def edge(text: str) -> EdgeId:
    return EdgeId.parse(text)


def losses_step(model: nn.Module, x: Tensor, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    (model(x) - 1).square().mean().backward()
    optimizer.step()


def places(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, list[tuple[int, int]]]:
    """Per parameter of the network, every (group, index) at which the optimizer holds it."""
    return {
        name: [
            (g, i)
            for g, group in enumerate(optimizer.param_groups)
            for i, held in enumerate(group["params"])
            if held is parameter
        ]
        for name, parameter in model.named_parameters()
    }


class Picture:
    """All that a change may touch, to be compared with what is there later."""

    def __init__(self, model: Network, optimizer: torch.optim.Optimizer | None = None) -> None:
        self.model, self.optimizer = model, optimizer
        self.spec = model.spec
        self.code = model.code
        self.modules = {name: id(module) for name, module in model.named_modules()}
        self.reprs = {name: repr(module) for name, module in model.named_modules()}
        self.tensors = dict(model.state_dict(keep_vars=True))
        self.values = {key: value.detach().clone() for key, value in self.tensors.items()}
        self.grads = {key: None if p.grad is None else p.grad.clone() for key, p in model.named_parameters()}
        self.flags = {key: p.requires_grad for key, p in model.named_parameters()}
        if optimizer is not None:
            self.groups = [
                {**{k: v for k, v in group.items() if k != "params"}, "params": list(group["params"])}
                for group in optimizer.param_groups
            ]
            self.state = {p: copy.deepcopy(dict(s)) for p, s in optimizer.state.items()}

    def assert_unchanged(self) -> None:
        model = self.model
        assert model.spec == self.spec
        assert model.code == self.code
        assert {name: id(module) for name, module in model.named_modules()} == self.modules
        assert {name: repr(module) for name, module in model.named_modules()} == self.reprs
        now = model.state_dict(keep_vars=True)
        assert list(now) == list(self.tensors)
        for key, tensor in now.items():
            assert tensor is self.tensors[key], key
            assert torch.equal(tensor, self.values[key]), key
        for key, parameter in model.named_parameters():
            assert parameter.requires_grad == self.flags[key]
            assert same(parameter.grad, self.grads[key]), key
        if self.optimizer is not None:
            self._assert_optimizer_unchanged(self.optimizer)

    def _assert_optimizer_unchanged(self, optimizer: torch.optim.Optimizer) -> None:
        assert len(optimizer.param_groups) == len(self.groups)
        for group, old in zip(optimizer.param_groups, self.groups, strict=True):
            assert list(map(id, group["params"])) == list(map(id, old["params"]))
            assert {k: v for k, v in group.items() if k != "params"} == {k: v for k, v in old.items() if k != "params"}
        assert set(optimizer.state) == set(self.state)
        for parameter, state in self.state.items():
            found = optimizer.state[parameter]
            assert found.keys() == state.keys()
            assert all(same(found[key], state[key]) for key in state)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    return bool(a == b)


class Broken(BaseException):
    """Not even an Exception: as an interrupt by the keyboard."""


def broken_commits(monkeypatch, moment):
    """Breaks the next commit at its first step, then at the second, and so on; yields how many it has been."""
    commit, index, steps = Transaction.commit, 0, [None]
    while index < len(steps):

        def broken(self, index=index):
            nonlocal steps
            steps = self.steps
            do, undo = steps[index]

            def fail():
                if moment == "after":
                    do()
                raise Broken

            self.steps = [*steps[:index], Operation(fail, undo), *steps[index + 1 :]]
            commit(self)

        with monkeypatch.context() as patch:
            patch.setattr(Transaction, "commit", broken)
            yield index + 1
        index += 1


class BreaksAfter:
    """Stands for a function of a module: it works as before for ``limit`` calls, then it breaks.

    Attributes:
        calls: so far.
        limit: after so many it breaks; endless at first.
    """

    def __init__(self, monkeypatch, module, name):
        self.original, self.calls, self.limit = getattr(module, name), 0, 10**9
        monkeypatch.setattr(module, name, self)

    def __call__(self, *args, **kwargs):
        self.calls += 1
        if self.calls > self.limit:
            raise Broken
        return self.original(*args, **kwargs)

    def after(self, limit):
        """Starts to count anew."""
        self.calls, self.limit = 0, limit
