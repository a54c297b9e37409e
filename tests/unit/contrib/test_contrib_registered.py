"""What is in contrib registers like an outside package: nothing else of dagrow knows it, and all works without it."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import dagrow
from dagrow.contrib import register
from dagrow.graph import RUN_CHECKS
from dagrow.methods import METHODS
from dagrow.objectives import OPTIMIZERS
from dagrow.ops import NORMS
from dagrow.registry import registries
from dagrow.training.extensions import TRAINING_EXTENSIONS

PACKAGE = Path(dagrow.__file__).parent
WITHOUT = """
import sys, types
absent = types.ModuleType("dagrow.contrib")
absent.register = lambda: None
sys.modules["dagrow.contrib"] = absent
import dagrow, torch
from dagrow.methods import METHODS
from dagrow.spec import run_schema
assert "folding" not in METHODS and "tiny" in METHODS
assert not [name for name in sys.modules if name.startswith("dagrow.contrib.")]
run_schema()
run = {
    "graph": {"inputs": {"x": {"shape": [4]}}, "nodes": {"h": {"size": 2, "activation": "relu"}, "y": {"size": 2}},
              "edges": {"x -> h": "linear", "h -> y": "linear"}, "outputs": ["y"]},
    "training": {"final_epochs": 1, "epochs_between_growth": 1}, "growth": {"budget": {"steps": 1}},
}
x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
dagrow.grow(run, train=(x, (x[:, 0] > 0).long()), write=False)
run["growth"]["method"] = "folding"
try:
    dagrow.RunSpec.model_validate(run)
except ValueError as error:
    print("unknown method 'folding'" in str(error))
"""


def test_one_place_registers_it():
    importing = []
    for file in sorted(PACKAGE.rglob("*.py")):
        if "contrib" in file.relative_to(PACKAGE).parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            importing += [str(file.relative_to(PACKAGE)) for name in names if name.startswith("dagrow.contrib")]
    assert importing == ["__init__.py"]


def test_what_it_registers_and_that_twice_is_once():
    before = {what: dict(table) for what, table in registries().items()}
    register()
    assert {what: dict(table) for what, table in registries().items()} == before
    assert "folding" in METHODS
    assert {"adarad", "adarad_m"} <= set(OPTIMIZERS)
    assert "cap_batch" in NORMS
    assert [*TRAINING_EXTENSIONS] == ["unit turnover"]
    assert [*RUN_CHECKS] == ["folding", "nonparametric"]


def test_everything_else_works_without_it(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-W", "error", "-c", WITHOUT]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=900)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "True"
