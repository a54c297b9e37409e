"""docs/reference/run-file.md says what the code does: every field, default and name, and every block loads."""

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml
from docs_pages import ROOT, blocks, code, page, tables
from pydantic import BaseModel

import dagrow
from dagrow.data import DATASETS, SOURCES
from dagrow.methods import FALLBACK_METHODS, METHODS
from dagrow.ops import Attention, Pool, find_op, op_names
from dagrow.registry import OneOf
from dagrow.spec import (
    AmplitudeSpec,
    AnnealSpec,
    BudgetSpec,
    CheckpointSpec,
    ContinuousGrowthSpec,
    DataSpec,
    GraphSpec,
    GrowthSpec,
    InputSpec,
    LoggerSpec,
    NewNodeSpec,
    NodeSpec,
    PenaltySpec,
    RunSpec,
    TrainingSpec,
    TrialTrainingSpec,
    dump_run,
    run_schema,
)
from dagrow.spec.array_source import ArraysSpec
from dagrow.spec.augment import AugmentSpec
from dagrow.spec.column_options import ColumnOptions
from dagrow.spec.data import DataSourceSpec
from dagrow.spec.document import read_value
from dagrow.spec.image_source import ImagesSpec
from dagrow.spec.loaders import VERSION
from dagrow.spec.run import OptimizerSpec, SchedulerSpec
from dagrow.spec.table_source import TableSpec, TableSplit

PAGE = page("run-file")
TABLES = tables(PAGE)
MODELS: dict[str, type[BaseModel]] = {
    "The file": RunSpec,
    "graph": GraphSpec,
    "Inputs": InputSpec,
    "Nodes": NodeSpec,
    "Attention": Attention,
    "Pools": Pool,
    **{
        f"Edge op: {name}": find_op(name)
        for name in ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose2d", "embedding", "position", "identity")
    },
    "data": DataSpec,
    "Table": TableSpec,
    "Columns of a frame": ColumnOptions,
    "Table split": TableSplit,
    "Images": ImagesSpec,
    "Arrays": ArraysSpec,
    "Augmentation": AugmentSpec,
    "training": TrainingSpec,
    "Penalty": PenaltySpec,
    "Annealing": AnnealSpec,
    "Amplitude": AmplitudeSpec,
    "Trial training": TrialTrainingSpec,
    "Continuous growth": ContinuousGrowthSpec,
    "Checkpoint": CheckpointSpec,
    "Logger": LoggerSpec,
    "Optimizer": OptimizerSpec,
    "Scheduler": SchedulerSpec,
    "growth": GrowthSpec,
    "New node": NewNodeSpec,
    "Budget": BudgetSpec,
}


def choices(annotation: Any, metadata: Sequence[Any] = ()) -> Iterator[OneOf]:
    """What a field takes from registries, entries of lists too."""
    yield from (part for part in metadata if isinstance(part, OneOf))
    for part in get_args(annotation):
        if isinstance(part, OneOf):
            yield part
        else:
            yield from choices(part)


CHOICES = {
    (heading, name): choice
    for heading, model in MODELS.items()
    for name, field in model.model_fields.items()
    for choice in choices(field.annotation, field.metadata)
    if heading != "New node"
}
CHOICES["data", "dataset"] = next(choices(None, SOURCES["dataset"].model_fields["which"].metadata))
COMPLETE = [block for block in blocks(PAGE, "yaml") if not block.mark]
FRAGMENTS = [block for block in blocks(PAGE, "yaml") if block.mark == "fragment"]


def rows(heading: str) -> dict[str, dict[str, str]]:
    """The rows of a table by their field."""
    return {code(row["field"])[0]: row for row in TABLES[heading]}


def plain(value: Any) -> Any:
    """A default as one writes it in YAML."""
    if isinstance(value, BaseModel):
        return plain(value.model_dump(exclude_defaults=True)) or "its defaults"
    if isinstance(value, tuple):
        one_number = len(value) == 2 and value[0] == value[1] and isinstance(value[0], int)
        return value[0] if one_number else [plain(part) for part in value]
    return {key: plain(entry) for key, entry in value.items()} if isinstance(value, Mapping) else value


def test_every_part_of_a_run_has_a_table():
    assert {f"Edge op: {name}" for name in op_names()} == {name for name in MODELS if name.startswith("Edge op")}
    parts = {name for name, part in run_schema()["$defs"].items() if part.get("type") == "object"}
    ops = {f"op_{name}" for name in op_names()}
    named = {f"source_{m.name}" if issubclass(m, DataSourceSpec) else m.__name__ for m in MODELS.values()}
    assert parts - ops == named - {"RunSpec"} - {find_op(name).__name__ for name in op_names()}
    assert MODELS.keys() <= TABLES.keys()


@pytest.mark.parametrize("heading", MODELS)
def test_fields_and_defaults_are_those_of_the_code(heading):
    fields, found = MODELS[heading].model_fields, rows(heading)
    if heading == "data":
        common = {name: field for name, field in fields.items() if name != "source"}
        assert set(found) == set(DataSpec.allowed_fields())
        assert {found[name]["default"] for name in found.keys() - common.keys()} == {"left out"}
        fields, found = common, {name: found[name] for name in common}
    assert list(found) == [*(["version"] if heading == "The file" else []), *fields]
    for name, field in fields.items():
        cell = found[name]["default"]
        if field.is_required():
            assert cell == "required", name
        elif field.get_default(call_default_factory=True) is None:
            assert cell == "left out", name
        else:
            # An op writes equal numbers for all axes as one.
            usual = field.get_default(call_default_factory=True)
            default = MODELS[heading]().model_dump()[name] if heading.startswith("Edge op") else usual
            expected = plain(default)
            assert (cell if expected == "its defaults" else read_value(code(cell)[0])) == expected, name
        assert found[name]["meaning"], name
        assert found[name]["allowed"], name


