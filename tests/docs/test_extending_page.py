"""The blocks of docs/how-to/extending.md run in order; then what it promises of its op and its method is checked."""

import json

import pytest
import torch
import yaml
from docs_pages import blocks, page

import dagrow
from dagrow.ops import find_op
from dagrow.spec import run_schema

PAGE = page("extending")

pytestmark = pytest.mark.usefixtures("unregistered", "elsewhere")


@pytest.fixture
def names(unregistered):
    """What the Python blocks define, run one after the other."""
    space = {"__name__": "extending"}
    for block in blocks(PAGE, "python"):
        exec(compile("\n" * block.line + block.text, str(PAGE), "exec"), space)
    return space


@pytest.fixture
def run_file(names, tmp_path):
    file = tmp_path / "ring.yaml"
    (block,) = blocks(PAGE, "yaml")
    file.write_text(block.text)
    return file


def test_a_run_with_the_op_grows_and_comes_back(run_file, tmp_path):
    result = dagrow.grow(run_file, out=tmp_path / "run")
    grown = [event["inserted"] for event in result.events if event["event"] == "growth" and event["inserted"]]
    assert {entry["place"] for entry in grown} <= {"c1", "c2"}
    assert len(grown) == 2
    assert dagrow.load_graph(tmp_path / "run" / "graph.yaml") == result.model.spec
    assert "padding_mode" in (tmp_path / "run" / "exported" / "model.py").read_text()
    assert "op_ring_conv" in json.dumps(run_schema())


@pytest.mark.parametrize("fan_out", ["full", "pointwise"])
def test_what_the_op_promises_is_obtained(run_file, fan_out):
    model = dagrow.build(dagrow.load_graph(run_file), seed=0).double().eval()
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(60, 1, 8, 8, generator=generator, dtype=torch.float64)
    y = torch.randint(10, (60,), generator=generator)
    inserted = 0
    for _ in range(3):
        for node in ("c1", "c2"):
            before = float(torch.nn.functional.cross_entropy(model(x), y).detach())
            plan = dagrow.propose(
                model,
                torch.nn.functional.cross_entropy,
                [(x, y)],
                nodes=[node],
                neurons=2,
                fan_out=fan_out,
                shrinkage=0,
                significance=0,
            )
            if plan.best is None:
                continue
            inserted += 1
            dagrow.apply(model, plan.best)
            after = float(torch.nn.functional.cross_entropy(model(x), y).detach())
            assert plan.best.gain == pytest.approx(before - after, rel=1e-6)
    assert inserted >= 4


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_the_shapes_and_sums_of_the_table(names, kernel):
    op = find_op("ring_conv")(kernel=kernel)
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    source, target, x = (3, 5, 6), (4, 5, 6), draw(2, 3, 5, 6)
    layer = op.module(source, target).double()
    again = eval(op.export_line(source, target), {"nn": torch.nn}).double()
    again.load_state_dict(layer.state_dict())
    assert sum(p.numel() for p in layer.parameters()) == op.parameter_count(source, target)
    rows = layer.weight.flatten(1)
    torch.testing.assert_close(op.rows_to_weight(rows, source), layer.weight)
    by_features = (op.features(x) @ rows.T + layer.bias).transpose(1, 2).unflatten(2, source[1:])
    for other in (again(x), op.functional(x, layer.weight, layer.bias), by_features):
        torch.testing.assert_close(other, layer(x))
    for pointwise in (True, False):
        # New channels are alpha . image; what they add to <v, edge> is <omega, alpha . moment>.
        reads = op.fan_out_layout(source, pointwise)
        image, v, alpha, omega = draw(2, 30, 7), draw(2, 30, 4), draw(7, 2), draw(2, reads.fan_out, 4)
        moment = op.fan_out_moment(image, v, source, pointwise, torch.ones(1, 2, dtype=torch.float64))
        assert moment.shape == (1, 7, reads.fan_out, 4)
        maps = (image @ alpha).transpose(1, 2).unflatten(2, source[1:])
        written = op.functional(maps, op.fan_out_weight(omega, pointwise), None)
        expected = (written.flatten(2).transpose(1, 2) * v).sum()
        torch.testing.assert_close((torch.einsum("fk,fqm->kqm", alpha, moment[0]) * omega).sum(), expected)
        assert reads.counts.tolist() == [float(reads.fan_out)] * 30


def test_the_method_is_known_by_name(names, tmp_path):
    file = tmp_path / "run.yaml"
    graph = {
        "inputs": {"x": {"shape": [4]}},
        "nodes": {"h": {"size": 1, "activation": "tanh"}, "y": {"size": 3}},
        "edges": {"x -> h": "linear", "h -> y": "linear"},
        "outputs": "y",
    }
    growth = {"method": "one_at_a_time", "budget": {"steps": 2}, "neurons": 5}
    data = {"dataset": "iris"}
    file.write_text(yaml.safe_dump({"graph": graph, "data": data, "training": {"final_epochs": 0}, "growth": growth}))
    result = dagrow.grow(file, write=False)
    grown = [event["inserted"] for event in result.events if event["event"] == "growth"]
    assert [entry["neurons"] for entry in grown] == [1, 1]


def test_the_page_is_short():
    assert len(PAGE.read_text().splitlines()) < 150
