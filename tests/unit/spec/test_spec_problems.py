"""Each kind of mistake in a file: its line, its place, its words."""

from pathlib import Path

import pytest

from dagrow.errors import SpecError
from dagrow.spec import read_graph, read_run

GOOD = """\
name: digits
graph:
  inputs:
    x: {shape: [4, 8, 8]}
  nodes:
    h:
      size: 2
      activation: selu
    y: {size: 10, flatten: true}
  edges:
    x -> h: {op: conv2d, kernel: 3}
    h->y: linear
  outputs: [y]
data: {dataset: digits}
training:
  optimizer: {name: sgd, lr: 0.1, momentum: 0.9}
growth:
  shrinkage: auto
  where: gain
"""


def problems(tmp_path: Path, *changes: tuple[str, str], read=read_run) -> list[tuple[int | None, str, str]]:
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(SpecError) as caught:
        read(file)
    assert caught.value.file == str(file)
    return [(problem.line, ".".join(problem.path), problem.message) for problem in caught.value.problems]


NODE_FIELDS = "size, merge, norm, activation, attention, pool, flatten, tokens, dropout"


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "message"),
    [
        (
            "activation:",
            "actvation:",
            8,
            "graph.nodes.h.actvation",
            f"unknown field 'actvation' (did you mean 'activation'?); allowed: {NODE_FIELDS}",
        ),
        (
            "kernel: 3",
            "kernal: 3",
            11,
            "graph.edges.x -> h.kernal",
            "unknown field 'kernal' (did you mean 'kernel'?); "
            "allowed: op, kernel, stride, padding, dilation, groups, bias, size",
        ),
        (
            "h->y: linear",
            "h->y: {op: linear, kernel: 3}",
            12,
            "graph.edges.h -> y.kernel",
            "unknown field 'kernel'; allowed: op, bias, size",
        ),
        (
            "growth:",
            "grwth:",
            17,
            "grwth",
            "unknown field 'grwth' (did you mean 'growth'?); "
            "allowed: version, name, graph, data, training, growth, seed",
        ),
        (
            "momentum",
            "momentun",
            16,
            "training.optimizer.momentun",
            "unknown field 'momentun' (did you mean 'momentum'?); allowed: name, lr, momentum, dampening, ",
        ),
        ("size: 2", "size: abc", 7, "graph.nodes.h.size", "expected a whole number, found 'abc'"),
        ("size: 2", "size: 2.5", 7, "graph.nodes.h.size", "expected a whole number, found 2.5"),
        ("size: 2", "size: 0", 7, "graph.nodes.h.size", "expected at least 1, found 0"),
        ("size: 2", "size: " + "9" * 90, 7, "graph.nodes.h.size", "expected at most 1000000, found 9999"),
        (
            "shape: [4, 8, 8]",
            "shape: [4, b, 8]",
            4,
            "graph.inputs.x.shape.1",
            "expected a whole number, found 'b'",
        ),
        ("shape: [4, 8, 8]", "shape: 4", 4, "graph.inputs.x.shape", "expected a list, found 4"),
        ("shape: [4, 8, 8]", "shape: []", 4, "graph.inputs.x.shape", "expected at least 1 entry, found 0"),
        (
            "shape: [4, 8, 8]",
            "shape: [1, 2, 3, 4, 5]",
            4,
            "graph.inputs.x.shape",
            "expected at most 4 entries, found 5",
        ),
        ("shape: [4, 8, 8]", "", 4, "graph.inputs.x.shape", "field 'shape' is missing"),
        ("  outputs: [y]", "", 2, "graph.outputs", "field 'outputs' is missing"),
        ("graph:", "graaph:", 1, "graph", "field 'graph' is missing"),
        (
            "flatten: true",
            "flatten: maybe",
            9,
            "graph.nodes.y.flatten",
            "expected true or false, found 'maybe'",
        ),
        (
            "flatten: true",
            "merge: summ",
            9,
            "graph.nodes.y.merge",
            "unknown value 'summ' (did you mean 'sum'?); allowed: sum, concat",
        ),
        ("flatten: true", "merge: 3", 9, "graph.nodes.y.merge", "unknown value 3; allowed: sum, concat"),
        (
            "flatten: true",
            "pool: maxx",
            9,
            "graph.nodes.y.pool",
            "unknown kind of pool 'maxx' (did you mean 'max'?); allowed: max, average, global_average",
        ),
        (
            "flatten: true",
            "pool: {kind: max, kernel: 2, padding: 2}",
            9,
            "graph.nodes.y.pool",
            "padding 2 is more than half the kernel 2",
        ),
        (
            "flatten: true",
            "pool: {kind: max, kernl: 2}",
            9,
            "graph.nodes.y.pool.kernl",
            "unknown field 'kernl' (did you mean 'kernel'?); allowed: kind, kernel, stride, padding",
        ),
        (
            "activation: selu",
            "activation: rellu",
            8,
            "graph.nodes.h.activation",
            "unknown activation 'rellu' (did you mean 'relu'?); allowed: identity, relu",
        ),
        (
            "y: {size: 10, flatten: true}",
            "y: 3",
            9,
            "graph.nodes.y",
            "expected a mapping (name: value), found 3",
        ),
        (
            "y: {size: 10, flatten: true}",
            "y:",
            9,
            "graph.nodes.y",
            "expected a mapping (name: value), found nothing",
        ),
        ("y: {size", "1y: {size", 9, "graph.nodes.1y", "'1y' is not a name: "),
        (
            "y: {size",
            "class: {size",
            9,
            "graph.nodes.class",
            "'class' is a word of Python; choose another name",
        ),
        (
            "h->y: linear",
            "h=>y: linear",
            12,
            "graph.edges.h=>y",
            "'h=>y' is not an edge: write 'source -> target'",
        ),
        (
            "h->y: linear",
            "h->y: liner",
            12,
            "graph.edges.h -> y",
            "unknown op 'liner' (did you mean 'linear'?); allowed: linear, conv1d, conv2d",
        ),
        (
            "h->y: linear",
            "h->y: {bias: true}",
            12,
            "graph.edges.h -> y",
            "an edge is an op name or a mapping with 'op: name'; ops: linear, conv1d, conv2d",
        ),
        (
            "h->y: linear",
            "x  ->h: linear",
            12,
            "graph.edges.x -> h",
            "'x -> h' is given twice, first in line 11",
        ),
        (
            "kernel: 3",
            "padding: sme",
            11,
            "graph.edges.x -> h.padding",
            "expected a list or 'same', found 'sme'",
        ),
        (
            "kernel: 3",
            "padding: -1",
            11,
            "graph.edges.x -> h.padding",
            "expected at least 0 or 'same', found -1",
        ),
        ("kernel: 3", "kernel: 0", 11, "graph.edges.x -> h.kernel", "expected at least 1, found 0"),
        ("kernel: 3", "kernel: [3]", 11, "graph.edges.x -> h.kernel", "entry 2 of the list is missing"),
        (
            "kernel: 3",
            "kernel: 2, padding: same",
            11,
            "graph.edges.x -> h",
            "padding 'same' needs an odd kernel; give the padding as a number",
        ),
        ("shrinkage: auto", "shrinkage: aoto", 18, "growth.shrinkage", "give a number or 'auto', not 'aoto'"),
        (
            "shrinkage: auto",
            "shrinkage: -1",
            18,
            "growth.shrinkage",
            "expected 'auto' or at least 0.0, found -1",
        ),
        (
            "shrinkage: auto",
            "shrinkage: [1]",
            18,
            "growth.shrinkage",
            "expected 'auto' or a number, found [1]",
        ),
        (
            "where: gain",
            "where: gainn",
            19,
            "growth.where",
            "unknown strategy 'gainn' (did you mean 'gain'?); allowed: round_robin, singular_value, gain",
        ),
        ("lr: 0.1", "lr: 0", 16, "training.optimizer.lr", "expected more than 0.0, found 0"),
        ("lr: 0.1", "lr: fast", 16, "training.optimizer.lr", "expected a number, found 'fast'"),
        ("lr: 0.1", "lr: .inf", 16, "training.optimizer.lr", "expected "),
        (
            "momentum: 0.9",
            "momentum: high",
            16,
            "training.optimizer.momentum",
            "expected a number or true or",
        ),
        (
            "name: sgd",
            "name: sgdd",
            16,
            "training.optimizer.name",
            "unknown optimizer 'sgdd' (did you mean 'sgd'?); allowed: sgd, adam, adamw",
        ),
        (
            "momentum: 0.9",
            "options: {momentun: 1}",
            16,
            "training.optimizer",
            "unknown option 'momentun' of sgd (did you mean 'momentum'?); allowed: momentum",
        ),
        (
            "dataset: digits",
            "npz: a, csv: b, target: c",
            14,
            "data",
            "give one source of dataset, npz, csv, table, images, arrays, text and in_memory, not npz, csv",
        ),
        (
            "dataset: digits",
            "dataset: null",
            14,
            "data",
            "give one source of dataset, npz, csv, table, images, arrays, text and in_memory, not none",
        ),
        ("name: digits", "name: a b", 1, "name", "expected text of the form "),
        ("name: digits", "version: 2", 1, "version", "version 2 is not supported; supported: 1"),
        ("name: digits", "version: true", 1, "version", "version True is not supported; supported: 1"),
        ("name: digits", "seed: -1", 1, "seed", "expected at least 0, found -1"),
        (
            "size: 2",
            "size: 2\n      size: 3",
            8,
            "graph.nodes.h.size",
            "'size' is given twice, first in line 7",
        ),
    ],
)
def test_one_mistake(tmp_path, old, new, line, path, message):
    found = problems(tmp_path, (old, new))
    at = [problem for problem in found if problem[1] == path]
    assert len(at) == 1, found
    assert at[0][0] == line
    assert at[0][2].startswith(message)
    if old != "graph:":
        assert len(found) == 1


