"""Drawn graphs through all that is done with a network: only what was promised happens, and only sentences come out.

Each is checked, built, trained, and grown by every kind of insertion with an optimizer; each grown network is trained
on, copied, pickled, saved, loaded and exported. A few of the cases are in the suite; many, in one process and one
thread, with counts at the end:

    python tests/end_to_end/fuzz_graphs.py --cases 5000 --seed 0
"""

import argparse
import copy
import pickle
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import nn, optim

ROOT = Path(__file__).resolve().parents[2]
sys.path.extend(str(folder) for folder in (ROOT / "tests" / "reference", ROOT / "tests") if str(folder) not in sys.path)

from reference_dags import ACTIVATIONS, drawn_graph  # noqa: E402
from reference_network import batches, inputs_for, mean_loss, normal, squared  # noqa: E402
from tolerances import SOLVED, assert_same_function, rounding  # noqa: E402

import dagrow  # noqa: E402
from dagrow.errors import DagrowError  # noqa: E402
from dagrow.planner import KINDS  # noqa: E402
from dagrow.report.describe import describe  # noqa: E402
from dagrow.runs import RunDirectory  # noqa: E402

SAMPLES = 24
OPTIMIZERS = {
    "sgd": lambda groups: optim.SGD(groups, lr=0.01, momentum=0.9),
    "adam": lambda groups: optim.Adam(groups, lr=0.003, weight_decay=0.01),
    "amsgrad": lambda groups: optim.AdamW(groups, lr=0.003, amsgrad=True),
    "rmsprop": lambda groups: optim.RMSprop(groups, lr=0.001, centered=True),
}
METHODS = ("tiny", "tiny", "random", "nonlinear", "gradmax", "north_weights", "firefly", "random_zero_fan_out")
"""Those that can do something on most graphs. ``net2net`` is asked for widening and layers only."""


SILENT = ("widen", "edge", "node")
"""Kinds that ``zero_fan_out_unscaled`` puts in without a change of the function."""


class Case:
    """One drawn graph, its network, optimizer and data, the same in every run."""

    def __init__(self, seed: int, number: int) -> None:
        self.rng = rng = random.Random(f"graphs {seed} {number}")
        self.seed = rng.randrange(2**31)
        self.spec = drawn_graph(self.seed)
        self.dtype = rng.choice((torch.float64, torch.float64, torch.float64, torch.float32))
        x = inputs_for(self.spec, SAMPLES, self.seed)
        self.loss: Any = squared
        self.model = dagrow.build(self.spec, seed=self.seed).to(self.dtype)
        y = tuple(
            normal(SAMPLES, *self.model.dag.output(name), seed=self.seed + 90 + i)
            for i, name in enumerate(self.spec.outputs)
        )
        self.x, y = tuple(part.to(self.dtype) for part in x), tuple(part.to(self.dtype) for part in y)
        target: Any = y if len(y) > 1 else y[0]
        if len(y) == 1 and target.shape[1] > 1 and rng.random() < 0.4:
            self.loss, target = nn.functional.cross_entropy, target.argmax(1)
        self.data = batches(self.x, target, [SAMPLES - 11, 11])
        self.frozen = self._frozen()
        self.optimizer = self._optimizer()
        train(self)
        self.model.train(rng.random() < 0.2)

    def _frozen(self) -> set[str]:
        """Sometimes a part of the weights."""
        share = self.rng.choice((0.0, 0.0, 0.2, 0.5))
        names = [name for name, _ in self.model.named_parameters() if self.rng.random() < share]
        if len(names) == len(list(self.model.parameters())):
            names = names[1:]
        for name in names:
            self.model.get_parameter(name).requires_grad_(False)
        return set(names)

    def _optimizer(self) -> optim.Optimizer:
        named = list(self.model.named_parameters())
        if self.rng.random() < 0.5:
            groups = [{"params": [p for _, p in named]}]
        else:
            split = [[p for name, p in named if name.endswith("weight") == side] for side in (True, False)]
            groups = [{"params": own, "weight_decay": 0.1 * i} for i, own in enumerate(split) if own]
        return self.rng.choice(list(OPTIMIZERS.values()))(groups)

    def asked(self) -> dict[str, Any]:
        """Options of a proposal; thresholds are mostly open, so that much is tried."""
        rng = self.rng
        everywhere = rng.random() < 0.9
        return {
            "candidates": list(KINDS) if everywhere else ["widen", "layer"],
            "method": rng.choice(METHODS) if everywhere else "net2net",
            "neurons": rng.randint(1, 3),
            "where": rng.choice(("gain", "gain_per_parameter", "round_robin", "random")),
            "shrinkage": rng.choice((0, 1e-2, "auto")),
            "significance": rng.choice((0, 0, 1)),
            "held_out": rng.choice((None, 0.0, 0.25)),
            "fan_out": rng.choice(("full", "pointwise")),
            "with_update": rng.random() < 0.3,
            "new_node": {
                "activation": rng.choice(ACTIVATIONS),
                "norm": rng.choice(("none", "none", "batch")),
                "kernel": rng.choice((1, 3)),
            },
            "prune_tolerance": rng.choice((0, 1e9)),
            **dict(zip(("max_solved", "max_searched"), rng.choice(((16, 8), (3, 2))), strict=True)),
            "seed": self.seed,
        }


