"""Files in and out: round trips, overrides, paths, the schema."""

import contextlib
import functools
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from json_schema import accepts

from dagrow.data import DATASETS
from dagrow.errors import DagrowError, Problem, SpecError
from dagrow.ops import ACTIVATIONS, find_op
from dagrow.spec import (
    DataSpec,
    GraphSpec,
    RunSpec,
    dump_graph,
    dump_run,
    read_document,
    read_graph,
    read_run,
    run_schema,
    save_graph,
)

SAMPLE = """\
name: digits
graph:
  inputs:
    x: {shape: [64]}
  nodes:
    h: {size: 2, activation: selu}
    y: {size: 10}
  edges:
    x -> h: linear
    h -> y: {op: linear, bias: true}
  outputs: [y]
data:     {dataset: digits}
training: {loss: cross_entropy, optimizer: {name: adam, lr: 0.001}, batch_size: 128, final_epochs: 10}
growth:
  method: tiny
  candidates: [widen]
  where: gain
  neurons: 4
  shrinkage: auto
  insert: amplitude
  budget: {parameters: 20000, steps: 20}
seed: 0
"""


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    file = tmp_path / "specs" / "digits.yaml"
    file.parent.mkdir()
    file.write_text(SAMPLE)
    return file


def message(path: Path | str, *overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        read_run(path, overrides)
    return str(caught.value)


# Round trips


names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True).map(lambda name: f"{name}_") | st.sampled_from(
    ["on", "off", "y", "n", "no", "yes", "null_", "e1", "x" * 80]
)
pools = st.one_of(
    st.none(),
    st.just("global_average"),
    st.builds(
        lambda kind, kernel, stride, padding: {
            "kind": kind,
            "kernel": kernel,
            "stride": stride,
            "padding": min(padding, kernel // 2),
        },
        st.sampled_from(["max", "average"]),
        st.integers(1, 5),
        st.none() | st.integers(1, 3),
        st.integers(0, 2),
    ),
    st.builds(lambda factor: {"kind": "upsample", "kernel": factor}, st.integers(1, 5)),
)
node_fields = st.fixed_dictionaries(
    {},
    optional={
        "size": st.none() | st.integers(1, 1000),
        "merge": st.sampled_from(["sum", "concat"]),
        "norm": st.sampled_from(["none", "batch", "layer", "rms"]),
        "activation": st.sampled_from(sorted(ACTIVATIONS)),
        "pool": pools,
        "flatten": st.booleans(),
        "dropout": st.floats(0, 0.99) | st.sampled_from([1e-7, 1e-300]),
    },
)
extents = st.integers(1, 7)
pairs = extents | st.lists(extents, min_size=2, max_size=2)
ops = st.one_of(
    st.sampled_from(["linear", "conv2d", "identity", {"op": "identity"}]),
    st.fixed_dictionaries({"op": st.just("linear")}, optional={"bias": st.booleans(), "size": extents}),
    st.fixed_dictionaries(
        {"op": st.just("conv2d")},
        optional={
            "kernel": pairs,
            "stride": pairs,
            "dilation": pairs,
            "groups": extents,
            "bias": st.booleans(),
            "size": extents,
            "padding": st.integers(0, 5) | st.lists(st.integers(0, 5), min_size=2, max_size=2),
        },
    ),
    st.builds(
        lambda extra, fields: {"op": "conv_transpose2d", "output_padding": extra, "stride": extra + 1, **fields},
        st.integers(0, 2),
        st.fixed_dictionaries(
            {}, optional={"kernel": pairs, "padding": pairs, "dilation": pairs, "bias": st.booleans()}
        ),
    ),
    st.builds(lambda k: {"op": "conv2d", "padding": "same", "kernel": 2 * k + 1}, st.integers(0, 3)),
)
arrows = st.sampled_from(["->", " -> ", "  ->"])


@st.composite
def graph_data(draw) -> dict[str, Any]:
    inputs = draw(st.dictionaries(names, st.lists(extents, min_size=1, max_size=3), min_size=1, max_size=2))
    nodes = draw(st.dictionaries(names, node_fields, min_size=1, max_size=5))
    known = [*inputs, *nodes]
    ends = st.tuples(st.sampled_from(known), st.sampled_from(sorted(nodes)))
    edges = {
        f"{source}{draw(arrows)}{target}": draw(ops)
        for source, target in draw(st.lists(ends, min_size=1, max_size=6, unique=True))
    }
    outputs = draw(st.lists(st.sampled_from(sorted(nodes)), min_size=1, max_size=2))
    shapes = {name: {"shape": shape} for name, shape in inputs.items()}
    return {"inputs": shapes, "nodes": nodes, "edges": edges, "outputs": outputs}


graphs = graph_data().map(GraphSpec.model_validate)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("round")


@given(graph=graphs)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_graph_comes_back_equal_and_in_order(folder, graph):
    file = folder / "graph.yaml"
    save_graph(graph, file)
    read, source = read_graph(file)
    assert read == graph
    assert list(read.nodes) == list(graph.nodes)
    assert list(read.edges) == list(graph.edges)
    assert dump_graph(read) == file.read_text()
    assert source.line(("graph", "inputs")) == 3
    assert not [name for name in os.listdir(folder) if name.endswith(".part")]
    # Other YAML readers see the same entries.
    assert list(yaml.safe_load(file.read_text())["graph"]["nodes"]) == list(graph.nodes)


run_sections = st.fixed_dictionaries(
    {"graph": graph_data()},
    optional={
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,9}", fullmatch=True)
        | st.sampled_from(["1e3", "12", "true", "null", "0x1", "1.", "2020-01-01"]),
        "data": st.one_of(
            st.fixed_dictionaries(
                {"dataset": st.sampled_from(list(DATASETS))}, optional={"test_fraction": st.floats(0.01, 0.99)}
            ),
            st.builds(lambda column: {"csv": "/a/b.csv", "target": column}, st.text(max_size=9)),
        ),
        "training": st.fixed_dictionaries(
            {},
            optional={
                "loss": st.sampled_from(["mse", "cross_entropy"]),
                "optimizer": st.fixed_dictionaries(
                    {"name": st.just("adamw")},
                    optional={
                        "lr": st.floats(1e-9, 10),
                        "eps": st.floats(1e-12, 1),
                        "amsgrad": st.booleans(),
                        "betas": st.just([0.5, 0.75]),
                        "options": st.just({"weight_decay": 0.1}),
                    },
                ),
                "batch_size": st.integers(1, 10**9),
            },
        ),
        "growth": st.fixed_dictionaries(
            {},
            optional={
                "shrinkage": st.just("auto") | st.floats(0, 1e12),
                "samples": st.just("auto") | st.integers(1, 99),
                "nodes": st.lists(names, max_size=2),
                "budget": st.builds(lambda n: {"steps": n}, st.integers(0, 9)),
            },
        ),
        "seed": st.integers(0, 2**63 - 1),
    },
)


