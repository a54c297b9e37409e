"""Run directories and data as a broken disk or an attacker leaves them: a sentence, or what was there before.

A flipped bit is noticed or harmless; whatever else is done to a file, only DagrowError comes out, at once. A few of the
cases are in the suite; many, in one process and one thread, with counts at the end:

    python tests/end_to_end/fuzz_files.py --cases 20000 --seed 0
"""

import argparse
import contextlib
import copy
import io
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuzz_specs import TOKENS, VALUES, places

import dagrow
from dagrow.data import load_data
from dagrow.errors import DagrowError
from dagrow.journal import growth_history, history_table, read_journal
from dagrow.objectives import LOSSES
from dagrow.runs import RunDirectory, replay_run, resolve_graph, run_directory
from dagrow.runs.checkpoint import Checkpoint, CheckpointStore, GrowthStepStore
from dagrow.runs.checkpoint.files import CONTENT, encode
from dagrow.spec.run import DataSpec

RUN = """
graph:
  inputs: {x: {shape: [4]}}
  nodes: {h: {size: 2, activation: relu}, y: {size: 3, dropout: 0.1}}
  edges: {x -> h: linear, h -> y: linear}
  outputs: [y]
data: {dataset: iris}
training: {epochs_between_growth: 1, final_epochs: 1, optimizer: {name: adam, lr: 0.01}}
growth: {neurons: 1, budget: {steps: 2}, samples: 60}
"""


class Runs:
    """A finished and a stopped run, and what is read of each of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.finished, self.stopped = folder, folder / "finished", folder / "stopped"
        (folder / "run.yaml").write_text(RUN)
        dagrow.grow(folder / "run.yaml", out=self.finished)
        dagrow.revert(self.finished, to=1, out=self.stopped)
        self.files = [f for run in (self.finished, self.stopped) for f in sorted(run.rglob("*")) if f.is_file()]
        self.whole = {run: look(run) for run in (self.finished, self.stopped)}
        self.end = resumed(self.stopped, folder / "end")

    def run_of(self, file: Path) -> Path:
        return self.finished if self.finished in file.parents else self.stopped


def text_of(part: Callable[[], Any]) -> str | None:
    """What a part says; None where it is refused with a sentence."""
    try:
        return str(part())
    except DagrowError as error:
        text = str(error)
        assert text
        assert len(text) < 100_000
        assert text.replace("\n", "").replace("\t", "").isprintable(), text
        text.encode()
        return None


def weights_of(network: torch.nn.Module) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in network.state_dict().items()}


def checkpoint_of(folder: Path) -> str:
    checkpoint = Checkpoint.read(folder)
    return str((checkpoint.run, checkpoint.progress, checkpoint.journal, checkpoint.parts))


def preprocessing_of(directory: RunDirectory) -> bytes | None:
    found = directory.load_preprocessing(directory.load().dag)
    return found and found.to_json()


def look(run: Path) -> dict[str, str | None]:
    """All that is read of a run, by what reads it."""

    def events() -> list[dict[str, Any]]:
        return read_journal(run_directory(run).journal)

    parts: dict[str, Callable[[], Any]] = {
        "log": lambda: history_table(events()),
        "history": lambda: growth_history(events()),
        "replay": lambda: replay_run(run),
        "network": lambda: weights_of(RunDirectory.existing(run).load()),
        "preprocessing": lambda: preprocessing_of(RunDirectory.existing(run)),
        "graph": lambda: resolve_graph(run).graph,
        "checkpoints": lambda: [
            checkpoint_of(folder) for folder in CheckpointStore(RunDirectory.begun(run).checkpoints).newest_first()
        ],
        "steps": lambda: [
            checkpoint_of(GrowthStepStore(run / "steps").path(step)) for step in GrowthStepStore(run / "steps").steps()
        ],
    }
    return {name: text_of(part) for name, part in parts.items()}


def resumed(run: Path, out: Path) -> str | None:
    """How a copy of a run goes on: the weights at its end."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(run, out, symlinks=True, copy_function=copied)
    return text_of(lambda: weights_of(dagrow.grow(out, resume=True).model))


