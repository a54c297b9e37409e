"""dagrow compare as a person uses it: a table, a place to look, one message for what is wrong."""

from command_tools import command

TEXT = """\
name: tiny
base:
  graph:
    inputs: {x: {shape: [4]}}
    nodes: {h: {size: 1, activation: relu}, y: {size: 3}}
    edges: {x -> h: linear, h -> y: linear}
    outputs: [y]
  data: {dataset: iris}
  training: {final_epochs: 1}
  growth: {method: random, neurons: 1, shrinkage: 0, held_out: 0, significance: 0, budget: {steps: 1}}
seeds: [3]
"""


def test_a_comparison(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs.yaml").write_text(TEXT)
    outcome = command("compare", "runs.yaml")
    assert (outcome.code, outcome.err) == (0, "")
    assert "1/6  random, seed 3: test accuracy " in outcome.out
    lines = outcome.out.splitlines()
    (rule,) = [index for index, line in enumerate(lines) if line.startswith("---")]
    assert lines[rule - 1].startswith("run  ")
    assert lines[rule + 1].startswith("random  ")
    assert [line.strip().split("  ")[0] for line in lines[rule + 2 : rule + 7]] == [
        "random placement",
        "smallest-gain placement",
        "random weights, same norm",
        "from scratch, equal epochs",
        "from scratch, equal multiply-adds",
    ]
    assert "comparisons/tiny: table.md" in lines[-1]
    again = command("compare", "runs.yaml")
    assert again.out.count(", done before\n") == 6


def test_what_is_wrong_is_told_and_nothing_is_made(tmp_path):
    (tmp_path / "runs.yaml").write_text(TEXT + "methods: [tinyy]\n")
    message = command("compare", tmp_path / "runs.yaml", "--out", tmp_path / "out").refusal()
    assert message.startswith(
        f"{tmp_path / 'runs.yaml'}:12: methods / 0: unknown method 'tinyy' (did you mean 'tiny'?)"
    )
    assert not (tmp_path / "out").exists()
