"""What docs/explanation/papers.md names exists: files, tests, and fields of a run file."""

import re

from docs_pages import ROOT, page

from dagrow.spec import RunSpec

TEXT = page("papers").read_text(encoding="utf-8")
ROWS = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| what ")]


def test_every_file_is_there():
    files = set(re.findall(r"`((?:dagrow|benchmarks|tests)/[\w/]+(?:\.py)?)`", TEXT))
    assert len(files) > 25
    assert not {file for file in files if not (ROOT / file).exists()}


def test_every_test_is_there():
    told = set(re.findall(r"`(test_\w+)`", TEXT))
    written = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.M)
    }
    assert len(told) > 40
    assert not told - written


def test_every_field_is_one_of_a_run_file():
    for section, field in re.findall(r"`(growth|training)\.(\w+)`", TEXT):
        fields = RunSpec.model_fields[section].annotation.model_fields
        assert field in fields, f"{section}.{field}"


def test_what_is_said_to_be_here_says_where_it_is_checked():
    assert len(ROWS) > 60
    for row in ROWS:
        _, what, where, how, *_ = (cell.strip() for cell in row.split("|"))
        assert what, row
        assert how or where.startswith("not "), row
