"""``dagrow report``: one page that is well-formed, needs nothing else, says all it should, and obeys no name."""

import base64
import json
import re
import shutil
import sys
from xml.etree import ElementTree

import pytest
from command_tools import ROOT, command, settings, unsealed, write_journal

import dagrow
from dagrow.page.sections import SECTIONS

DIGITS = ROOT / "specs" / "digits.yaml"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two growth steps."""
    directory = tmp_path_factory.mktemp("report") / "run"
    short = settings(training__epochs_between_growth=1, training__final_epochs=1, growth__budget__steps=2)
    assert command("grow", DIGITS, "--out", directory, *short).code == 0
    return directory


@pytest.fixture
def copied(run, tmp_path):
    return unsealed(shutil.copytree(run, tmp_path / "run"))


def parsed(path):
    """The page as a tree; it is well-formed XML."""
    text = path.read_text(encoding="utf-8")
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    return ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n")), text


def words(tree):
    return " ".join("".join(tree.itertext()).split())


def section(tree, key):
    (found,) = [each for each in tree.iter("section") if each.get("id") == key]
    return found


def pictures(tree):
    prefix = "data:image/svg+xml;base64,"
    sources = [image.get("src") for image in tree.iter("img")]
    assert all(source.startswith(prefix) for source in sources)
    return [base64.b64decode(source.removeprefix(prefix)).decode("utf-8") for source in sources]


def check_self_contained(tree, text):
    """Nothing is loaded, nothing runs, links stay inside."""
    assert not {each.tag for each in tree.iter()} & {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert not [name for each in tree.iter() for name in each.attrib if name.startswith("on")]
    ids = [each.get("id") for each in tree.iter() if each.get("id")]
    assert len(ids) == len(set(ids))
    links = [each.get("href") for each in tree.iter() if each.get("href")]
    assert all(link.removeprefix("#") in ids for link in links)
    assert "://" not in re.sub(r"<pre>.*?</pre>", "", text, flags=re.S)
    assert "url(" not in text
    assert "@import" not in text
    (policy,) = [each.get("content") for each in tree.iter("meta") if each.get("http-equiv")]
    assert policy.startswith("default-src 'none'")


def test_the_page_of_a_run(run):
    done = command("report", run)
    assert (done.code, done.out, done.err) == (0, f"{run / 'report.html'}\n", "")
    tree, text = parsed(run / "report.html")
    check_self_contained(tree, text)
    assert [each.get("id") for each in tree.iter("section")] == [each.key for each in SECTIONS]
    assert [each.find("h2").text for each in tree.iter("section")] == [each.title for each in SECTIONS]
    events = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    growth = [event for event in events if event["event"] == "growth"]
    steps = section(tree, "steps")
    assert len(list(steps.iter("details"))) == len(growth) == 2
    for event in growth:
        for entry in event["plan"]["candidates"]:
            assert entry["place"] in words(steps)
            assert (entry["rejected"] or f"{entry['gain']:.4g}") in words(steps)
    assert words(steps).count("made") == len([event for event in growth if event["inserted"]])
    assert {"loss", "parameters"} <= {each.get("aria-label") for each in section(tree, "growth").iter("svg")}
    before, after, grown = pictures(section(tree, "graphs"))
    assert "2 features" in before
    assert f"{dagrow.load_graph(run / 'graph.yaml').nodes['h'].size} features" in after
    assert "total" in grown
    assert f"{growth[0]['plan']['candidates'][0]['bottleneck']:.3g}" in words(section(tree, "bottlenecks"))
    assert "1438" in words(section(tree, "data"))
    assert (run / "run.yaml").read_text() == section(tree, "configuration").find("pre").text
    again = (run / "report.html").read_bytes()
    assert dagrow.write_report(run) == run / "report.html"
    assert (run / "report.html").read_bytes() == again
    assert command("log", run).code == 0  # the page is no damage


def test_bottlenecks_on_request(run, tmp_path):
    assert command("report", run, "--spot", "--out", tmp_path / "deep" / "a.html").code == 0
    tree, text = parsed(tmp_path / "deep" / "a.html")
    check_self_contained(tree, text)
    assert "what 4 more features would gain" in words(section(tree, "bottlenecks"))
    (shown,) = pictures(section(tree, "bottlenecks"))
    assert "not supplied" in shown


NASTY = "<script>alert(1)</script>\"'>&<img src=x onerror=alert(1)>\x1b[2J"


def test_names_of_others_are_text(copied, tmp_path):
    journal = copied / "journal.jsonl"
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    for event in events:
        if event["event"] == "start":
            event["name"] = NASTY
        if event["event"] == "growth":
            event["plan"]["where"] = NASTY
            for entry in (event["inserted"], *event["plan"]["candidates"]):
                entry.update(place=NASTY, kind=NASTY, rejected=NASTY)
            event["plan"]["fixed"] = [{"node": NASTY, "reason": NASTY}]
    events.insert(1, {"event": "warning", "epoch": 0, "step": 0, "message": NASTY})
    write_journal(journal, events)
    (copied / "run.yaml").write_text(f"# </pre>{NASTY[:-4]}\n")
    assert command("report", copied).code == 0
    tree, text = parsed(copied / "report.html")
    check_self_contained(tree, text)
    assert tree.find("body/header/h1").text == NASTY.replace("\x1b", "?")
    assert words(tree).count("<script>alert(1)</script>") > 10
    assert not [each for each in tree.iter("img") if each.get("onerror")]


def test_a_run_that_goes_on_and_one_without_graphs(copied, monkeypatch):
    journal = copied / "journal.jsonl"
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    short = [event for event in events if event["event"] != "end"]
    write_journal(journal, [{key: value for key, value in event.items() if key != "graph"} for event in short])
    (copied / "run.yaml").unlink()
    (copied / "preprocessing.json").unlink()
    assert command("report", copied).code == 0
    said = words(parsed(copied / "report.html")[0])
    assert "This run has not come to its end." in said
    assert "The journal does not tell the graphs" in said
    assert "There is no run.yaml." in said
    monkeypatch.setitem(sys.modules, "graphlay", None)
    assert command("report", copied).code == 0
    said = words(parsed(copied / "report.html")[0])
    assert "Not drawn: a picture needs 'graphlay'" in said


def test_refusals(run, tmp_path, copied):
    assert "is not a complete run directory" in command("report", tmp_path).refusal()
    assert "is not a directory" in command("report", DIGITS).refusal()
    (copied / "report.html").unlink(missing_ok=True)
    (copied / "report.html").symlink_to(tmp_path / "elsewhere")
    assert "is a link" in command("report", copied).refusal()
    assert not (tmp_path / "elsewhere").exists()