@given(data=run_sections)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_run_comes_back_equal(folder, data):
    run = RunSpec.model_validate(data)
    file = folder / "run.yaml"
    file.write_text(dump_run(run), encoding="utf-8")
    assert read_run(file)[0] == run


def test_text_of_a_graph(sample):
    assert dump_graph(read_graph(sample)[0]) == (
        "version: 1\n"
        "graph:\n"
        "  inputs:\n"
        "    x: {shape: [64]}\n"
        "  nodes:\n"
        "    h: {size: 2, activation: selu}\n"
        "    y: {size: 10}\n"
        "  edges:\n"
        "    x -> h: linear\n"
        "    h -> y: linear\n"
        "  outputs: [y]\n"
    )


def test_text_of_a_run_has_every_default(sample):
    run = read_run(sample, ["training.optimizer={name: sgd, lr: 0.1, momentum: 0.9}"])[0]
    text = dump_run(run)
    assert "  optimizer: {name: sgd, lr: 0.1, momentum: 0.9}\n" in text
    assert "  budget: {parameters: 20000, steps: 20}\n" in text
    for field in ("test_fraction: 0.2", "epochs_between_growth: 1", "held_out: 0.2", "fan_out: full", "seed: 0"):
        assert field in text
    assert text.startswith("version: 1\nname: digits\ngraph:\n")


def test_save_follows_links_and_keeps_the_old_file_on_failure(tmp_path, sample, monkeypatch):
    graph = read_graph(sample)[0]
    real, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    real.write_text("old")
    link.symlink_to(real)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(DagrowError, match=r"link\.yaml: cannot be written: No space left"):
            save_graph(graph, link)
    assert real.read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["link.yaml", "real.yaml", "specs"]
    save_graph(graph, link)
    assert link.is_symlink()
    assert read_graph(real)[0] == graph
    with pytest.raises(DagrowError, match="cannot be written"):
        save_graph(graph, tmp_path / "nowhere" / "graph.yaml")


# Overrides


