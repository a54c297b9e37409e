"""The whole source is linted, formatted and typed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "dagrow", "benchmarks", "examples", "tests"],
        ["ruff", "format", "--check", "dagrow", "benchmarks", "examples", "tests"],
        ["mypy", "-p", "dagrow"],
    ],
    ids=["lint", "format", "types"],
)
def test_the_source_is_clean(command):
    result = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
