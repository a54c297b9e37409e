"""A run that is killed without warning ends as if it had not been; the longer form is benchmarks/kill_and_resume.py."""

import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

SHORT = ("training.final_epochs=10", "growth.budget.steps=3", "training.checkpoint.seconds=0")


def test_runs_killed_at_random_moments_end_the_same(monkeypatch, capsys):
    """SIGKILL, twice in one run; each time a copy goes on to the end, and at last the run itself."""
    settings = [word for setting in SHORT for word in ("--set", setting)]
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(sys, "argv", ["kill_and_resume.py", "--kills", "2", *settings])
    from kill_and_resume import main

    main()
    lines = [line for line in capsys.readouterr().out.splitlines() if " after " in line]
    assert len(lines) == 2
    assert all(line.endswith("same") for line in lines)