def test_the_version_is_that_of_the_code():
    assert (
        code(rows("The file")["version"]["default"]) == code(rows("The file")["version"]["allowed"]) == [str(VERSION)]
    )


def test_every_field_with_a_registry_is_found():
    found = {name for _, name in CHOICES}
    assert found >= {"norm", "activation", "kind", "loss", "name", "method", "fallback_method", "candidates", "where"}
    assert found >= {"schedule", "scope", "insert", "side", "dataset"}


@pytest.mark.parametrize(("heading", "field"), CHOICES)
def test_registered_names_are_all_there_and_no_others(heading, field):
    allowed = rows(heading)[field]["allowed"]
    # A name in its own meaning, such as `edge` (between any two nodes), is followed by what it means.
    assert code(re.sub(r"\([^)]*\)", "", allowed)) == list(CHOICES[heading, field].names())


def test_every_method_has_its_row():
    (table,) = tables(page("methods")).values()
    assert [code(row["method"])[0] for row in table] == list(METHODS)
    assert set(FALLBACK_METHODS) - {"none"} == set(METHODS) - {"tiny"}


def _quoted(value: Any) -> Any:
    """As YAML writes it where it would mean something else."""
    return f"'{value}'" if value == "," else value


def test_literal_values_are_all_there():
    for heading, model in MODELS.items():
        for name, field in model.model_fields.items():
            for kind in (field.annotation, *get_args(field.annotation)):
                if get_origin(kind) is Literal:
                    told = rows(heading)[name]["allowed"]
                    assert told == "a mapping" or {_quoted(e) for e in get_args(kind)} <= set(code(told)), name


def test_options_of_optimizers_and_schedulers_exist():
    for heading, model in (("Optimizer", OptimizerSpec), ("Scheduler", SchedulerSpec)):
        told = rows(heading)["options"]["allowed"]
        assert set(model.classes) <= set(code(told))
        for part in told.split(";"):
            names = [name.strip() for name in part.split(":")[1].split(",")]
            assert names.pop() == "..."
            for each in code(part):
                assert set(names) <= set(model.option_names(each))


def test_the_table_of_data_sets_is_right():
    told = {code(row["dataset"])[0]: row for row in TABLES["Data sets"]}
    assert list(told) == list(DATASETS)
    for name, row in told.items():
        x, y = getattr(import_module("sklearn.datasets"), DATASETS[name].loader)(return_X_y=True)
        assert row["inputs"].startswith(str(x.shape[1]))
        assert row["to learn"].startswith(f"{len(set(y.tolist()))} classes" if name != "diabetes" else "one number")


def test_there_is_a_complete_example_and_all_marks_are_known():
    assert COMPLETE
    assert {block.mark for page in (page("first-network"), PAGE) for block in blocks(page, "yaml")} <= {"", "fragment"}
    example = yaml.safe_load(COMPLETE[0].text)
    assert list(example) == ["version", *RunSpec.model_fields]


@pytest.mark.parametrize(
    "block", [*COMPLETE, *(b for b in blocks(page("first-network"), "yaml") if not b.mark)], ids=lambda b: b.line
)
def test_complete_blocks_load(tmp_path, block):
    file = tmp_path / "run.yaml"
    file.write_text(block.text)
    run = dagrow.load_run(file)
    file.write_text(dump_run(run))
    assert dagrow.load_run(file) == run


@pytest.mark.parametrize("block", FRAGMENTS, ids=lambda block: block.line)
def test_fragments_load_in_place_of_the_sections_of_the_example(tmp_path, block):
    whole = {**yaml.safe_load(COMPLETE[0].text), **yaml.safe_load(block.text)}
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(whole))
    dagrow.load_run(file)


def test_what_the_page_says_about_overrides(tmp_path):
    file = tmp_path / "run.yaml"
    example = yaml.safe_load(COMPLETE[0].text)
    file.write_text(yaml.safe_dump({"graph": example["graph"]}))
    run = dagrow.load_run(file, ["growth.neurons=8", "growth.budget.steps=0", "training.optimizer.lr=0.1"])
    assert (run.growth.neurons, run.growth.budget.steps, run.training.optimizer.lr) == (8, 0, 0.1)
    assert run.data.source == SOURCES["dataset"](which="digits")


def test_its_tables_are_those_of_the_schema():
    """``python docs/hooks/run_file.py`` writes them."""
    spec = importlib.util.spec_from_file_location("run_file_hook", ROOT / "docs" / "hooks" / "run_file.py")
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    text = PAGE.read_text(encoding="utf-8")
    assert hook.filled(text) == text
    parts = re.findall(r"^<!-- fields: (\w+) -->$", text, re.M)
    definitions = {name for name, part in run_schema()["$defs"].items() if part.get("type") == "object"}
    assert sorted(parts) == sorted({"RunSpec", *definitions})
    assert hook.filled(text.replace("| `patience` |", "| `patients` |")) == text
