"""The blocks of docs/how-to/plugins.md run in order, a run file uses what they register; its table is the code's."""

import importlib
import tomllib

import pytest
from docs_pages import ROOT, blocks, code, tables

import dagrow
from dagrow.registry import GROUP, Registry, registries

PAGE = ROOT / "docs" / "how-to" / "plugins.md"

pytestmark = pytest.mark.usefixtures("unregistered", "elsewhere")


def test_what_the_blocks_register_is_used_by_a_run_file(tmp_path):
    space = {
        "__name__": "plugins",
    }
    for block in blocks(PAGE, "python"):
        exec(compile("\n" * block.line + block.text, str(PAGE), "exec"), space)
    file = tmp_path / "run.yaml"
    (block,) = blocks(PAGE, "yaml")
    file.write_text(block.text)
    result = dagrow.grow(file, out=tmp_path / "run")
    grown = [event["inserted"] for event in result.events if event["event"] == "growth" and event["inserted"]]
    assert len(grown) == 2
    assert {entry["kind"] for entry in grown} <= {"widen", "from_input"}
    assert dagrow.load_run(tmp_path / "run" / "run.yaml").data.source == space["Rings"](samples=120)


def test_every_registry_has_its_row():
    rows = tables(PAGE)["All registries"]
    found = set()
    for name in (name for row in rows for name in code(row["add to it by"])):
        module, _, attribute = name.removesuffix(".add").rpartition(".")
        entry = getattr(importlib.import_module(module), attribute)
        if name.endswith(".add"):
            assert isinstance(entry, Registry)
            found.add(entry.what)
        else:
            assert name.startswith("dagrow.register_")
            assert attribute in dagrow.__all__
    functions = {"op", "method", "strategy", "kind of candidate", "source of data"}
    # What is no choice of a run file: what methods may need, the two sides of a unit, endings of files, shells.
    inner = {"need", "side", "shell", "kind of file", "kind of data file", "reader of files"}
    assert found | functions == set(registries()) - inner


def test_the_group_is_that_of_the_code():
    (block,) = blocks(PAGE, "toml")
    assert list(tomllib.loads(block.text)["project"]["entry-points"]) == [GROUP]
    example = tomllib.loads((ROOT / "examples" / "plugins" / "pyproject.toml").read_text())["project"]
    assert list(example["entry-points"]) == [GROUP]


def test_the_page_is_short():
    assert len(PAGE.read_text().splitlines()) < 160
