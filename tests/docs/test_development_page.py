"""docs/development.md: the house is as it says; the files, tables and scripts that it names exist."""

import ast
import re
import tomllib

from docs_pages import ROOT, blocks, code, tables

PAGE = ROOT / "docs" / "development.md"
PACKAGE = ROOT / "dagrow"


def floors() -> list[list[str]]:
    """The folders of the package from the ground up, as the page lists them."""
    (house,) = blocks(PAGE, "text")
    return [[name.strip() for name in re.split(r"\s{2,}", line)[0].split(",")] for line in house.text.splitlines()]


def imports(folder: str) -> set[str]:
    """Other parts of dagrow that a folder imports, wherever in its files."""
    path = PACKAGE / folder
    files = path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]
    trees = [ast.parse(file.read_text()) for file in files]
    modules = [node.module or "" for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [n.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names]
    return {module.split(".")[1] for module in modules if module.startswith("dagrow.")} - {folder}


def test_every_folder_has_its_floor():
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert sorted(folder for floor in floors() for folder in floor) == sorted(parts - {"__init__", "__main__"})


def test_imports_lead_down():
    below: set[str] = set()
    for floor in floors():
        for folder in floor:
            assert imports(folder) <= below, folder
        below.update(floor)


def test_files_and_tables_to_add_to_exist():
    rows = tables(PAGE)["To add ..."]
    assert len(rows) >= 9
    for row in rows:
        files = [name for name in code(row["file"]) if name.endswith(".py")]
        for name in files:
            path = ROOT / name
            assert path.parent.is_dir() if path.stem == "NAME" else path.is_file(), name
        names = code(row["line"])
        registry = [ROOT / name for name in names if name.endswith(".py")]
        text = "".join(path.read_text() for path in registry or [ROOT / name for name in files])
        for table in (name for name in names if not name.endswith(".py")):
            assert re.search(rf"^{table}\b.* = ", text, re.M), table


def test_folders_and_scripts_that_it_names_exist():
    text = PAGE.read_text()
    for name in re.findall(r"\b((?:tests|benchmarks|dagrow)/[\w/.]*\w)", text):
        assert "NAME" in name or (ROOT / name).exists(), name
    kinds = [code(row["folder"])[0] for row in tables(PAGE)["Tests"]]
    assert set(kinds) == {f"tests/{path.name}" for path in (ROOT / "tests").iterdir() if any(path.rglob("test_*.py"))}
    for script, option in re.findall(r"benchmarks/(\w+)\.py(?: --(\w+))?", text):
        assert not option or f'"--{option}"' in (ROOT / "benchmarks" / f"{script}.py").read_text()


def test_what_it_says_of_the_tests():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["pytest"]["ini_options"]["filterwarnings"] == ["error"]
    assert project["project"]["requires-python"] == ">=3.11"
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))


def test_the_page_is_short():
    assert len(PAGE.read_text().splitlines()) < 120
