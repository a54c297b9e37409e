"""A proposal that two real processes make of their halves of the samples is the one made of all of them."""

import json

import pytest
from forked import Forked, ended, started_with

PROPOSE = """
import json
from dataclasses import replace
import torch
import dagrow
from dagrow.distributed import joined
from dagrow.methods import METHODS

solved = []


def noted(method):
    def formula(moments, request):
        solved.append(request.shrinkage)
        return method.formula(moments, request)

    return replace(method, formula=formula)


METHODS.update({name: noted(method) for name, method in METHODS.items()})

torch.manual_seed(0)
x = torch.randn(300, 6, dtype=torch.float64)
labels = (x[:, :2].prod(1) + 0.3 * x[:, 2] > 0).long() + (x[:, 3] > 1).long()
graph = {
    "inputs": {"x": {"shape": [6]}},
    "nodes": {"h": {"size": 3, "norm": "batch", "activation": "relu"}, "y": {"size": 3}},
    "edges": {"x -> h": "linear", "h -> y": "linear"},
    "outputs": ["y"],
}
network = dagrow.build(dagrow.GraphSpec.model_validate(graph), seed=1).double().eval()
plain = dagrow.GraphSpec.model_validate({**graph, "nodes": {**graph["nodes"], "h": {"size": 3, "activation": "relu"}}})
bare = dagrow.build(plain, seed=1).double().eval()
found = {}
with joined("cpu") as (processes, _):
    own = processes.part(0, 300)
    data = list(zip(x[own].split(40), labels[own].split(40)))
    for name, model, options in CASES:
        options = {"nodes": ["h"], **options}
        solved.clear()
        plan = dagrow.propose(model, torch.nn.functional.cross_entropy, data, processes=processes, neurons=2, **options)
        rows = [
            [c.kind, c.place, c.neurons, c.rejected, c.gain, c.held_out_gain or 0.0, c.amplitude, c.noise_level]
            for c in plan.candidates
        ]
        found[name] = {"rows": rows, "solved": list(solved)}
print(json.dumps(found))
"""

CASES = {
    "norm statistics": ("network", {"method": "tiny", "significance": 0.0}),
    "norm statistics of new nodes": (
        "network",
        {"candidates": ["node"], "nodes": ["y"], "new_node": {"norm": "batch", "activation": "relu"}},
    ),
    "drawn samples": ("bare", {"method": "nonlinear", "shrinkage": 0.1}),
    "drawn samples of several shrinkages": ("bare", {"method": "nonlinear"}),
    "drawn samples of random neurons": ("bare", {"method": "north_activations"}),
    "samples along a chain": ("bare", {"method": "folding"}),
}


def code():
    cases = ", ".join(f"({name!r}, {model}, {options!r})" for name, (model, options) in CASES.items())
    return PROPOSE.replace("CASES", f"[{cases}]")


@pytest.fixture(scope="module")
def plans():
    """Of one process, and of each of two."""
    results = ended([Forked("-c", code()), *started_with(2, "-c", code())])
    assert [status for _, _, status in results] == [0, 0, 0], results
    return [json.loads(out) for out, _, _ in results]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_propose_what_one_does(plans, case):
    alone, *apart = (plan[case]["rows"] for plan in plans)
    assert any(row[2] for row in alone)
    for rows in apart:
        assert [row[:4] for row in rows] == [row[:4] for row in alone]
        for row, wanted in zip(rows, alone, strict=True):
            assert row[4:] == pytest.approx(wanted[4:], rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("case", ["norm statistics", "drawn samples of several shrinkages"])
def test_two_processes_share_out_the_solves(plans, case):
    """Each makes about half of them, and none is made twice."""
    alone, *apart = (plan[case]["solved"] for plan in plans)
    assert sorted(apart[0] + apart[1]) == sorted(alone)
    assert len(alone) > 2
    assert max(map(len, apart)) <= 0.6 * len(alone)


DISAGREE = """
import torch, sys
import dagrow
from dagrow.distributed import joined

graph = {
    "inputs": {"x": {"shape": [6]}},
    "nodes": {"h": {"size": 3, "activation": "relu"}, "y": {"size": 3}},
    "edges": {"x -> h": "linear", "h -> y": "linear"},
    "outputs": ["y"],
}
torch.distributed.init_process_group("gloo")
with joined("cpu") as (processes, _):
    x, y = torch.ones(8, 6), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    network = dagrow.build(dagrow.GraphSpec.model_validate(graph), seed=0)
    other = dagrow.build(dagrow.GraphSpec.model_validate(graph), seed=processes.rank)
    for model, options in ((other, {}), (network, {"neurons": processes.rank + 1}), (network, {"where": RANK * 5})):
        try:
            dagrow.propose(model, torch.nn.functional.cross_entropy, [(x, y)], processes=processes, **options)
        except dagrow.DagrowError as error:
            print(error)
assert torch.distributed.is_initialized()
torch.distributed.destroy_process_group()
"""


def test_processes_that_ask_for_different_things_all_hear_of_it():
    """Within a group that the caller has made; each refusal leaves the processes fit for the next proposal."""
    code = DISAGREE.replace("RANK * 5", "['gain', 5][processes.rank]")
    results = ended(started_with(2, "-c", code))
    assert [status for _, _, status in results] == [0, 0], results
    first, second = (out.splitlines() for out, _, _ in results)
    assert (
        first[:2]
        == second[:2]
        == [
            "process 1 asks for another proposal than process 0: the weights 'h.from_x.weight' are others; "
            "give all of them the network of the first",
            "process 1 asks for another proposal than process 0: 'neurons' is 2 in place of 1",
        ]
    )
    assert first[2] == f"process 1 of 2 refuses: {second[2]}"
