"""Wrong use of the Python contract is a `DagrowError`; ops and methods from outside go through YAML."""

import copy
from typing import ClassVar, Literal

import pytest
import torch
from command_tools import command
from torch import nn
from torch.nn import functional

import dagrow
from dagrow.methods import Neurons
from dagrow.registry import rollback_on_error

RUN = """\
graph:
  inputs: {x: {shape: [4]}}
  nodes: {h: {size: 2, activation: relu}, y: {size: 3}}
  edges: {x -> h: linear, h -> y: linear}
  outputs: y
data: {dataset: iris, standardize: true}
training: {batch_size: 16, final_epochs: 3}
growth: {budget: {steps: 1}}
"""


@pytest.fixture
def run_file(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(RUN)
    return file


@pytest.fixture
def model(run_file):
    return dagrow.build(dagrow.load_graph(run_file), seed=0).eval()


@pytest.fixture(autouse=True)
def registries():
    """All are put back at the end."""
    with rollback_on_error() as restore:
        yield
        restore()


def batch():
    x = torch.randn(90, 4, generator=torch.Generator().manual_seed(0))
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long()


def propose(model, **options):
    return dagrow.propose(model, functional.cross_entropy, [batch()], **options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"method": "tinny"}, "unknown method 'tinny' (did you mean 'tiny'?)"),
        ({"candidates": ["widn"]}, "unknown kind of candidate 'widn' (did you mean 'widen'?)"),
        ({"nodes": ["hh"]}, "there is no node 'hh' (did you mean 'h'?); nodes: h, y"),
        ({"nodes": ["y"]}, "'y' cannot grow: it is an output"),
        ({"where": "gains"}, "unknown strategy 'gains' (did you mean 'gain'?)"),
        ({"neurons": 0}, "neurons must be at least 1, not 0"),
        ({"shrinkage": -1.0}, "shrinkage is 'auto' or a number from 0, not -1.0"),
        ({"shrinkage": "much"}, "shrinkage is 'auto' or a number from 0, not 'much'"),
        ({"held_out": 1.0}, "held_out is a share of the samples"),
    ],
)
def test_wrong_requests(model, options, text):
    with pytest.raises(dagrow.DagrowError) as caught:
        propose(model, **options)
    assert text in str(caught.value)


def test_a_module_that_is_not_ours():
    for use in (
        lambda: propose(nn.Linear(4, 3)),
        lambda: propose(torch.fx.symbolic_trace(nn.Linear(4, 3))),
        lambda: dagrow.export(nn.Linear(4, 3), to="python", out="nowhere"),
    ):
        with pytest.raises(dagrow.DagrowError, match=r"the model must come from dagrow\.build"):
            use()


def test_a_loss_that_is_no_number(model):
    with pytest.raises(dagrow.GrowthError, match="the loss of the network as it stands is nan"):
        dagrow.propose(model, lambda output, target: output.sum() * float("nan"), [batch()])


def test_a_loss_that_is_many_numbers(model):
    with pytest.raises(dagrow.GrowthError, match=r"must be one number per batch, its mean; it has shape \[90\]"):
        dagrow.propose(model, lambda o, t: functional.cross_entropy(o, t, reduction="none"), [batch()])


def test_a_candidate_does_not_fit_another_graph(model, run_file):
    best = propose(model).best
    other = dagrow.build(dagrow.load_graph(write(run_file, "[4]", "[5]")), seed=0)
    before = copy.deepcopy(other.state_dict())
    with pytest.raises(dagrow.GrowthError):
        dagrow.apply(other, best)
    with pytest.raises(dagrow.GrowthError, match="unknown insert 'loud'; allowed: amplitude, zero_fan_out"):
        dagrow.apply(model, best, insert="loud")
    assert all(torch.equal(before[key], value) for key, value in other.state_dict().items())


def test_a_candidate_is_inserted_once(model):
    best = propose(model).best
    dagrow.apply(model, best)
    with pytest.raises(dagrow.GrowthError):
        dagrow.apply(model, best)


def test_a_rejected_candidate_is_not_inserted(model):
    plan = propose(model, max_parameters=25)
    assert plan.best is None
    (rejected,) = plan.candidates
    with pytest.raises(dagrow.GrowthError, match="is not to be inserted: over the budget"):
        dagrow.apply(model, rejected)


def test_an_optimizer_that_cannot_come_along(model):
    optimizer = torch.optim.LBFGS(model.parameters())
    x, y = batch()
    optimizer.step(lambda: functional.cross_entropy(model(x), y).backward() or torch.tensor(1.0))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(dagrow.OptimizerError):
        dagrow.apply(model, propose(model).best, optimizer)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_files_and_directories_that_are_not_there(tmp_path):
    for use in (
        lambda: dagrow.load_run(tmp_path / "no.yaml"),
        lambda: dagrow.load_graph(tmp_path / "no.yaml"),
        lambda: dagrow.grow(tmp_path / "no.yaml"),
        lambda: dagrow.export(tmp_path / "no", to="python"),
    ):
        with pytest.raises(dagrow.DagrowError, match="no"):
            use()


