"""A run that is killed without warning ends as if it had not been; the longer form is benchmarks/kill_and_resume.py."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill_and_resume.py"

SHORT = ("training.final_epochs=10", "growth.budget.steps=3", "training.checkpoint.seconds=0")


def test_runs_killed_at_random_moments_end_the_same():
    """SIGKILL, twice in one run; each time a copy goes on to the end, and at last the run itself."""
    settings = [word for setting in SHORT for word in ("--set", setting)]
    command = [sys.executable, str(SCRIPT), "--kills", "2", *settings]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if " after " in line]
    assert len(lines) == 2
    assert all(line.endswith("same") for line in lines)
