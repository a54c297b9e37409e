"""docs/how-to/own-arrays.md: its arrays are read by its run file."""

import numpy as np
from docs_pages import blocks, page

import dagrow

PAGE = page("own-arrays")


def test_own_arrays_are_read(elsewhere):
    space = {"__name__": "page"}
    for block in blocks(PAGE, "python"):
        exec(compile("\n" * block.line + block.text, str(PAGE), "exec"), space)
    (run,) = [block for block in blocks(PAGE, "yaml") if not block.mark]
    (elsewhere / "run.yaml").write_text(run.text)
    result = dagrow.grow(dagrow.load_run("run.yaml", ["growth.budget.steps=1", "training.final_epochs=1"]), write=False)
    assert result.model.spec.inputs["x"].shape == (2,)
    assert np.load("quadrants.npz")["x_train"].shape == (200, 2)
