"""What surrounds the package is consistent: one version, pins, sessions of nox, hooks, templates."""

import ast
import importlib.metadata
import re
import tomllib

import pytest
import yaml
from docs_pages import ROOT, blocks, page

import dagrow

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(name):
    lines = (ROOT / name).read_text().splitlines()
    return {line.split("==")[0].lower(): line.split("==")[1] for line in lines if "==" in line}


def sessions():
    tree = ast.parse((ROOT / "noxfile.py").read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_version_stands_in_one_place():
    assert "version" not in PROJECT["project"]
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "dagrow.__version__"}
    assert importlib.metadata.version("dagrow") == dagrow.__version__
    headings = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert headings[:2] == ["Unreleased", dagrow.__version__]


def test_the_oldest_versions_are_those_that_the_project_allows():
    oldest = pins("constraints-oldest.txt")
    bounds = dict(re.split(">=", name) for name in PROJECT["project"]["dependencies"])
    assert oldest.keys() == {name.lower() for name in bounds}
    for name, bound in bounds.items():
        # 1.4.0 is the oldest of 1.4; a first release that was never built for our Pythons gives way to the next.
        assert oldest[name.lower()].startswith(bound), name


def test_nox_has_a_session_for_all_that_is_supported():
    classifiers = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["project"]["classifiers"]))
    text = (ROOT / "noxfile.py").read_text()
    (listed,) = re.findall(r"^PYTHONS = (.*)$", text, re.M)
    assert list(ast.literal_eval(listed)) == classifiers
    assert sessions() == {"tests", "every_case", "oldest", "docs", "lint", "portability", "integrations", "browser"}
    for file in set(re.findall(r'"([\w/-]+\.(?:txt|py))"', text)):
        assert (ROOT / file).is_file(), file


def test_commands_of_contributing_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert set(re.findall(r"nox -s (\w+)", text)) == sessions()
    (install,) = re.findall(r"-e '\.\[(.*)\]'", text)
    extras = PROJECT["project"]["optional-dependencies"]
    assert set(install.split(",")) <= set(extras)
    named = {name for name, text in ((n, " ".join(extras[n])) for n in install.split(",")) if text}
    assert {"docs", "dev", "test"} == named
    (block,) = blocks(page("development"), "sh")[:1]
    assert "pytest -n 2" in block.text


def test_hooks_are_local_and_have_what_they_call():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = {hook["id"]: hook for hook in config["repos"][0]["hooks"]}
    assert {"ruff-check", "ruff-format", "mypy", "trailing-whitespace", "end-of-file"} <= set(hooks)
    for hook in hooks.values():
        for file in re.findall(r"\S+\.py\b", hook["entry"]):
            assert (ROOT / file).is_file()


@pytest.mark.parametrize("name", ["bug", "feature", "docs"])
def test_issue_templates_ask_for_something(name):
    template = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yaml").read_text())
    assert {"name", "description", "body"} <= set(template)
    asked = [entry for entry in template["body"] if entry.get("validations", {}).get("required")]
    assert asked
    assert all(entry["attributes"]["label"] for entry in template["body"])


def test_no_line_ends_in_whitespace():
    files = [ROOT / "README.md", *ROOT.glob("*.toml"), *ROOT.glob("*.txt"), *(ROOT / "docs").rglob("*.md")]
    for file in [*files, *(ROOT / "specs").glob("*.yaml"), *(ROOT / "examples").iterdir()]:
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            assert text.endswith("\n"), file
            assert not re.search(r"[ \t]+$", text, re.M), file
