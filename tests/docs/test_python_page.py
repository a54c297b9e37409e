"""docs/how-to/python.md: its code runs; the names that it gives exist."""

from inspect import signature

import pytest
from docs_pages import ROOT, blocks, code, tables

import dagrow

PAGE = ROOT / "docs" / "how-to" / "python.md"
BLOCKS = blocks(PAGE, "python")


# Lightning warns of itself and of Python.
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("block", BLOCKS, ids=["samples", "frames", "scikit-learn", "lightning"])
def test_the_code_runs(block, elsewhere, capsys):
    space = {"__name__": "page"}
    exec(compile("\n" * block.line + block.text, str(PAGE), "exec"), space)
    if "growth" in space:
        assert space["growth"].done == 2
        assert space["classifier"].model.spec.nodes["h"].size > 2
    elif "new" in space:
        assert list(space["answers"]) == ["yes", "no"]
    elif "result" in space:
        assert space["result"].test.accuracy > 0.85
        assert space["result"].metrics.keys() == {"recall_of_class_2"}
    else:
        assert space["fitted"].score(space["x"], space["y"]) > 0.9
    assert capsys.readouterr().out
    assert list(elsewhere.iterdir()) == []


def test_every_argument_is_one_of_grow():
    rows = tables(PAGE)["Your samples"]
    told = {name for row in rows for name in code(row["argument"])}
    assert told <= signature(dagrow.grow).parameters.keys()
