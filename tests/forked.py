"""Processes of their own in which dagrow is imported already: forks of one server. Most of a short run is imports.

What an import does, and what is settled when an interpreter starts (hash seed, paths), takes a new one by `subprocess`.
"""

import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

from dagrow.planner import solve_candidates

_CONTEXT = multiprocessing.get_context("forkserver")
# The last comes with the first optimizer.
_CONTEXT.set_forkserver_preload(["dagrow.cli.main", "sklearn.datasets", "torch._dynamo"])


class Forked:
    """What `subprocess.Popen` would be for ``python WORDS``, with both outputs in files.

    Args:
        words: ``-m dagrow ARGUMENTS``, or ``-c CODE``; before them ``-W error``, if warnings are errors.
        cwd: the directory it works in; left out, that of this process.
        env: variables beside those of this process.
        out: where its output goes, if not to a file that `communicate` reads.
    """

    def __init__(self, *words, cwd=None, env=None, out=None):
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self._files = [Path(out or folder / "out"), folder / "err"]
        environment = {"OMP_NUM_THREADS": "1", **os.environ, **(env or {})}
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # the server keeps what holds when it starts
        arguments = (
            [str(word) for word in words],
            str(cwd or Path.cwd()),
            environment,
            self._files,
            solve_candidates.LEAST,
        )
        self._process = _CONTEXT.Process(target=_run, args=arguments, daemon=True)
        self._process.start()

    def send_signal(self, number):
        """Sends it a signal."""
        os.kill(self._process.pid, number)

    def kill(self):
        """Ends it, if it has not ended."""
        if self._process.is_alive():
            self.send_signal(signal.SIGKILL)
            self._process.join()
        self._folder.cleanup()

    @property
    def returncode(self):
        """As of `subprocess.Popen`: None as long as it runs, less than 0 after a signal."""
        return self._process.exitcode

    def communicate(self, timeout=None):
        """Waits for its end; its output and its errors."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutError(f"still there after {timeout} s: {self._read()}")
        said = self._read()
        self._folder.cleanup()
        return said

    def _read(self):
        return tuple(file.read_text() if file.is_file() else "" for file in self._files)


def free_port():
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def started_with(count, *words):
    """Python in several processes, as torchrun would start them; RANK in the words is the number of each."""
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(count)}
    commands = [[str(word).replace("RANK", str(rank)) for word in words] for rank in range(count)]
    own = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]
    return [Forked(*command, env={**common, **own[rank]}) for rank, command in enumerate(commands)]


def ended(processes):
    """Output, errors and exit code of each."""
    try:
        return [(*process.communicate(timeout=240), process.returncode) for process in processes]
    finally:
        for process in processes:
            process.kill()


def _run(words, cwd, environment, files, least):
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    for number, path in enumerate(files, start=1):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.stdout.reconfigure(line_buffering=True)
    if words[:2] == ["-W", "error"]:
        warnings.simplefilter("error")
        words = words[2:]
    solve_candidates.LEAST = least
    kind, what, *arguments = words
    sys.argv = [what, *arguments]
    try:
        if kind == "-c":
            exec(what, {"__name__": "__main__"})
        else:
            assert (kind, what) == ("-m", "dagrow"), words
            from dagrow.cli.main import main

            main(arguments)
    except Exception:
        traceback.print_exc()
        sys.exit(1)
