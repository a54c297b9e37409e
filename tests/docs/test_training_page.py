"""docs/how-to/training.md: its loop runs and grows, and it names the optimizers and kinds that the tests cover."""

import pytest
import torch
from docs_pages import ROOT, blocks, code, page, tables

from dagrow.objectives import OPTIMIZERS
from dagrow.planner import KINDS

PAGE = page("training")
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_loop_runs_and_grows(elsewhere):
    (block,) = blocks(PAGE, "python")
    (elsewhere / "specs").symlink_to(ROOT / "specs")
    space = {"__name__": "page"}
    exec(compile("\n" * block.line + block.text, str(PAGE), "exec"), space)
    model, average = space["model"], space["average"]
    assert model.spec.nodes["h"].size > 2
    assert average.module.spec == model.spec
    held = [id(p) for group in space["optimizer"].param_groups for p in group["params"]]
    assert sorted(held) == sorted(map(id, model.parameters()))
    assert torch.isfinite(average(space["x"])).all()


@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_every_optimizer_of_a_run_file_is_named(kind):
    assert kind.__name__ in TEXT


def test_every_kind_has_its_number_of_compilations():
    rows = tables(PAGE)["torch.compile"]
    assert {kind for row in rows for kind in code(row["change"])} == set(KINDS)