def train(case: Case, model: Any = None, optimizer: Any = None, steps: int = 2) -> None:
    model, optimizer = model or case.model, optimizer or case.optimizer
    model.train()
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return  # The one edge that was not frozen has been removed.
    for _ in range(steps):
        for x, y in case.data:
            optimizer.zero_grad()
            case.loss(model(*x), y).backward()
            optimizer.step()
    optimizer.zero_grad()


def outputs(model: Any, x: Any) -> tuple[torch.Tensor, ...]:
    """In eval mode, which changes nothing."""
    training = model.training
    with torch.no_grad():
        outs = model.eval()(*x)
    model.train(training)
    return outs if isinstance(outs, tuple) else (outs,)


def run(seed: int, number: int, folder: Path) -> Counter[str]:
    """What came of one case; a surprise is raised."""
    case, found = Case(seed, number), Counter[str]()
    describe(case.model.dag)
    dagrow.save_graph(case.spec, folder / "graph.yaml")
    assert dagrow.load_graph(folder / "graph.yaml") == case.spec
    for _ in range(case.rng.choice((1, 1, 1, 2))):
        try:
            plan = dagrow.propose(case.model, case.loss, case.data, **case.asked())
        except DagrowError as error:
            found[f"proposals refused: {check(error)}"] += 1
            continue
        made = [_grown(case, plan, kind, found) for kind in KINDS]
        made = [each for each in made if each is not None]
        if not made:
            continue
        model, optimizer = case.rng.choice(made)
        round_trips(case, model, folder, found)
        train(case, model, optimizer, steps=1)
        order(model, optimizer)
        case.model, case.optimizer = model.train(case.model.training), optimizer
    return found


def _grown(case: Case, plan: Any, kind: str, found: Counter[str]) -> tuple[Any, Any] | None:
    """Copies of network and optimizer with a candidate of a kind inserted, once all that it promised is there."""
    open_ = [c for c in plan.candidates if c.kind == kind and not c.rejected]
    if not open_:
        return None
    candidate, insert = case.rng.choice(open_), case.rng.choice(("amplitude", "amplitude", "zero_fan_out_unscaled"))
    model, optimizer = copy.deepcopy((case.model, case.optimizer))
    before = outputs(model, case.x)
    try:
        dagrow.apply(model, candidate, optimizer, insert=insert)
    except DagrowError as error:
        found[f"{kind} refused: {check(error)}"] += 1
        assert all(torch.equal(a, b) for a, b in zip(before, outputs(model, case.x), strict=True))
        assert model.spec == case.model.spec
        return None
    found[f"{kind} {insert}"] += 1
    if insert == "amplitude":
        promise(case, plan, candidate, model)
    elif kind in SILENT and not candidate.still:
        assert_same_function(outputs(model, case.x), before, SOLVED)
    order(model, optimizer)
    frozen(case, model)
    assert model.training == case.model.training
    return model, optimizer


