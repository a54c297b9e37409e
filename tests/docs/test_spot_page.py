"""docs/how-to/spot.md: its code runs, and its tables and fields are those of the command."""

import re

from docs_pages import ROOT, blocks, code

PAGE = ROOT / "docs" / "how-to" / "spot.md"


def test_the_code_of_the_page_runs_and_its_fields_exist(elsewhere):
    (elsewhere / "specs").symlink_to(ROOT / "specs")
    (block,) = blocks(PAGE, "python")
    space = {"__name__": "page"}
    exec(compile("\n" * block.line + block.text, str(PAGE), "exec"), space)
    assert (elsewhere / "spot.svg").is_file()
    found = space["found"]
    fields = code(next(line for line in PAGE.read_text().splitlines() if "`found.entry` is plain data" in line))
    for name in ("bottlenecks", "widenings", "fixed"):
        assert name in fields
        assert set(found.entry[name][0]) <= {*fields, "node", "reason"}
    (shown,) = blocks(PAGE, "text")
    heads = [line.split() for line in shown.text.splitlines() if re.match("node ", line)]
    told = [line.split() for line in str(found).splitlines() if re.match("node ", line)]
    assert heads == told
