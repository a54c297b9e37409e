"""docs/how-to/exports.md: its code runs on the run it speaks of, and its tables name what is there."""

import json
import sys

import pytest
import torch
from docs_pages import ROOT, blocks, code, page, tables

import dagrow
from dagrow.data import STEPS

PAGE = page("exports")


@pytest.fixture
def digits(elsewhere):
    spec = dagrow.load_run(ROOT / "specs" / "digits.yaml", ["growth.budget.steps=1", "training.final_epochs=1"])
    dagrow.grow(spec, out="runs/digits")
    return elsewhere


def test_the_code_of_the_page_runs(digits, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    space = {"__name__": "page"}
    for block in blocks(PAGE, "python"):
        exec(compile("\n" * block.line + block.text, str(PAGE), "exec"), space)
    monkeypatch.delitem(sys.modules, "model")
    assert space["names"] == space["prediction"].answers.tolist()
    assert (digits / "runs" / "digits" / "model.pt2").is_file()
    torch.export.load(digits / "runs" / "digits" / "model.pt2", extra_files=(extra := {"preprocessing.json": ""}))
    entry = json.loads(extra["preprocessing.json"])
    rows = tables(PAGE)["preprocessing.json"]
    assert [code(row["key"])[0] for row in rows] == list(entry)
    (inputs,) = (row["meaning"] for row in rows if row["key"] == "`inputs`")
    assert code(inputs) == list(entry["inputs"][0])


def test_its_steps_are_all_there_are():
    last = PAGE.read_text().split("These kinds of steps there are.")[1]
    assert set(STEPS) <= set(code(last))
