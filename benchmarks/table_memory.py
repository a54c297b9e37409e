"""Peak memory of loading a table of 1 000 000 rows by 50 numbers, beside its size in float32.

Writes a csv and a parquet file into a temporary folder (about 1.4 GB), loads each in a process of its own as a run
does, and prints the largest resident memory above that of a process that has imported everything and loaded a small
table. The size in float32 is rows * columns * 4 bytes; at most twice that is promised.

    python benchmarks/table_memory.py [--rows 1000000] [--columns 50]
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

_PROGRAM = """
import resource, sys, time
from dagrow.data import load_data
from dagrow.graph import Dag
from dagrow.objectives import LOSSES
from dagrow.spec import DataSpec, GraphSpec
path, columns = sys.argv[1], int(sys.argv[2])
graph = GraphSpec.model_validate(dict(
    inputs=dict(x=dict(shape=[columns])), nodes=dict(y=dict(size=1)), edges={"x -> y": "linear"}, outputs="y"))
start = time.perf_counter()
split = load_data(DataSpec(table=dict(path=path, target="y")), Dag.of(graph), LOSSES["mse"], 0)
assert split.train.inputs[0].shape[1] == columns
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, time.perf_counter() - start)
"""


def write(folder: Path, name: str, rows: int, columns: int) -> dict[str, Path]:
    """The same numbers as csv and as parquet, written a part at a time."""
    names = [*(f"x{number}" for number in range(columns)), "y"]
    schema = pa.schema([(name, pa.float32()) for name in names])
    paths = {ending: folder / f"{name}.{ending}" for ending in ("csv", "parquet")}
    generator = np.random.default_rng(0)
    with (
        pyarrow.csv.CSVWriter(str(paths["csv"]), schema) as text,
        pyarrow.parquet.ParquetWriter(paths["parquet"], schema) as typed,
    ):
        for start in range(0, rows, 20_000):
            values = generator.standard_normal((min(20_000, rows - start), columns + 1), dtype=np.float32)
            table = pa.table(dict(zip(names, values.T, strict=True)), schema=schema)
            text.write_table(table)
            typed.write_table(table)
    return paths


def peak(path: Path, columns: int) -> tuple[float, float]:
    """Largest resident memory of loading, in bytes, and seconds."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(path), str(columns)], capture_output=True, text=True, check=True
    )
    memory, seconds = map(float, done.stdout.split())
    return memory, seconds


def main() -> None:
    """Prints a row per format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=50)
    arguments = parser.parse_args()
    size = arguments.rows * arguments.columns * 4
    with tempfile.TemporaryDirectory() as folder:
        small = write(Path(folder), "small", 200, arguments.columns)
        large = write(Path(folder), "large", arguments.rows, arguments.columns)
        print(f"{arguments.rows} rows by {arguments.columns} columns: {size / 1e6:.0f} MB in float32")
        print("format   file MB  imports MB  peak above MB  times float32  seconds")
        for ending, path in large.items():
            base, _ = peak(small[ending], arguments.columns)
            memory, seconds = peak(path, arguments.columns)
            above, file = memory - base, path.stat().st_size
            sizes = f"{file / 1e6:7.0f} {base / 1e6:11.0f} {above / 1e6:14.0f}"
            print(f"{ending:8} {sizes} {above / size:14.2f} {seconds:8.0f}")


if __name__ == "__main__":
    main()