def test_overrides(sample):
    run = read_run(
        sample,
        [
            "growth.budget.steps=3",
            "graph.nodes.h.size=4",
            "graph.nodes.h.activation=relu",
            "name=on",
            "graph.edges.x->h.bias=false",
            "graph.edges.h -> y=identity",
            "graph.outputs.0=h",
            "seed=7",
            "training.optimizer={name: sgd}",
            "training.optimizer.momentum=0.9",
            "growth.shrinkage=1e-3",
        ],
    )[0]
    assert run.growth.budget.steps == 3
    assert run.growth.budget.parameters == 20000
    assert run.growth.shrinkage == 0.001
    assert (run.graph.nodes["h"].size, run.graph.nodes["h"].activation) == (4, "relu")
    assert [op.name for op in run.graph.edges.values()] == ["linear", "identity"]
    assert not next(iter(run.graph.edges.values())).has_bias
    assert run.graph.outputs == ("h",)
    assert (run.name, run.seed) == ("on", 7)
    assert dict(run.training.optimizer.options) == {"momentum": 0.9}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "growth.budgett.steps=3",
            "unknown field 'budgett' (did you mean 'budget'?); allowed: method, fallback_method",
        ),
        ("growth.budget.stepps=3", "unknown field 'stepps' (did you mean 'steps'?); allowed: parameters"),
        ("growth.budget.steps=many", "expected a whole number, found 'many'"),
        ("graph.edges.x->h=conv2", "unknown op 'conv2' (did you mean 'conv2d'?)"),
        ("graph.nodes.h.size=[1", "not valid YAML: "),
        ("growth.method.x=1", "'growth.method' is a value, without fields"),
        ("graph.outputs.3=y", "'3' is no index of a list of 1, counted from 0"),
        ("growth.budget", "write key.path=value, such as growth.budget.steps=3"),
        ("growth..steps=1", "write key.path=value"),
        ("=1", "write key.path=value"),
        ("grwth.where=gain", "unknown field 'grwth' (did you mean 'growth'?)"),
        ("seed=!!int 3", "the tag "),
        ("version=3", "version 3 is not supported; supported: 1"),
    ],
)
def test_bad_override_names_the_option(sample, override, said):
    assert message(sample, override).startswith(f"--set {override}: {said}")


def test_bad_overrides_and_bad_lines_are_told_together(sample):
    sample.write_text(SAMPLE.replace("where: gain", "where: best"))
    lines = message(sample, "seed=-1", "growth.budgett.steps=1").splitlines()
    assert lines[0].startswith(f"{sample}:17: growth / where: unknown strategy 'best'")
    assert sorted(line.split(": ", 2)[1] for line in lines[1:]) == [
        "--set growth.budgett.steps=1",
        "--set seed=-1",
    ]


def test_a_later_override_wins(sample):
    run, source = read_run(sample, ["growth.budget.steps=x", "growth.budget={steps: 2}", "seed=1", "seed=2"])
    assert (run.growth.budget.steps, run.seed) == (2, 2)
    assert source.option(("seed",)) == "seed=2"


def test_source_places_later_problems(sample):
    _, source = read_run(sample, ["graph.nodes.k.size=3"])
    assert source.line(("graph", "edges", "x -> h", "bias")) == 9
    assert source.line(("graph", "nodes", "k")) is None
    error = source.error([Problem(("graph", "nodes", "k"), "odd"), Problem(("graph", "nodes", "h"), "even")])
    assert str(error) == f"{sample}:6: graph / nodes / h: even\n{sample}: --set graph.nodes.k.size=3: odd"


# Data paths


def test_paths_in_a_file_start_at_its_folder(sample, tmp_path, monkeypatch):
    sample.write_text(SAMPLE.replace("{dataset: digits}", "{npz: ../x.npz}"))
    assert read_run(sample)[0].data.source.path == str(tmp_path / "x.npz")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert read_run("../specs/digits.yaml")[0].data.source.path == str(tmp_path / "x.npz")
    assert read_run(sample, ["data.npz=y.npz"])[0].data.source.path == str(tmp_path / "here" / "y.npz")
    assert read_run(sample, ["data={csv: ../y.csv, target: t}"])[0].data.source.path == str(tmp_path / "y.csv")
    assert read_run(sample, ["data.npz=/z.npz"])[0].data.source.path == "/z.npz"
    sample.write_text(SAMPLE.replace("{dataset: digits}", "{npz: {path: ../x.npz}}"))
    assert read_run(sample)[0].data.source.path == str(tmp_path / "x.npz")
    assert read_run(sample, ["data.npz.path=y.npz"])[0].data.source.path == str(tmp_path / "here" / "y.npz")


