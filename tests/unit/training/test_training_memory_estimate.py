"""What does not fit into memory is told in one sentence, before the run or with what is kept of it."""

import sys
from typing import ClassVar

import pytest
import torch

import dagrow
from dagrow.growth.loop import Loop
from dagrow.report import Silent
from dagrow.training.memory_estimate import memory_errors

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


def test_a_growth_step_that_will_take_long_is_announced(monkeypatch, tmp_path):
    class Said(Silent):
        lines: ClassVar[list[str]] = []

        def say(self, text):
            self.lines.append(text)

    module = sys.modules["dagrow.planner.size_warning"]
    monkeypatch.setattr(module, "WIDE", 3)
    file = tmp_path / "run.yaml"
    file.write_text(
        "graph:\n  inputs: {x: {shape: [4]}}\n  nodes: {h: {size: 1}, y: {size: 3}}\n"
        "  edges: {x -> h: linear, h -> y: linear}\n  outputs: [y]\ndata: {dataset: iris}\n"
        "training: {epochs_between_growth: 0, final_epochs: 0}\ngrowth: {neurons: 1, budget: {steps: 1}}\n"
    )
    dagrow.grow(file, out=tmp_path / "run", reporter=Said())
    said = "'h' reads 4 features: a growth step there may solve with matrices of 4 x 4"
    assert Said.lines[0].startswith(said)
    assert not [line for line in Said.lines[1:] if "features: a growth step" in line]
    # In Python there is no reporter: a warning, which Python shows once.
    model, data = dagrow.build(dagrow.load_graph(file), seed=0), [(torch.rand(9, 4), torch.arange(9) % 3)]
    with pytest.warns(UserWarning, match=f"^{said}") as warned:
        dagrow.propose(model, torch.nn.functional.cross_entropy, data)
    assert warned[0].filename == __file__
    monkeypatch.setattr(module, "WIDE", 4)
    Said.lines.clear()
    dagrow.grow(file, out=tmp_path / "again", reporter=Said())
    assert "features: a growth step" not in Said.lines[0]
