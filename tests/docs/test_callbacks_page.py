"""docs/how-to/callbacks.md: its code runs, its tables are those of the code."""

from dataclasses import fields
from inspect import signature

from docs_pages import ROOT, blocks, code, tables

import dagrow.callbacks
from dagrow.callbacks import LOGGERS, Callback

PAGE = ROOT / "docs" / "how-to" / "callbacks.md"


def test_the_code_runs(elsewhere, capsys):
    (block,) = blocks(PAGE, "python")
    space = {"__name__": "page"}
    exec(compile("\n" * block.line + block.text, str(PAGE), "exec"), space)
    assert any(line["event"] == "growth" for line in space["result"].events)
    assert "widen h" in capsys.readouterr().out


def test_every_method_and_every_field_of_its_event_is_told():
    rows = {code(row["method"])[0]: row for row in tables(PAGE)["Callbacks"]}
    methods = [name for name in vars(Callback) if name.startswith("on_")]
    assert list(rows) == methods
    for name in methods:
        (_, _, event) = signature(getattr(Callback, name)).parameters.values()
        if event.name == "event":
            kind = getattr(dagrow.callbacks, event.annotation)
            told = code(list(rows[name].values())[-1])
            assert told == [field.name for field in fields(kind) if field.name not in ("epoch", "step")], name


def test_every_logger_has_its_row():
    assert [code(row["logger"])[0] for row in tables(PAGE)["Loggers"]] == list(LOGGERS)