def test_a_source_on_the_command_line_replaces_the_others(sample):
    data = read_run(sample, ["data.npz=x.npz"])[0].data
    assert (data.source.name, Path(data.source.path).name) == ("npz", "x.npz")
    data = read_run(sample, ["data.npz=x.npz", "data.dataset=null"])[0].data
    assert (data.source.name, Path(data.source.path).name) == ("npz", "x.npz")
    sample.write_text(SAMPLE.replace("{dataset: digits}", "{csv: a.csv, target: t, test_fraction: 0.5}"))
    data = read_run(sample, ["data.dataset=wine"])[0].data
    assert data == DataSpec(dataset="wine", test_fraction=0.5)
    assert read_run(sample, ["data.csv=b.csv"])[0].data.source.target == "t"
    assert read_run(sample, ["data.target=u", "data.csv=b.csv"])[0].data.source.target == "u"
    sample.write_text(SAMPLE.replace("data: ", "# "))
    assert read_run(sample, ["data.npz=x.npz"])[0].data.source.name == "npz"


# Files that are not there


def test_missing_files(sample, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message("specs/digts.yaml") == "specs/digts.yaml: no such file (did you mean specs/digits.yaml?)"
    assert message("specs/digits") == "specs/digits: no such file (did you mean specs/digits.yaml?)"
    assert message("specs/zebra.yaml").startswith("specs/zebra.yaml: no such file")
    assert "the folder 'nowhere'" in message("nowhere/run.yaml")
    assert message("specs") == "specs: is a folder, not a file"
    (tmp_path / "specs" / "graph.yaml").write_text(SAMPLE)
    assert message("specs") == "specs: is a folder, not a file (did you mean specs/graph.yaml?)"
    assert "cannot be read: Not a directory" in message("specs/digits.yaml/x")
    assert "cannot be read" in message("a\0b")


def test_endless_files_are_refused():
    assert message("/dev/zero") == "/dev/zero: cannot be read: is a device, not a file"


# Fuzz: whatever a file says, only DagrowError comes out


@given(text=st.text(max_size=60), start=st.integers(0, len(SAMPLE)), cut=st.integers(0, 40), many=st.booleans())
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_mutated_files(folder, text, start, cut, many):
    mutated = SAMPLE[:start] + text + SAMPLE[start + cut :]
    if many:
        mutated = mutated.replace(SAMPLE[start : start + 1] or " ", text[:1])
    file = folder / "fuzz.yaml"
    file.write_bytes(mutated.encode("utf-8", "surrogatepass"))
    for read in (read_run, read_graph):
        with contextlib.suppress(DagrowError):
            read(file)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
paths = st.sampled_from([path for path in read_document(SAMPLE).lines if path])


@given(value=values, path=paths)
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_anywhere(folder, value, path):
    file = folder / "value.yaml"
    file.write_text(SAMPLE)
    override = f"{'.'.join(path)}={json.dumps(value)}"
    with contextlib.suppress(DagrowError):
        read_run(file, [override])


# The schema


def test_schema_is_json_and_small():
    text = json.dumps(run_schema(), allow_nan=False)
    assert len(text) < 60_000
    # Two fifths are descriptions: the reference of the run file is made from them.
    assert json.loads(text)["$schema"].startswith("https://json-schema.org/")


@functools.cache
def schema_of_runs() -> dict[str, Any]:
    return run_schema()


@given(data=run_sections)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_schema_accepts_what_is_read(data):
    schema = schema_of_runs()
    assert accepts(schema, {"version": 1, **data}, schema) or "options" in str(data.get("training"))
    dumped = yaml.safe_load(dump_run(RunSpec.model_validate(data)))
    assume(not isinstance(dumped["growth"]["shrinkage"], str) or dumped["growth"]["shrinkage"] == "auto")
    assert accepts(schema, dumped, schema)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("activation: selu", "activation: sellu"),
        ("x -> h: linear", "x -> h: liner"),
        ("x -> h", "x to h"),
        ("op: linear, bias", "op: linear, biass"),
        ("method: tiny", "method: tinny"),
        ("name: adam", "name: addam"),
        ("loss: cross", "loss: cros"),
        ("growth:", "grwth:"),
        ("size: 2", "size: 0"),
        ("size: 2", "norm: btch"),
        ("op: linear, bias: true", "bias: true"),
        ("[64]", "64"),
        ("lr: 0.001", "momentum: 1, lrr: 3"),
    ],
)
def test_schema_refuses_mistakes(old, new):
    schema = run_schema()
    assert accepts(schema, yaml.safe_load(SAMPLE), schema)
    assert old in SAMPLE
    assert not accepts(schema, yaml.safe_load(SAMPLE.replace(old, new)), schema)


def test_schema_knows_every_op_field():
    parts = run_schema()["$defs"]
    assert set(parts["op_conv2d"]["properties"]) == set(find_op("conv2d").model_fields)
    assert accepts(parts["op_conv2d"], {"op": "conv2d", "kernel": 3, "stride": [1, 2], "padding": "same"}, parts)
