"""The house: imports point one way, files stay small, names are where they are promised."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_tools import ROOT

import dagrow
from dagrow.data import DATASETS
from dagrow.methods import METHODS
from dagrow.objectives import LOSSES, OPTIMIZERS
from dagrow.ops import ACTIVATIONS, NORMS, op_names
from dagrow.planner import WHERE
from dagrow.registry import registries
from dagrow.spec import run_schema

PACKAGE = ROOT / "dagrow"
FILES = sorted(PACKAGE.rglob("*.py"))
LAYERS = [
    {"errors", "layout", "randomness", "renaming", "ties", "flop_counter"},
    {"registry", "files", "serialization"},
    {"distributed"},
    {"capture", "methods", "ops", "objectives", "callbacks"},
    {"spec"},
    {"stages"},
    {"graph"},
    {"data", "build"},
    {"statistics", "mutation", "export", "report"},
    {"planner", "resize"},
    {"training", "journal"},
    {"runs"},
    {"growth", "module_growth", "translate"},
    {"spot", "compare"},
    {"contrib"},
    {"page", "starter", "api"},
    {"integrations"},
    {"lightning"},
    {"cli"},
]
"""From the ground up. ``api.py`` takes a network or a run directory, so it stands above runs."""
DOORS = {"__init__", "__main__"}


def house_of(file: Path) -> str:
    """The folder below ``dagrow``, or the name of a file that stands there itself."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(file: Path) -> set[str]:
    """Folders of dagrow that a file imports, wherever in it; relative imports are not our style."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: a relative import"
            names = [node.module] if node.module != "dagrow" else [f"dagrow.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("dagrow.")}
    return found - {house_of(file)}


def level(house: str) -> int:
    return next(index for index, names in enumerate(LAYERS) if house in names)


def test_every_folder_has_its_floor():
    found = {house_of(file) for file in FILES} - DOORS
    assert found == set().union(*LAYERS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_down(file):
    here = house_of(file)
    if here not in DOORS:
        upward = {house for house in imported(file) if level(house) >= level(here)}
        assert not upward, f"{file} imports {upward}, which do not stand below '{here}'"


def test_the_parser_sees_imports():
    assert {"graph", "growth", "runs", "report", "errors", "api", "spec"} <= imported(PACKAGE / "cli" / "main.py")
    assert imported(PACKAGE / "errors.py") == set()


@pytest.mark.parametrize("folder", ["dagrow", "tests", "benchmarks", "examples"])
def test_no_file_is_long(folder):
    lengths = {file: len(file.read_text().splitlines()) for file in (ROOT / folder).rglob("*.py")}
    assert not {str(file): length for file, length in lengths.items() if length > 500 and folder == "dagrow"}
    assert not {str(file): length for file, length in lengths.items() if length > 600}


def layer_names(node: ast.AST) -> set[str]:
    """Names like ``nn.Linear`` in the second argument of an isinstance."""
    found = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "nn":
            found.add(part.attr)
    return found - {"Module", "Parameter"}


def test_layer_types_are_asked_for_in_ops_only():
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
                assert house_of(file) == "ops" or not layer_names(node.args[1]), f"{file}:{node.lineno}"


def test_no_pickle_and_no_hooks():
    banned = ("import pickle", "torch.load(", "torch.save(", "register_forward_hook", "register_full_backward_hook")
    for file in FILES:
        text = file.read_text()
        assert not [word for word in banned if word in text], file


def test_the_public_names():
    contract = {
        "load_run", "load_graph", "save_graph", "build", "propose", "apply", "grow", "export", "show", "diff", "replay",
        "revert", "compare", "load_comparison", "CompareSpec", "Comparison",
        "register_op", "register_method", "Callback", "DagrowError", "Plan", "Candidate",
        "GrowthResult", "RunSpec", "GraphSpec",
    }  # fmt: skip
    more = {
        "CallbackError", "GrowingClassifier", "GrowingRegressor",
        "Dag", "Op", "cost", "DataError", "ExportError", "GrowthError", "OptimizerError", "RunError", "SpecError",
        "load_model", "TrainedModel", "Prediction", "Preprocessing", "DataSource",
        "ProposalOptions",
        "Spot", "Widening", "spot", "spot_run", "write_report",
        "load_plugins", "register_candidate_type", "register_selection", "register_source",
        "from_module", "spaces", "widen", "grow_module", "save_module", "CapturedModule", "ModulePlan", "CaptureError",
        "with_plain_attention", "network_of",
    }  # fmt: skip
    assert set(dagrow.__all__) == contract | more
    assert list(dagrow.__all__) == sorted(dagrow.__all__)
    for name in dagrow.__all__:
        assert getattr(dagrow, name).__doc__, name


def test_the_schema_names_everything_that_can_be_named():
    text = json.dumps(run_schema())
    tables = [METHODS, LOSSES, OPTIMIZERS, ACTIVATIONS, NORMS, op_names(), WHERE, DATASETS]
    for name in (name for table in tables for name in table):
        assert f'"{name}"' in text, name


def displayed(node: ast.AST) -> set[str]:
    """The texts that stand side by side in a tuple, list, set, mapping or Literal."""
    parts = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else getattr(node, "keys", [])
    return {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}


ATEN = ("capture", "module_growth")
"""Folders that name operators of torch, some of which are called as edge ops and activations are."""


def test_names_of_registries_stand_in_their_registries_only():
    """Who needs to know several of them asks the registry, or a property of its entries."""
    assert displayed(ast.parse("x: Literal['gain', 'round_robin']").body[0].annotation.slice) == {"gain", "round_robin"}
    repeated, tables = [], {what: set(entries) for what, entries in registries().items()}
    for file in FILES:
        text = file.read_text()
        for node in ast.walk(ast.parse(text)):
            names = displayed(node)
            for what, entries in tables.items() if len(names) > 1 else ():
                if house_of(file) in ATEN and what in ("op", "activation"):
                    continue
                if len(names & entries) > 1 and not re.search(rf'Registry\(\s*"{what}"', text):
                    repeated.append(f"{file}:{node.lineno}: {what}")
    assert not repeated


RANK = re.compile(
    r"(len\((\w|\.)*(shape|source|merged|output)\w*(\(\w*\))?\)|\.dim\(\)|\.ndim) *(==|!=|<|>|<=|>=) *[234]\b"
)
"""Asks the number of axes what a value means; ``layout.py`` knows, and each op of its own values."""


def test_no_meaning_is_read_off_a_rank():
    assert RANK.search("shape[0] if len(shape) == 3 else shape[-1]")
    assert RANK.search("x.dim() == 4")
    found = [file for file in FILES if house_of(file) not in ("layout", "ops") and RANK.search(file.read_text())]
    # A column of labels may stand as a matrix of one column; attention of torch takes one sample, too.
    assert {str(file.relative_to(PACKAGE)) for file in found} == {"data/splitting.py", "resize/plain_attention.py"}


def test_the_import_takes_no_library_that_few_need():
    heavy = ("scipy.stats", "sklearn", "pandas", "pyarrow", "matplotlib", "graphlay", "lightning", "onnx")
    code = (
        f"import sys, dagrow; print([name for name in {heavy} if name in sys.modules])\n"
        "import dagrow.cli.main; print([name for name in ('matplotlib', 'graphlay') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "[]"]
