"""docs/own-data.md: its run file, its lines and its code are what a person will find."""

import csv
import random
import sys

from docs_pages import ROOT, blocks, code, tables

import dagrow
from dagrow.data.tables.columns import COLUMNS
from dagrow.report import Silent

PAGE = ROOT / "docs" / "how-to" / "own-data.md"


class Said(Silent):
    """Keeps what a run says."""

    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


def people(path):
    draw = random.Random(0)
    rows = []
    for i in range(80):
        age, town, member = draw.randint(18, 80), draw.choice(["Bern", "Basel", "Chur"]), draw.choice(["true", "false"])
        since = f"20{10 + draw.randrange(5)}-{1 + draw.randrange(12):02}-{1 + draw.randrange(28):02}"
        rows.append([i, "" if i % 9 == 0 else age, town, member, since, "yes" if age > 45 else "no"])
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=";").writerows([["nr", "age", "town", "member", "since", "buys"], *rows])


def test_the_page(elsewhere, monkeypatch):
    (own,) = [block.text for block in blocks(PAGE, "yaml") if not block.mark]
    (shown,) = [block.text.splitlines() for block in blocks(PAGE, "text")]
    people(elsewhere / "people.csv")
    (elsewhere / "people.yaml").write_text("name: people\n" + own)
    said = Said()
    short = ["training.final_epochs=1", "growth.schedule=epochs", "growth.budget.steps=1", "growth.neurons=1"]
    dagrow.grow(dagrow.load_run("people.yaml", short), out="runs/people", reporter=said)
    assert said.lines[: len(shown)] == shown
    monkeypatch.setattr(sys, "path", list(sys.path))
    sys.modules.pop("model", None)  # other pages have one of that name too
    space = {"__name__": "page"}
    for block in blocks(PAGE, "python"):
        exec(compile("\n" * block.line + block.text, str(PAGE), "exec"), space)
    del sys.modules["model"]
    columns = dagrow.load_model("runs/people").preprocessing.columns
    assert columns == ("age", "town", "member", "since")
    found = dagrow.load_model("runs/people").predict(space["x"]).answers.tolist()
    assert space["names"] == found
    (elsewhere / "new.csv").write_text(
        "since,member,town,age\n2020-09-13 12:26:40,true,Basel,41\n2023-11-14T22:13:20,false,Bern,\n"
    )
    assert dagrow.load_model("runs/people").predict_file("new.csv").predictions[0].answers.tolist() == found


def test_its_kinds_of_columns_are_all_there_are():
    assert {code(row["is taken for"])[0] for row in tables(PAGE)["A table"]} == set(COLUMNS)