def test_every_error_is_a_dagrow_error():
    kinds = (dagrow.DataError, dagrow.ExportError, dagrow.GrowthError, dagrow.OptimizerError, dagrow.RunError)
    assert all(issubclass(kind, dagrow.DagrowError) for kind in (*kinds, dagrow.SpecError))


class Scaled(dagrow.Op):
    """A linear edge whose weights are multiplied by a number of the file."""

    name: ClassVar[str] = "scaled"

    op: Literal["scaled"] = "scaled"
    factor: float = 2.0

    def output_shape(self, source, size):
        return (*source[:-1], source[-1] if size is None else size)

    def module(self, source, target):
        layer = nn.Linear(source[-1], target[-1], bias=False)
        with torch.no_grad():
            layer.weight.mul_(self.factor)
        return layer

    def export_line(self, source, target):
        return f"nn.Linear({source[-1]}, {target[-1]}, bias=False)"

    def parameter_count(self, source, target):
        return source[-1] * target[-1]

    def multiply_adds(self, source, target):
        return source[-1] * target[-1]

    def feature_count(self, source):
        return source[-1]

    def features(self, x):
        return x.unsqueeze(1)

    def rows_to_weight(self, rows, source):
        return rows

    def functional(self, x, weight, bias):
        return functional.linear(x, weight, bias)


def test_an_op_from_outside_goes_through_a_file(run_file, tmp_path):
    text = RUN.replace("x -> h: linear", "x -> h: {op: scaled, factor: 3}")
    run_file.write_text(text)
    with pytest.raises(dagrow.SpecError, match="unknown op 'scaled'"):
        dagrow.load_run(run_file)
    dagrow.register_op(Scaled)
    result = dagrow.grow(run_file, out=tmp_path / "run")
    edge = dagrow.load_graph(tmp_path / "run" / "graph.yaml").edges
    assert {op.name: getattr(op, "factor", None) for op in edge.values()} == {"scaled": 3.0, "linear": None}
    assert result.model.spec.nodes["h"].size > 2
    refused = command("check", write(run_file, "scaled", "scald")).refusal()
    assert refused.endswith("identity, scaled")
    assert "allowed: linear, conv1d" in refused
    with pytest.raises(dagrow.DagrowError, match="an op named 'linear' is registered already"):
        dagrow.register_op(type("Linear", (Scaled,), {"name": "linear"}))
    with pytest.raises(dagrow.DagrowError, match="op 'half' lacks module"):
        dagrow.register_op(type("Half", (dagrow.Op,), {"name": "half"}))


def write(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return file


def one_neuron(moments, request):
    """Reads the first feature, writes what goes with it."""
    alpha = torch.zeros(len(moments.S), 1, dtype=torch.float64)
    alpha[0] = 1.0
    return Neurons(alpha, alpha.T @ moments.N_proj, torch.ones(1, dtype=torch.float64))


def test_a_method_from_outside_goes_through_a_file(run_file, tmp_path):
    run_file.write_text(RUN.replace("growth: {", "growth: {method: one_neuron, "))
    with pytest.raises(dagrow.SpecError, match="unknown method 'one_neuron'"):
        dagrow.load_run(run_file)
    dagrow.register_method("one_neuron", one_neuron)
    result = dagrow.grow(run_file, out=tmp_path / "run")
    assert result.model.spec.nodes["h"].size == 3
    assert dagrow.load_run(tmp_path / "run" / "run.yaml").growth.method == "one_neuron"
    run_file.write_text(RUN.replace("growth: {", "growth: {fallback_method: one_neuron, "))
    assert dagrow.load_run(run_file).growth.fallback_method == "one_neuron"
    with pytest.raises(dagrow.DagrowError, match="a method named 'tiny' is registered already"):
        dagrow.register_method("tiny", one_neuron)
    with pytest.raises(dagrow.DagrowError, match="a method named 'none' is registered already"):
        dagrow.register_method("none", one_neuron)
    with pytest.raises(dagrow.DagrowError, match="is not callable"):
        dagrow.register_method("nothing", None)


def test_a_node_where_nothing_new_can_lead_is_no_error_but_its_reason_is_shown(run_file, tmp_path):
    run = dagrow.load_run(run_file, ["growth.candidates=[edge]", "growth.nodes=[h]", "growth.budget.steps=1"])
    result = dagrow.grow(run, out=tmp_path / "run")
    (step,) = [event for event in result.events if event["event"] == "growth"]
    assert step["inserted"] is None
    assert [place["reason"] for place in step["plan"]["fixed"] if place["node"] == "h"] == [
        "edge: every edge that could lead into it is there already"
    ]


def test_a_place_that_cannot_be_is_refused_before_anything_is_written(run_file, tmp_path):
    run_file.write_text(RUN.replace("activation: relu", "norm: layer"))
    run = dagrow.load_run(run_file, ["growth.candidates=[widen,edge]", "growth.nodes=[h]"])
    with pytest.raises(dagrow.DagrowError, match="^'h' cannot grow: norm 'layer'"):
        dagrow.grow(run, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