def promise(case: Case, plan: Any, candidate: Any, model: Any) -> None:
    """The loss falls by the gain."""
    drop = plan.loss - mean_loss(copy.deepcopy(model), case.loss, case.data)
    # Weights of nearly dependent features may be long, and then round.
    longest = max(float(p.detach().abs().amax()) for p in model.parameters())
    allowed = rounding(case.dtype, max(abs(plan.loss), longest), SOLVED) + 1e-5 * abs(candidate.gain)
    assert abs(drop - candidate.gain) <= allowed, f"{candidate.kind} promised {candidate.gain}, gained {drop}"
    parameters = sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in case.model.parameters())
    assert parameters == candidate.cost.parameters


def order(model: Any, optimizer: Any) -> None:
    """Every weight in one group, each group in the order of the network, moments of the weights' shapes."""
    names = {id(p): index for index, (_, p) in enumerate(model.named_parameters())}
    held = [[names[id(p)] for p in group["params"]] for group in optimizer.param_groups]
    assert sorted(index for own in held for index in own) == list(range(len(names)))
    assert all(own == sorted(own) for own in held)
    assert {id(p) for p in optimizer.state} <= names.keys()
    for parameter, state in optimizer.state.items():
        for value in state.values():
            assert not isinstance(value, torch.Tensor) or value.dim() == 0 or value.shape == parameter.shape


def frozen(case: Case, model: Any) -> None:
    """Frozen weights hold the numbers that they held."""
    now = dict(model.named_parameters())
    for name in case.frozen:
        old = case.model.get_parameter(name)
        assert not now[name].requires_grad, name
        assert bool(torch.isin(old, now[name]).all()), name


def round_trips(case: Case, model: Any, folder: Path, found: Counter[str]) -> None:
    """The network is the same function after each."""
    expected = outputs(model, case.x)
    saved = RunDirectory(folder)
    saved.save(model)
    again = {
        "copied": copy.deepcopy(model),
        "pickled": pickle.loads(pickle.dumps(model)),
        "loaded": saved.load(),
        "rebuilt": dagrow.build(model.spec, seed=1).to(case.dtype),
    }
    again["rebuilt"].load_state_dict(model.state_dict())
    for name, other in again.items():
        assert other.spec == model.spec, name
        assert list(other.state_dict()) == list(model.state_dict()), name
        assert_same_function(outputs(other, case.x), expected)
    try:
        dagrow.export(model, "python", folder / f"exported{len(list(folder.iterdir()))}")
    except DagrowError as error:
        # Training may have ended in numbers that are too large for another sample; nothing else is meant to happen.
        if "is NaN or infinite" not in str(error):
            raise
        found[f"exports refused: {check(error)}"] += 1
    else:
        found["exported"] += 1


def check(error: DagrowError) -> str:
    """The start of its message, which a person can read."""
    text = str(error)
    assert text
    assert text.replace("\n", "").isprintable()
    return text.partition(":")[0].partition("'")[0][:50]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="no case begins after so many")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    counts: Counter[str] = Counter()
    slowest, unexpected, done, began = (0.0, -1), 0, 0, time.perf_counter()
    for number in range(asked.first, asked.first + asked.cases):
        started = time.perf_counter()
        if started - began > asked.seconds:
            break
        with tempfile.TemporaryDirectory() as folder:
            try:
                counts += run(asked.seed, number, Path(folder))
            except Exception as error:
                unexpected += 1
                print(f"case {number}: {type(error).__name__}: {str(error)[:300]}", flush=True)
        done += 1
        slowest = max(slowest, (time.perf_counter() - started, number))
    for name, count in sorted(counts.items()):
        print(f"{name:60}{count:8}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(
        f"{done} cases in {time.perf_counter() - began:.0f} s, the slowest (case {slowest[1]}) {slowest[0]:.2f} s, "
        f"{memory} MB at most, {unexpected} unexpected"
    )
    sys.exit(1 if unexpected else 0)


if __name__ == "__main__":
    main()
