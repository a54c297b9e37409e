"""The command line itself: version, help, completion, right names for settings, what `check` says of growth."""

import io
import shutil
import subprocess

import pytest
from command_tools import ROOT, command
from rich.console import Console

import dagrow
from dagrow.report import LiveReporter, PlainLines, ProgressBar, show_metrics

DIGITS = ROOT / "specs" / "digits.yaml"


def test_version_and_short_help():
    assert command("--version").out == f"dagrow {dagrow.__version__}\n"
    assert command("-h").out == command("--help").out != ""
    assert "Example: dagrow spot" in command("spot", "-h").out


def completed(words, folder):
    """What bash would offer for a command line, by the printed script."""
    (folder / "dagrow.bash").write_text(command("completion", "bash").out)
    script = f"""
        source {folder}/dagrow.bash
        COMP_WORDS=({" ".join(f"'{word}'" for word in words)})
        COMP_CWORD={len(words) - 1}
        _dagrow
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, cwd=folder)
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash to ask")
def test_completion_of_bash(tmp_path):
    assert completed(["dagrow", "re"], tmp_path) == ["replay", "revert", *(["report"] if known("report") else [])]
    assert completed(["dagrow", "--v"], tmp_path) == ["--version"]
    assert {"--set", "--seed"} == {*completed(["dagrow", "grow", "--se"], tmp_path)}
    assert completed(["dagrow", "log", "x", "--st"], tmp_path) == ["--step"]
    assert completed(["dagrow", "grow", "specs/"], tmp_path) == []  # files are left to the shell


def known(name):
    return f"  {name} " in command("--help").out


def test_completion_of_other_shells():
    zsh, fish = (command("completion", shell).out for shell in ("zsh", "fish"))
    assert "bashcompinit" in zsh
    assert "complete -o default -F _dagrow dagrow" in zsh
    assert "complete -c dagrow -n '__fish_seen_subcommand_from grow' -l resume\n" in fish
    assert (
        command("completion", "bahs").refusal()
        == "unknown shell 'bahs' (did you mean 'bash'?); allowed: bash, zsh, fish"
    )


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ("learning_rate=0.1", "training.optimizer.lr=0.1"),
        ("training.lr=0.1", "training.optimizer.lr=0.1"),
        ("epochs=3", "training.final_epochs=3"),
        ("batch_size=8", "training.batch_size=8"),
        ("neuron=8", "growth.neurons=8"),
        ("optimizer=adamw", "training.optimizer=adamw"),
        ("growth.parameters=9", "growth.budget.parameters=9"),
        ("plateau=0.1", "growth.plateau=0.1"),
    ],
)
def test_settings_are_answered_with_the_right_name(given, right):
    key = given.partition("=")[0]
    expected = f"--set {given}: a run file has no entry '{key}': write {right}"
    assert command("grow", DIGITS, "--set", given).refusal() == expected
    dagrow.load_run(DIGITS, [right])


def test_an_optimizer_by_its_name():
    run = dagrow.load_run(ROOT / "specs" / "digits_conv.yaml", ["training.optimizer=sgd"])
    assert (run.training.optimizer.name, run.training.optimizer.lr) == ("sgd", 0.003)
    run = dagrow.load_run(
        DIGITS, ["training.optimizer=adamw", "training.optimizer.lr=0.5", "training.scheduler=cosine"]
    )
    assert (run.training.optimizer.name, run.training.optimizer.lr) == ("adamw", 0.5)
    assert run.training.scheduler.name == "cosine"
    said = command("grow", DIGITS, "--set", "training.optimizer=adamv").refusal()
    assert "unknown optimizer 'adamv' (did you mean 'adam'?)" in said


def test_check_says_what_each_kind_of_growth_could_do(tmp_path):
    said = command("check", ROOT / "specs" / "digits_graph.yaml").out
    assert " ".join(next(line for line in said.splitlines() if line.startswith("node ")).split()).startswith("node")
    counts = {
        row.split()[0]: row.split()[-1]
        for row in said.splitlines()
        if row[:5].strip() in ("widen", "edge", "node", "layer")
    }
    assert counts["edge"] == "0"
    assert "every edge that could lead into it is there already" in said
    assert (counts["layer"], counts["widen"]) == ("1", "0")
    told = command("check", ROOT / "specs" / "residual_mlp.yaml").out
    assert "edge" in told


def test_check_gives_no_advice_on_what_a_file_leaves_out(tmp_path):
    text = (ROOT / "specs" / "digits_conv.yaml").read_text().split("data:")[0]
    (tmp_path / "plain.yaml").write_text(text + "data: {dataset: digits}\n")
    assert "batch norm" in command("check", tmp_path / "plain.yaml").out
    assert "advice" not in command("check", tmp_path / "plain.yaml").out


def test_a_progress_bar_shows_metrics_and_time_left():
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=160, color_system=None)
    with ProgressBar(console) as bar:
        assert isinstance(bar, LiveReporter)
        bar.stage("step 1: training", 4)
        bar.advance()
        show_metrics(bar, "epoch 1: loss 0.5, validation [bold]0.25\x1b[2J")
        bar.progress.refresh()
        shown = file.getvalue()
    assert "epoch 1: loss 0.5, validation [bold]0.25?[2J" in shown
    assert "1/4" in shown
    assert "left" in shown
    show_metrics(PlainLines(), "nothing is printed")


def test_the_metrics_of_each_epoch_are_shown():
    shown = []

    class Watching(PlainLines):
        def say(self, text):
            pass

        def show_metrics(self, text):
            shown.append(text)

    run = dagrow.load_run(
        DIGITS, ["training.epochs_between_growth=1", "training.final_epochs=2", "growth.budget.steps=0"]
    )
    dagrow.grow(run, write=False, reporter=Watching())
    assert [line.split(":")[0] for line in shown] == ["epoch 1", "epoch 2"]
    assert all("loss 2." in line or "loss 1." in line for line in shown)
