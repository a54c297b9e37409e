"""README.md, the tutorials, the command line and all links: what they show is what a person will find."""

import contextlib
import io
import re
import subprocess
import tomllib

import pytest
import torch
import yaml
from docs_pages import PAGES, README, ROOT, blocks, links, page, tables

import dagrow
from dagrow.cli.main import app, main

TEXT = README.read_text(encoding="utf-8")
FIRST = page("first-network")
COMMANDS = page("command-line")


def command(*words):
    """Exit code, output and errors of ``dagrow WORDS``."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(word) for word in words])
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    return code, out.getvalue(), err.getvalue()


def test_the_loop_of_the_tutorial_runs(elsewhere, capsys):
    tutorial = page("your-own-loop")
    (elsewhere / "specs").symlink_to(ROOT / "specs")
    torch.manual_seed(0)
    space = {"__name__": "tutorial"}
    for block in blocks(tutorial, "python"):
        exec(compile("\n" * block.line + block.text, str(tutorial), "exec"), space)
    out = capsys.readouterr().out
    assert "best by gain" in out
    promised, obtained = map(float, re.search(r"^promised (\S+), obtained (\S+)$", out, re.M).groups())
    assert promised > 0.01
    assert obtained == pytest.approx(promised, rel=1e-2, abs=2e-4)
    assert space["model"].spec.nodes["h"].size > 6
    assert (elsewhere / "grown" / "model.py").is_file()


def test_the_two_commands_have_the_documented_form():
    marked = {block.mark: block.text.strip() for block in blocks(README, "sh") if block.mark}
    assert set(marked) == {"first command", "second command"}
    install = r"python3 -m venv (\S+) && (\S+)/bin/pip install -q -c constraints\.txt "
    first = re.fullmatch(install + r"\. && (\S+)/bin/dagrow grow (\S+)", marked["first command"])
    second = re.fullmatch(install + r"'\.\[test\]' && (\S+)/bin/python -m pytest -n \d+", marked["second command"])
    for found in (first, second):
        assert len(set(found.groups()[:3])) == 1
        assert found[1].startswith(".venv")  # which git ignores
    assert dagrow.load_run(ROOT / first[4]).data.source.name == "dataset"
    assert ".venv*/" in (ROOT / ".gitignore").read_text().splitlines()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"test", "onnx", "plots"} <= set(extras)


def test_ci_extracts_the_second_command_word_for_word():
    extract = re.search(r"^command=\$\((.*)\)$", (ROOT / ".ci" / "run").read_text(), re.M)[1]
    done = subprocess.run(["bash", "-c", extract], cwd=ROOT, capture_output=True, text=True, check=True)
    (second,) = [block.text for block in blocks(README, "sh") if block.mark == "second command"]
    assert done.stdout == second


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_links_lead_somewhere(file):
    for link in links(file):
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
            assert anchor in {re.sub(r"[^\w\- ]", "", h).lower().replace(" ", "-") for h in headings}, link


def test_files_that_the_readme_names_exist():
    for name in set(re.findall(r"\b((?:specs|docs|benchmarks|examples|tests)/[\w./-]*\w)", TEXT)):
        assert (ROOT / name).exists(), name
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")


def test_the_message_about_a_typo_is_what_dagrow_prints(elsewhere):
    (own,) = [block.text for block in blocks(FIRST, "yaml") if block.text.startswith("# moons.yaml")]
    (shown,) = [block.text for block in blocks(FIRST, "text") if block.text.startswith("dagrow: ")]
    assert own.count("activation") == 1
    (elsewhere / "moons.yaml").write_text(own.replace("activation", "actvation"))
    assert command("check", "moons.yaml") == (2, "", shown)


def test_the_first_own_network_grows(elsewhere):
    (own,) = [block.text for block in blocks(FIRST, "yaml") if block.text.startswith("# moons.yaml")]
    assert len([line for line in own.splitlines() if not line.startswith("#")]) <= 10
    (elsewhere / "moons.yaml").write_text(own)
    points = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    rows = [f"{a:.4f},{b:.4f},{int(a * b > 0)}" for a, b in points.tolist()]
    (elsewhere / "moons.csv").write_text("\n".join(["a,b,label", *rows]) + "\n")
    code, _, err = command("grow", "moons.yaml", "--set", "training.final_epochs=1")
    assert (code, err) == (0, "")
    text = FIRST.read_text(encoding="utf-8")
    table = text[text.index("| in the run directory |") :].split("\n\n")[0]
    directory = elsewhere / "runs" / "run"
    told = set(re.findall(r"`([\w./]+)`", table))
    found = {file.relative_to(directory).as_posix() for file in directory.rglob("*") if file.is_file()}
    steps = {name for name in found if name.startswith("steps/")}
    assert steps
    # What a run that has not ended holds besides is gone.
    assert told == {*(found - steps), "steps/", "checkpoints/"}


def test_a_run_prints_lines_of_the_form_shown(elsewhere):
    (shown,) = [block.text for block in blocks(FIRST, "text") if block.text.startswith("step 1:")]

    def form(line):
        """The line without its numbers: they depend on the machine."""
        return re.sub(r"\d+(\.\d+)?(e[-+]\d+)?", "N", line)

    code, out, err = command(
        "grow",
        ROOT / "specs" / "digits.yaml",
        "--set",
        "growth.budget.steps=1",
        "--set",
        "training.final_epochs=0",
        "--set",
        "growth.schedule=adaptive",
    )
    assert (code, err) == (0, "")
    lines = [line for line in shown.splitlines() if line != "..."]
    assert len(lines) == 2
    assert {form(line) for line in lines} <= {form(line) for line in out.splitlines()}


def test_commands_and_options_of_the_reference_exist():
    known = {entry.name or entry.callback.__name__ for entry in app.registered_commands}
    text = COMMANDS.read_text(encoding="utf-8")
    told = set(re.findall(r"(?:^|[`/])dagrow (\w+)", text, re.M))
    assert told == known
    for name in known:
        code, out, _ = command(name, "--help")
        assert code == 0
        assert f"Example: dagrow {name}" in out
        for line in re.findall(rf"^dagrow {name} .*$", text, re.M):
            for option in re.findall(r"(--[a-z]+)", line):
                assert option in out, line


def test_the_commands_of_the_block_work(elsewhere):
    (elsewhere / "specs").symlink_to(ROOT / "specs")
    run = ["grow", "specs/digits.yaml", "--out", "runs/digits", "--seed", "3", "--device", "cpu"]
    assert command(*run, "--set", "growth.budget.steps=1", "--set", "training.final_epochs=0")[0] == 0
    (block,) = [block.text for block in blocks(COMMANDS, "sh") if not block.mark]
    lines = [line.split("#")[0].split() for line in block.splitlines()]
    for words in lines:
        if words[1] in ("log", "export", "show", "diff", "replay", "revert"):
            if words[-1] == "onnx":
                pytest.importorskip("onnxruntime")
                words = [*words[:-1], "pt2"]
            code, out, err = command(*words[1:])
            assert (code, err) == (0, "")
            assert out
    assert command("check", "--schema")[1].startswith("{")
    assert "h can be widened" in command("check", "specs/digits.yaml")[1]


def test_all_specs_load():
    files = sorted((ROOT / "specs").glob("*.yaml"))
    assert len(files) >= 6
    for file in files:
        dagrow.load_run(file)
        assert yaml.safe_load(file.read_text())["name"].replace("-", "_") == file.stem


def test_constraints_pin_all_that_is_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"]["dagrow"] == "dagrow.cli.main:main"
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.split("==")[0].lower() for line in lines if "==" in line}
    for names in (project["dependencies"], *project["optional-dependencies"].values()):
        assert {re.split(r"[<>=\[]", name)[0].lower() for name in names} - {"dagrow"} <= pinned


def test_every_promise_names_tests_that_are_there():
    table = page("promises").read_text(encoding="utf-8")
    names = set(re.findall(r"`(test_\w+)`", table))
    files = set(re.findall(r"`(tests/[\w/]+\.py)`", table))
    source = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    assert len(names) > 15
    assert not {name for name in names if f"def {name}(" not in source}
    assert not {file for file in files if not (ROOT / file).is_file()}


def test_the_readme_shows_the_table_of_versus():
    (shown,) = [rows for heading, rows in tables(README).items() if heading.startswith("Beside")]
    assert shown == tables(page("versus"))["Sets that the defaults were not chosen on"]
    assert re.search(r"^Mean ranks .*?\. ", page("versus").read_text(encoding="utf-8"), re.M)[0].strip() in TEXT
    assert len(TEXT.split()) < 1000
