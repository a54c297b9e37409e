"""What a command prints: delivered, or its end says that it was not; nothing in it commands the terminal."""

import os
import signal
import subprocess
import sys

import pytest
from command_tools import ROOT, command
from forked import Forked

import dagrow
from dagrow.errors import printable_lines
from dagrow.report import PlainLines
from dagrow.report.output import OutputError, echo

EVIL = "\x1b]0;a\x07\x9b2J\u202eb\u2066\u200f\ud800\r\x08"
RUN = """
graph:
  inputs: {x: {shape: [4]}}
  nodes: {h: {size: 2, activation: relu}, y: {size: 3}}
  edges: {x -> h: linear, h -> y: linear}
  outputs: [y]
data: {dataset: iris}
training: {epochs_between_growth: 1, final_epochs: 1}
growth: {neurons: 1, budget: {steps: 1}}
"""


class Full:
    """A stream whose disk is full."""

    encoding = "utf-8"

    def write(self, text):
        raise OSError(28, "No space left on device")

    def flush(self):
        pass


def started(*arguments, cwd, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **options.pop("env", {})}
    words = [sys.executable, "-W", "error", "-m", "dagrow", *map(str, arguments)]
    return subprocess.Popen(words, cwd=cwd, env=environment, stderr=subprocess.PIPE, **options)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
@pytest.mark.parametrize("words", [("--help",), ("grow", "run.yaml", "--out", "run")])
def test_a_full_disk_at_the_output(tmp_path, words):
    (tmp_path / "run.yaml").write_text(RUN)
    process = Forked("-W", "error", "-m", "dagrow", *words, cwd=tmp_path, out="/dev/full")
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 2
    assert [line[:8] for line in said.splitlines()] == ["dagrow: "] * (1 + (words[0] == "grow"))
    assert said.splitlines()[-1].endswith("No space left on device")
    # A run goes on to its end without a word.
    assert (tmp_path / "run" / "SHA256SUMS").exists() == (words[0] == "grow")


def test_a_reader_that_went_away(tmp_path):
    (tmp_path / "run.yaml").write_text(RUN)
    with started("check", "run.yaml", cwd=tmp_path, stdout=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_names_that_a_terminal_has_no_letters_for(tmp_path):
    (tmp_path / "é.yaml").write_text(RUN)
    options = {"env": {"PYTHONIOENCODING": "ascii"}, "stdout": subprocess.PIPE}
    with started("diff", "é.yaml", "é.yaml", cwd=tmp_path, **options) as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, b"")
    assert b"\\xe9.yaml" in out


@pytest.mark.parametrize(
    "words", [("check", "{}.yaml"), ("log", "{}"), ("grow", "{}", "--resume"), ("diff", "{}", "{}@1")]
)
def test_escapes_in_names_do_not_reach_the_terminal(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    said = command(*(word.format(EVIL) for word in words)).refusal()
    assert said == printable_lines(said)
    assert "?]0;a?" in said


def test_escapes_in_errors_do_not_reach_the_terminal():
    error = dagrow.SpecError([])
    assert str(error) == ""
    assert str(dagrow.DagrowError(f"a{EVIL}\n\tb")) == "a?]0;a??2J?b?????\n\tb"


def test_what_cannot_be_printed_is_an_error_and_a_run_goes_on(capsys):
    with pytest.raises(OutputError, match="cannot be written: No space left on device"):
        echo("text", Full())
    lines = PlainLines(Full())
    for _ in range(3):
        lines.say("text")
    assert capsys.readouterr().err.count("the run goes on without a word") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_second_interrupt_ends_at_once(tmp_path):
    code = (
        "import os, signal, time\n"
        "from dagrow.cli.ending import run_command\n"
        "def work():\n"
        "    try:\n"
        "        print('ready', flush=True); time.sleep(60)\n"
        "    finally:\n"
        "        print('tidying', flush=True); time.sleep(60)\n"
        "run_command(work)\n"
    )
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        for word in (b"ready\n", b"tidying\n"):
            assert process.stdout.readline() == word
            process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""
    assert process.returncode == 130


def test_the_handler_of_the_caller_is_given_back():
    before = signal.getsignal(signal.SIGINT)
    command("--help")
    assert signal.getsignal(signal.SIGINT) is before