def test_several_mistakes_are_told_together_in_the_order_of_the_file(tmp_path):
    found = problems(
        tmp_path,
        ("size: 2", "size: -1"),
        ("activation: selu", "activation: sellu\n      norm: bach"),
        ("name: sgd", "name: sgdd"),
        ("shrinkage: auto", "shrinkage: auto\n  shrinkage: 1"),
        ("name: digits", "version: 7"),
    )
    assert [(line, path) for line, path, _ in found] == [
        (1, "version"),
        (7, "graph.nodes.h.size"),
        (8, "graph.nodes.h.activation"),
        (9, "graph.nodes.h.norm"),
        (17, "training.optimizer.name"),
        (20, "growth.shrinkage"),
    ]


def test_text_of_the_error(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(GOOD.replace("activation:", "actvation:").replace("where: gain", "where: best"))
    with pytest.raises(SpecError) as caught:
        read_run(file)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{file}:8: graph / nodes / h / actvation: unknown field 'actvation' (did you mean")
    assert second.startswith(f"{file}:19: growth / where: unknown strategy 'best'; allowed: round_robin")


def test_long_values_and_long_lists_of_problems_are_cut(tmp_path):
    ((_, _, message),) = problems(tmp_path, ("activation: selu", "activation: " + "x" * 5000))
    assert len(message) < 300
    assert "allowed: identity" in message
    bad = "\n".join(f"    n{i}: {{sze: 1}}" for i in range(80))
    found = problems(tmp_path, ("    y: {size", f"{bad}\n    y: {{size"))
    assert len(found) == 51
    assert found[0][0] == 9
    assert found[-1] == (None, "", "and 30 more problems")


def test_graph_file_looks_at_its_section_only(tmp_path):
    changes = (("where: gain", "where: best\n  where: gain"), ("name: sgd", "name: no"))
    file = tmp_path / "run.yaml"
    text = GOOD
    for old, new in changes:
        text = text.replace(old, new)
    file.write_text(text)
    assert list(read_graph(file)[0].nodes) == ["h", "y"]
    found = problems(tmp_path, *changes, ("size: 2", "sze: 2"), ("kernel: 3", "kernel: 3, kernel: 4"), read=read_graph)
    assert [(line, path) for line, path, _ in found] == [
        (7, "graph.nodes.h.sze"),
        (11, "graph.edges.x -> h.kernel"),
    ]
    ((line, _, message),) = problems(tmp_path, ("graph:", "grph:"), read=read_graph)
    assert line == 1
    assert message.startswith("there is no section 'graph' (did you mean 'grph'?)")
