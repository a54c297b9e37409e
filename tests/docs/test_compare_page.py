"""docs/how-to/compare.md: its example loads, its fields and controls are those of the code."""

from docs_pages import ROOT, blocks, code, page, tables

import dagrow
from dagrow.compare.controls import FROM_SCRATCH, GROWN
from dagrow.spec.document import read_value

PAGE = page("compare")


def test_the_example_loads(tmp_path):
    (block,) = blocks(PAGE, "yaml")
    (tmp_path / "runs.yaml").write_text(block.text)
    spec = dagrow.load_comparison(tmp_path / "runs.yaml")
    assert len(list(spec.variants())) == 4


def test_fields_and_defaults():
    rows = {code(row["field"])[0]: row for row in tables(PAGE)["The file"]}
    fields = dagrow.CompareSpec.model_fields
    assert list(rows) == ["version", *fields]
    for name in ("name", "seeds"):
        default = fields[name].default
        assert read_value(code(rows[name]["default"])[0]) == (list(default) if name == "seeds" else default)
    assert fields["base"].is_required()
    assert rows["base"]["default"] == "required"


def test_all_controls_are_told():
    page = PAGE.read_text()
    for control in (*GROWN, *FROM_SCRATCH):
        assert f"| {control} |" in page


def test_the_example_in_the_folder_loads_and_says_how_it_is_run():
    file = ROOT / "examples" / "compare_digits.yaml"
    assert f"dagrow compare examples/{file.name}\n" in file.read_text()
    spec = dagrow.load_comparison(file)
    assert len(spec.seeds) == 3
