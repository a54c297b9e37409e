"""docs/explanation/folding.md: its run grows and tells what the page says."""

import contextlib
import io
import re

from docs_pages import blocks, code, page, tables

from dagrow.cli.main import main
from dagrow.contrib.folding.chain_samples import JUDGED
from dagrow.contrib.folding.representative_error import CLUSTERS
from dagrow.journal import read_journal

PAGE = page("folding")


def test_the_run_of_the_page_tells_its_steps(tmp_path):
    (run,) = blocks(PAGE, "yaml")
    file, out = tmp_path / "run.yaml", io.StringIO()
    file.write_text(run.text)
    quick = ["--set", "training.epochs_between_growth=2", "--set", "training.final_epochs=1"]
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main(["grow", str(file), "--out", str(tmp_path / "run"), *quick])
    growth = [event for event in read_journal(tmp_path / "run" / "journal.jsonl") if event["event"] == "growth"]
    assert len(growth) == 3
    told = next(line for line in PAGE.read_text().splitlines() if line.startswith("In the journal"))
    names = set(code(told)) - {"inserted.why", "weight", "bias"}
    assert names == set(growth[0]["inserted"]["why"])
    (shown,) = blocks(PAGE, "text")
    pattern = (
        r"^    folds for sample \d+.*, class \d taken for \d: segment [01|]+, boundary \S+ away, crease through the "
    )
    assert all(re.search(pattern, text, re.M) for text in (shown.text, out.getvalue()))


def test_its_numbers_are_those_of_the_code():
    first = tables(PAGE)["One step"][0]["what"]
    assert f"at most {CLUSTERS} clusters" in first
    assert f"at most {JUDGED:,} samples".replace(",", " ") in first
