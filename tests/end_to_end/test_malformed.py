"""Every file in ``tests/malformed`` has one defect: one message, its line, its hint, and nothing is made.

The first line of each says what to expect: ``# expect: LINE: TEXT``, or ``none`` for no line.
"""

import re
from pathlib import Path

import pytest
from command_tools import command, real_command

import dagrow

FOLDER = Path(__file__).resolve().parents[1] / "malformed"
FILES = sorted(FOLDER.glob("*.yaml"))
HEADER = re.compile(r"# expect: (\d+|none): (.+)\n")


def expectation(file: Path) -> tuple[str, str]:
    """How the message begins, and a text that it contains."""
    found = HEADER.match(file.read_text())
    assert found, f"{file} lacks its '# expect: LINE: TEXT'"
    line, text = found.groups()
    return (f"{file}: " if line == "none" else f"{file}:{line}: "), text


def test_there_are_enough_of_them_and_no_two_say_the_same():
    assert len(FILES) >= 45
    assert len({file.read_text().split("\n", 1)[1] for file in FILES}) == len(FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_one_defect_is_one_message(file, tmp_path):
    start, text = expectation(file)
    with pytest.raises(dagrow.SpecError) as caught:
        dagrow.load_run(file)
    message = str(caught.value)
    assert len(caught.value.problems) == 1, message
    assert message.startswith(start)
    assert text in message
    assert len(message.removeprefix(str(file))) < 600
    assert "\n" not in message
    assert command("grow", file, "--out", tmp_path / "run").refusal() == message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["python_tag"])
def test_the_real_command(name, tmp_path):
    file = FOLDER / f"{name}.yaml"
    start, text = expectation(file)
    outcome = real_command("check", file, cwd=tmp_path)
    assert outcome.refusal().startswith(start)
    assert text in outcome.err
    assert outcome.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["unknown_op", "cycle_of_two", "sum_of_unequal_sizes", "tab", "edge_twice"])
def test_graphs_are_read_with_the_same_care(name):
    file = FOLDER / f"{name}.yaml"
    start, text = expectation(file)
    with pytest.raises(dagrow.SpecError) as caught:
        dagrow.load_graph(file)
    assert str(caught.value).startswith(start)
    assert text in str(caught.value)


def test_defects_of_several_kinds_are_told_together(tmp_path):
    file = tmp_path / "run.yaml"
    text = (FOLDER / "unknown_op.yaml").read_text()
    for old, new in (
        ("name: digits", "nmae: digits"),
        ("activation: selu", "activation: sellu"),
        ("lr: 0.003", "lr: -1"),
        ("seed: 0", "seed: 0\nseed: 1"),
    ):
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
    lines = command("check", file).refusal().split("\n")
    assert [int(line.removeprefix(f"{file}:").split(":")[0]) for line in lines] == [2, 7, 11, 16, 23]


def test_an_override_is_named_instead_of_a_line(tmp_path):
    file = FOLDER.parents[1] / "specs" / "digits.yaml"
    message = command("grow", file, "--set", "graph.nodes.h.activation=sellu", "--out", tmp_path / "run").refusal()
    assert message.startswith("--set graph.nodes.h.activation=sellu: unknown activation 'sellu' (did you mean 'selu'?)")
    message = command("grow", file, "--set", "growth.budget", "--out", tmp_path / "run").refusal()
    assert "write key.path=value" in message
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_not_there(tmp_path):
    (tmp_path / "digits.yaml").write_text("name: digits\n")
    assert command("check", tmp_path / "digit.yaml").refusal() == (
        f"{tmp_path}/digit.yaml: no such file (did you mean {tmp_path}/digits.yaml?)"
    )
    assert command("check", tmp_path).refusal() == f"{tmp_path}: is a folder, not a file"
