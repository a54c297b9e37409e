"""What does not fit into memory is told in one sentence, before the run or with what is kept of it."""

import pytest
import torch

import dagrow
from dagrow.training.loop import Loop
from dagrow.training.memory import memory_errors

RUN = """
graph:
  inputs: {x: {shape: [64]}}
  nodes: {h: {size: SIZE, activation: relu}, g: {size: SIZE, activation: relu}, y: {size: 10}}
  edges: {x -> h: linear, h -> g: linear, g -> y: linear}
  outputs: [y]
data: {dataset: digits}
training: {final_epochs: 1}
growth: {budget: {steps: 0}}
"""


def run_file(folder, size):
    (folder / "run.yaml").write_text(RUN.replace("SIZE", str(size)))
    return folder / "run.yaml"


def test_a_graph_that_no_memory_holds(tmp_path):
    expected = r"1000076000010 parameters: weights and gradients alone take 8,001 GB, and this machine has \d"
    with pytest.raises(dagrow.DagrowError, match=expected):
        dagrow.grow(run_file(tmp_path, 1_000_000), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        MemoryError(),
    ],
)
def test_memory_that_ends_under_a_run(tmp_path, monkeypatch, error):
    whole = Loop.run

    def until_the_end(loop):
        whole(loop)
        raise error

    monkeypatch.setattr(Loop, "run", until_the_end)
    with pytest.raises(dagrow.DagrowError, match=r"^the memory is used up: a smaller batch_size .*; with --resume"):
        dagrow.grow(run_file(tmp_path, 2), out=tmp_path / "out")


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="^another$"), memory_errors():
        raise RuntimeError("another")
