"""Peak memory of data that is large: a table of 1 000 000 rows by 50 numbers, and 100 GB of arrays in an .npy file.

The table is written as csv and as parquet into a temporary folder (about 0.8 GB), and each is loaded as a run does; at
most twice its size in float32 (rows * columns * 4 bytes) is promised. The array is a file with a hole, so it takes no
room on the disk; it is loaded, 100 batches are read from it in random order, and a growth step looks at 2 000 samples;
2 GB are promised. Each runs in a process of its own; printed is the largest resident memory, for the tables above that
of a process that has imported everything and loaded a table of 200 rows.

    python benchmarks/table_memory.py [--rows 1000000] [--columns 50] [--gigabytes 100]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

_BLOCK = 20_000
_FEATURES = 2_500
"""Of a sample of the array: 10 kB in float32."""

_LOAD = """
import resource, sys, time
from dagrow.data import load_data
from dagrow.graph import Dag
from dagrow.objectives import LOSSES
from dagrow.spec import DataSpec, GraphSpec

def graph(columns):
    return GraphSpec.model_validate(dict(
        inputs=dict(x=dict(shape=[columns])), nodes=dict(h=dict(size=2, activation="relu"), y=dict(size=1)),
        edges={"x -> h": "linear", "h -> y": "linear"}, outputs="y"))

def say():
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, time.perf_counter() - start)

start = time.perf_counter()
"""
_TABLE = f"""{_LOAD}
path, columns = sys.argv[1], int(sys.argv[2])
split = load_data(DataSpec(table=dict(path=path, target="y")), Dag.of(graph(columns)), LOSSES["mse"], 0)
assert split.train.inputs[0].shape[1] == columns
say()
"""
_ARRAY = f"""{_LOAD}
import torch, dagrow
from dagrow.data.stored import in_memory
folder, columns = sys.argv[1], int(sys.argv[2])
data = DataSpec(arrays=dict(x=folder + "/x.npy", y=folder + "/y.npy"))
train = load_data(data, Dag.of(graph(columns)), LOSSES["mse"], 0).train
model = dagrow.build(graph(columns), seed=0)
optimizer = torch.optim.Adam(model.parameters())
order = torch.randperm(len(train.targets[0]), generator=torch.Generator().manual_seed(0))
def batch(rows):
    return in_memory(train.inputs[0][rows]), train.targets[0][rows]
for rows in order[:51_200].split(512):
    x, y = batch(rows)
    optimizer.zero_grad()
    torch.nn.functional.mse_loss(model(x), y).backward()
    optimizer.step()
some = [batch(rows) for rows in order[:2_000].split(500)]
dagrow.propose(model, torch.nn.functional.mse_loss, some, neurons=2)
say()
"""


def write_tables(folder: Path, name: str, rows: int, columns: int) -> dict[str, Path]:
    """The same numbers as csv and as parquet: a block of random rows, again and again."""
    names = [*(f"x{number}" for number in range(columns)), "y"]
    values = np.random.default_rng(0).standard_normal((min(_BLOCK, rows), columns + 1), dtype=np.float32)
    block = pa.table(dict(zip(names, values.T, strict=True)))
    paths = {ending: folder / f"{name}.{ending}" for ending in ("csv", "parquet")}
    lines = pa.BufferOutputStream()
    pyarrow.csv.write_csv(block, lines, pyarrow.csv.WriteOptions(include_header=False))
    with paths["csv"].open("wb") as text, pyarrow.parquet.ParquetWriter(paths["parquet"], block.schema) as typed:
        text.write((",".join(names) + "\n").encode())
        for _ in range(max(1, rows // _BLOCK)):
            text.write(lines.getvalue())
            typed.write_table(block)
    return paths


def write_array(folder: Path, gigabytes: float) -> int:
    """An array of zeros in a file that is one hole, and targets beside it; returns the number of samples."""
    samples = int(gigabytes * 1e9 / 4 / _FEATURES)
    np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (samples, _FEATURES))
    np.save(folder / "y.npy", np.random.default_rng(0).standard_normal(samples, dtype=np.float32))
    return samples


def peak(program: str, path: Path, columns: int) -> tuple[float, float]:
    """Largest resident memory of a program, in bytes, and its seconds."""
    words = [sys.executable, "-c", program, str(path), str(columns)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    memory, seconds = map(float, done.stdout.split())
    return memory, seconds


def main() -> None:
    """Prints a row per format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--gigabytes", type=float, default=100)
    arguments = parser.parse_args()
    size = arguments.rows * arguments.columns * 4
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        samples = write_array(folder, arguments.gigabytes)
        memory, seconds = peak(_ARRAY, folder, _FEATURES)
        print(f"npy, {samples} samples of {_FEATURES} float32: peak {memory / 1e6:.0f} MB, {seconds:.0f} s", flush=True)
        (folder / "x.npy").unlink()
        small = write_tables(folder, "small", 200, arguments.columns)
        large = write_tables(folder, "large", arguments.rows, arguments.columns)
        print(f"{arguments.rows} rows by {arguments.columns} columns: {size / 1e6:.0f} MB in float32")
        print("format   file MB  imports MB  peak above MB  times float32  seconds", flush=True)
        for ending in ("parquet", "csv"):
            path = large[ending]
            base, _ = peak(_TABLE, small[ending], arguments.columns)
            memory, seconds = peak(_TABLE, path, arguments.columns)
            above, file = memory - base, path.stat().st_size
            sizes = f"{file / 1e6:7.0f} {base / 1e6:11.0f} {above / 1e6:14.0f}"
            print(f"{ending:8} {sizes} {above / size:14.2f} {seconds:8.0f}", flush=True)


if __name__ == "__main__":
    main()
