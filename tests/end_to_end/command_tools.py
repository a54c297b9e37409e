"""Runs of the command line, inside this process or as the real command."""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forked import Forked

from dagrow.cli.main import main

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    def refusal(self) -> str:
        """The one message of a command that was refused."""
        assert self.code == 2, self
        assert "Traceback" not in self.err + self.out
        assert self.err.startswith("dagrow: ")
        assert self.err.endswith("\n")
        return self.err.removeprefix("dagrow: ").removesuffix("\n")


def command(*arguments: Any) -> Outcome:
    """``dagrow ARGUMENTS`` in this process; what is no clean exit is raised."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    return Outcome(code, out.getvalue(), err.getvalue())


def real_command(*arguments: Any, cwd: Path) -> Outcome:
    """``python -m dagrow ARGUMENTS`` in a process of its own that has imported dagrow, warnings as errors."""
    process = Forked("-W", "error", "-m", "dagrow", *arguments, cwd=cwd)
    out, err = process.communicate(timeout=240)
    return Outcome(process.returncode, out, err)


def fresh_command(*arguments: Any, cwd: Path) -> Outcome:
    """``python -m dagrow ARGUMENTS`` in a new interpreter, warnings as errors from the first import on."""
    words = [sys.executable, "-W", "error", "-m", "dagrow", *map(str, arguments)]
    environment = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, text=True, cwd=cwd, env=environment, timeout=240)
    return Outcome(done.returncode, done.stdout, done.stderr)


def unsealed(run: Path) -> Path:
    """A run directory as a stranger may have made it, or an early version: without the checksums of its end."""
    (run / "SHA256SUMS").unlink()
    return run


def write_journal(path: Path, events: list[dict[str, Any]]) -> None:
    """A journal without checksums, as early versions wrote it."""
    lines = [{key: entry for key, entry in event.items() if key != "checksum"} for event in events]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def settings(**entries: Any) -> list[str]:
    """``growth__neurons=3`` as ``--set growth.neurons=3``."""
    words = []
    for key, value in entries.items():
        words += ["--set", f"{key.replace('__', '.')}={value}"]
    return words