def copied(source: str, target: str) -> None:
    size = os.lstat(source).st_size
    if size > 2**22:
        # A hole, which a copy would fill.
        Path(target).touch()
        os.truncate(target, size)
    elif os.path.isfile(source) or os.path.islink(source):
        shutil.copy2(source, target, follow_symlinks=False)
    else:
        os.mkfifo(target)


def flip(random_: random.Random, runs: Runs) -> str:
    """A bit of any file: what is read of the run is as before, or refused."""
    file = random_.choice(runs.files)
    content, run = file.read_bytes(), runs.run_of(file)
    bit = random_.randrange(8 * len(content))
    data = bytearray(content)
    data[bit // 8] ^= 1 << bit % 8
    again = run == runs.stopped and random_.random() < 0.05
    file.write_bytes(data)
    try:
        seen, whole = look(run), runs.whole[run]
        other = [name for name, text in seen.items() if text is not None and text != whole[name]]
        assert not other, f"bit {bit} of {file.relative_to(runs.folder)} changes {', '.join(other)}"
        if again and (end := resumed(run, runs.folder / "again")) is not None:
            assert end == runs.end, f"bit {bit} of {file.relative_to(runs.folder)} changes the end of the run"
    finally:
        file.write_bytes(content)
    return "refused" if None in seen.values() else "harmless"


def damage(random_: random.Random, runs: Runs) -> str:
    """Anything else that happens to a file: whatever reads the run works, or says in a sentence why not."""
    file = random_.choice(runs.files)
    content, run = file.read_bytes(), runs.run_of(file)
    file.unlink()
    try:
        match random_.randrange(7):
            case 0:
                pass
            case 1:
                os.mkfifo(file)
            case 2:
                file.mkdir()
            case 3:
                file.symlink_to(random_.choice(("/dev/zero", "/etc/passwd", file.name, "..")))
            case 4:
                file.write_bytes(content[: random_.randrange(len(content))])
            case 5:
                with file.open("wb") as made:
                    made.truncate(random_.choice((0, 1, 2**20, 2**43)))
            case _:
                file.write_bytes(mutated(random_, content))
        seen = look(run)
        if random_.random() < 0.05:
            resumed(run, runs.folder / "again")
    finally:
        if file.is_dir() and not file.is_symlink():
            file.rmdir()
        else:
            file.unlink(missing_ok=True)
        file.write_bytes(content)
    return "refused" if None in seen.values() else "harmless"


def mutated(random_: random.Random, content: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(random_.choice((1, 1, 2, 5, 20))):
        at = random_.randrange(len(data) + 1)
        end = min(len(data), at + random_.choice((0, 1, 2, 8, 100)))
        data[at:end] = random_.choice((random_.choice(TOKENS), random_.randbytes(end - at), b""))
    return bytes(data)


def forged(random_: random.Random, runs: Runs) -> str:
    """A checkpoint that says something else, its checksums in order."""
    run = runs.folder / "forged"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(runs.stopped, run)
    (folder,) = CheckpointStore(run / "checkpoints").newest_first()
    head = json.loads((folder / CONTENT).read_text())
    for _ in range(random_.choice((1, 1, 2))):
        holder, key = random_.choice(places(head["content"], []))
        holder[key] = copy.deepcopy(random_.choice(VALUES))
    with contextlib.suppress(ValueError):  # what JSON has no words for
        head["sha256"]["content"] = json.loads(encode(head["content"], {})[CONTENT])["sha256"]["content"]
    (folder / CONTENT).write_text(json.dumps(head))
    return "refused" if text_of(lambda: dagrow.grow(run, resume=True)) is None else "read"


def array_file(random_: random.Random, runs: Runs) -> str:
    """An ``.npz`` file whose parts are not what they say."""
    made = io.BytesIO()
    arrays = {"x_train": np.ones((8, 4), np.float32), "y_train": np.arange(8) % 3}
    np.savez(made, **arrays) if random_.random() < 0.5 else np.savez_compressed(made, **arrays)
    file = runs.folder / "data.npz"
    if random_.random() < 0.4:
        file.write_bytes(mutated(random_, made.getvalue()))
    else:
        shape = random_.choice(
            ("(8, 4)", "(2**70,)", f"({2**70},)", f"({2**62}, 4)", "(-1, 4)", "()", "(8, 0)", "(True,)")
        )
        kind = random_.choice(("<f4", "<f8", ">i2", "|b1", "|O", "<U3", "<M8[s]", "<c8", "V7", "<f2", "S" + "9" * 30))
        order = random_.choice(("True", "False", "3"))
        text = f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
        size = random_.choice((len(text), len(text), 2**16 - 1)).to_bytes(2, "little")
        with zipfile.ZipFile(file, "w") as archive:
            body = b"\x93NUMPY" + random_.choice((b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\x63\0")) + size + text
            archive.writestr("x_train.npy", body + bytes(random_.choice((0, 8, 128, 256))))
            archive.writestr("y_train.npy", made.getvalue()[:0] + _npy(arrays["y_train"]))
    return data_of(DataSpec(npz=str(file)), runs)


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def table_file(random_: random.Random, runs: Runs) -> str:
    """A table whose cells are anything."""
    cells = [
        "1",
        "2.5",
        "-0",
        "nan",
        "inf",
        "1e999",
        "",
        " ",
        '"',
        "'",
        "\x00",
        "a",
        "é",
        "\x1b[2J",
        "\u202e",
        "1_0",
        "0x1",
    ]
    head = ["a", "b", "c", "d", "label"]
    rows = [[str(random_.randrange(9)) for _ in head[1:]] + [str(i % 3)] for i in range(12)]
    for _ in range(random_.choice((0, 1, 2, 5))):
        random_.choice([head, *rows])[random_.randrange(5)] = random_.choice(cells)
    text = "\n".join(",".join(row) for row in [head, *rows])
    file = runs.folder / "data.csv"
    file.write_bytes(mutated(random_, text.encode()) if random_.random() < 0.3 else text.encode())
    return data_of(DataSpec(csv=str(file), target="label"), runs)


def data_of(spec: DataSpec, runs: Runs) -> str:
    dag = dagrow.Dag.of(dagrow.load_graph(runs.folder / "run.yaml"))
    found = text_of(lambda: load_data(spec, dag, LOSSES["cross_entropy"], 0))
    return "refused" if found is None else "read"


KINDS: dict[str, tuple[int, Callable[[random.Random, Runs], str]]] = {
    "flips": (40, flip),
    "damage": (25, damage),
    "forged": (3, forged),
    "arrays": (16, array_file),
    "tables": (16, table_file),
}
"""Kinds of cases, each with its weight."""


def case(seed: int, number: int, runs: Runs) -> tuple[str, str]:
    """The kind of one case, the same in every run, and what came of it; a surprise is raised."""
    random_ = random.Random(f"files {seed} {number}")
    kind = random_.choices(list(KINDS), [weight for weight, _ in KINDS.values()])[0]
    return kind, KINDS[kind][1](random_, runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    counts: Counter[str] = Counter()
    slowest, unexpected, began = (0.0, -1), 0, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(Path(folder))
        for number in range(asked.first, asked.first + asked.cases):
            started = time.process_time()
            try:
                counts[" ".join(case(asked.seed, number, runs))] += 1
            except Exception as error:
                unexpected += 1
                print(f"case {number}: {type(error).__name__}: {str(error)[:300]}", flush=True)
            slowest = max(slowest, (time.process_time() - started, number))
    for name, count in sorted(counts.items()):
        print(f"{name:20}{count:8}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(
        f"{asked.cases} cases in {time.perf_counter() - began:.0f} s, the slowest (case {slowest[1]}) "
        f"{slowest[0]:.2f} s, {memory} MB at most, {unexpected} unexpected"
    )
    sys.exit(1 if unexpected else 0)


if __name__ == "__main__":
    main()
